"""Whatever a server does, every item gets its verdict, in order, and nothing is tried more often than it should be."""

import json
import os
import signal
import threading
import time

import pytest

from sftframe.testing import check_judge


def judged(judge, *items):
    return list(judge.score(items))


def test_scores_come_back_in_the_items_order_with_reason_and_raw_reply(stub, acts, ask, item):
    stub.by_answer = {"a": acts.grades(10, "Wrong."), "b": acts.grades(100, "Right.")}
    first, second = judged(ask(stub.host), item(7, "b"), item(3, "a"))
    assert (first.index, first.status, first.score, first.reason) == (7, "ok", 100.0, "Right.")
    assert (second.index, second.status, second.score, second.reason) == (3, "ok", 10.0, "Wrong.")
    assert json.loads(first.raw) == {"reason": "Right.", "score": 100}
    assert first.judge.startswith("ollama:llama3#")


def test_the_request_carries_the_options_and_the_schema(stub, ask, item):
    judged(ask(stub.host, temperature=0.5, seed=7, num_ctx=2048, keep_alive="10m"), item())
    (request,) = stub.requests
    assert request["model"] == "llama3"
    assert request["stream"] is False
    assert request["keep_alive"] == "10m"
    assert request["options"] == {"temperature": 0.5, "seed": 7, "num_ctx": 2048, "num_predict": 256}
    assert request["format"]["properties"]["score"] == {"type": "integer", "minimum": 0, "maximum": 100}


def test_a_template_replaces_the_instructions(stub, ask, item):
    judged(ask(stub.host, template="Grade kindly."), item())
    assert stub.requests[0]["messages"][0] == {"role": "system", "content": "Grade kindly."}


def test_the_judge_keeps_the_contract(stub, ask):
    check_judge(ask(stub.host), is_deterministic=True)


@pytest.mark.parametrize(
    "content",
    [
        "I would give this answer 85 points.",
        '{"score": 110, "reason": "Great."}',
        '{"score": -1, "reason": "Bad."}',
        '{"score": 85.5, "reason": "Fine."}',
        '{"score": "85", "reason": "Fine."}',
        '{"score": true, "reason": "Yes."}',
        '{"grade": 85}',
        '```json\n{"score": 85}\n```',
        "[85]",
        "85",
        "",
    ],
)
def test_what_is_no_score_is_unparsable_after_all_attempts(stub, acts, ask, item, content):
    stub.plan = [acts.says(content)]
    (verdict,) = judged(ask(stub.host, retries=2), item())
    assert (verdict.status, verdict.score, verdict.raw) == ("unparsable", None, content)
    assert verdict.reason
    assert len(stub.requests) == 3


def test_prose_once_and_then_a_score_is_a_score(stub, acts, ask, item):
    stub.plan = [acts.says("Well, let me think."), acts.grades(70)]
    assert [verdict.score for verdict in judged(ask(stub.host), item())] == [70.0]


def test_a_lenient_judge_reads_prose_and_says_so(stub, acts, ask, item):
    stub.plan = [acts.says("I would give this answer 85 points.")]
    (verdict,) = judged(ask(stub.host, parse="lenient"), item())
    assert (verdict.status, verdict.score) == ("ok", 85.0)
    assert verdict.reason == "read leniently from: I would give this answer 85 points."


def test_a_lenient_judge_does_not_take_110_for_a_score(stub, acts, ask, item):
    stub.plan = [acts.says('{"score": 110, "reason": "5 of 5."}')]
    (verdict,) = judged(ask(stub.host, parse="lenient", retries=0), item())
    assert verdict.status == "unparsable"


def test_a_reply_that_never_ends_is_cut_and_says_so(stub, acts, ask, item):
    stub.plan = [acts.says('{"reason": "It is and it is and', done_reason="length")]
    (verdict,) = judged(ask(stub.host, retries=0), item())
    assert verdict.status == "unparsable"
    assert "cut off after 256 tokens" in verdict.reason


@pytest.mark.parametrize("body", [b"", b'{"model": "lla', b"[]", b"null", b"<html>busy</html>", b'{"done": true}'])
def test_a_body_that_is_no_reply_is_unparsable(stub, acts, ask, item, body):
    stub.plan = [acts.sends(body)]
    (verdict,) = judged(ask(stub.host, retries=1), item())
    assert (verdict.status, verdict.score) == ("unparsable", None)
    assert len(stub.requests) == 2


@pytest.mark.parametrize("fault", ["cuts_the_body", "hangs_up"])
def test_a_connection_that_breaks_is_tried_again(stub, acts, ask, item, fault):
    stub.plan = [getattr(acts, fault), acts.grades(60)]
    assert [verdict.score for verdict in judged(ask(stub.host), item())] == [60.0]


@pytest.mark.parametrize("fault", ["cuts_the_body", "hangs_up"])
def test_a_connection_that_always_breaks_is_an_error(stub, acts, ask, item, fault):
    stub.plan = [getattr(acts, fault)]
    (verdict,) = judged(ask(stub.host, retries=2), item())
    assert (verdict.status, verdict.score) == ("error", None)
    assert stub.host in verdict.reason
    assert len(stub.requests) == 3


def test_several_500s_in_a_row_are_waited_out_ever_longer(stub, acts, ask, item):
    stub.plan = [acts.refuses(500), acts.refuses(503), acts.refuses(500), acts.grades(90)]
    assert [verdict.score for verdict in judged(ask(stub.host), item())] == [90.0]
    assert ask.waits == [0.5, 1.0, 2.0]


def test_500s_without_end_are_an_error_with_the_servers_words(stub, acts, ask, item):
    stub.plan = [acts.refuses(500, "llama runner process has terminated")]
    (verdict,) = judged(ask(stub.host, retries=1), item())
    assert verdict.status == "error"
    assert "llama runner process has terminated" in verdict.reason
    assert "500" in verdict.reason


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_final(stub, acts, ask, item, status):
    stub.plan = [acts.refuses(status, "no")]
    (verdict,) = judged(ask(stub.host), item())
    assert verdict.status == "error"
    assert len(stub.requests) == 1
    assert ask.waits == []


def test_a_model_that_vanishes_halfway_leaves_the_scores_before(stub, acts, ask, item):
    stub.plan = [acts.grades(80), acts.grades(81), acts.refuses(404, "model 'llama3' not found")]
    verdicts = judged(ask(stub.host), *(item(i) for i in range(4)))
    assert [verdict.score for verdict in verdicts] == [80.0, 81.0, None, None]
    assert [verdict.status for verdict in verdicts] == ["ok", "ok", "error", "error"]
    assert "model 'llama3' not found" in verdicts[3].reason
    assert len(stub.requests) == 4


def test_silence_longer_than_the_timeout_is_a_timeout(stub, acts, ask, item):
    stub.by_answer = {"hm": acts.is_silent}
    silent, fine = judged(ask(stub.host, timeout_s=0.1, retries=1), item(0, "hm"), item(1))
    assert (silent.status, silent.score) == ("timeout", None)
    assert "silent for 0.1 s" in silent.reason
    assert (fine.status, fine.score) == ("ok", 50.0)
    assert len(stub.requests) == 3


def test_slow_once_and_then_fine_is_a_score(stub, acts, ask, item):
    stub.plan = [acts.is_silent, acts.grades(40)]
    assert [verdict.score for verdict in judged(ask(stub.host, timeout_s=0.1), item())] == [40.0]


def test_a_server_that_goes_away_is_an_error_that_names_it(dead_host, ask, item):
    (verdict,) = judged(ask(dead_host, retries=1), item())
    assert (verdict.status, verdict.reason) == ("error", f"no connection to {dead_host}")


def test_work_goes_to_the_server_that_is_left(stub, dead_host, ask, item):
    verdicts = judged(ask(dead_host, stub.host, concurrency=2), *(item(i) for i in range(6)))
    assert [verdict.index for verdict in verdicts] == list(range(6))
    assert {verdict.status for verdict in verdicts} == {"ok"}
    assert ask.waits == []


def test_a_server_that_lost_its_model_hands_its_items_on(start, acts, ask, item):
    bad, good = start(), start()
    bad.plan = [acts.refuses(404, "model not found")]
    verdicts = judged(ask(bad.host, good.host), *(item(i) for i in range(4)))
    assert {verdict.status for verdict in verdicts} == {"ok"}
    assert len(bad.requests) <= 1
    assert len(good.requests) == 4


def test_two_servers_share_the_work_in_order(start, acts, ask, item):
    stubs = [start(), start()]
    both_busy = threading.Barrier(2, timeout=10)

    def waits_for_the_other(handler, body):
        both_busy.wait()
        answer = json.loads(body["messages"][1]["content"])["answer_to_grade"]
        acts.grades(int(answer))(handler, body)

    for stub in stubs:
        stub.plan = [waits_for_the_other]
    verdicts = judged(ask(*(stub.host for stub in stubs)), *(item(i, str(i)) for i in range(6)))
    assert [verdict.score for verdict in verdicts] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [len(stub.requests) for stub in stubs] == [3, 3]


def test_no_more_calls_are_under_way_than_asked_for(stub, acts, ask, item):
    gate, running, most = threading.Lock(), [], []

    def counts(handler, body):
        with gate:
            running.append(1)
            most.append(len(running))
        threading.Event().wait(0.02)
        with gate:
            running.pop()
        acts.grades(1)(handler, body)

    stub.plan = [counts]
    judged(ask(stub.host, concurrency=3), *(item(i) for i in range(12)))
    assert 1 < max(most) <= 3


@pytest.mark.parametrize(
    ("num_read", "what"),
    [(2048, "read 2048 tokens"), (5000, "read 5000 tokens"), (1026, "leaves of a prompt"), (40, "less than")],
)
def test_a_prompt_that_the_server_cut_is_an_error_and_not_a_score(stub, acts, ask, item, num_read, what):
    stub.plan = [acts.says('{"reason": "Fine.", "score": 90}', prompt_eval_count=num_read)]
    (verdict,) = judged(ask(stub.host, num_ctx=2048), item(0, "long " * 400))
    assert (verdict.status, verdict.score) == ("error", None)
    assert "does not fit num_ctx=2048" in verdict.reason
    assert what in verdict.reason
    assert len(stub.requests) == 1


def test_a_prompt_that_cannot_fit_is_not_even_sent(stub, ask, item):
    (verdict,) = judged(ask(stub.host, num_ctx=512), item(0, "word " * 600))
    assert verdict.status == "error"
    assert "too many words" in verdict.reason
    assert stub.requests == []


@pytest.mark.parametrize("num_read", [None, 0, 26, 2048])
def test_a_short_prompt_is_not_suspected_whatever_the_server_counts(stub, acts, ask, item, num_read):
    stub.plan = [acts.says('{"reason": "Fine.", "score": 90}', prompt_eval_count=num_read)]
    assert [verdict.score for verdict in judged(ask(stub.host, num_ctx=4096), item())] == [90.0]


def test_half_a_character_in_answer_and_reply_does_no_harm(stub, acts, ask, item):
    stub.plan = [acts.says('{"reason": "half \\ud83d", "score": 5}')]
    (verdict,) = judged(ask(stub.host), item(0, "half \ud83d"))
    assert verdict.score == 5.0
    assert (verdict.reason + verdict.raw).encode()


def test_an_interrupt_is_not_held_up_by_a_silent_server(stub, acts, ask, item):
    asked = threading.Event()

    def is_asked_and_silent(handler, body):
        asked.set()
        acts.is_silent(handler, body)

    def interrupt():
        asked.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    stub.plan = [is_asked_and_silent]
    threading.Thread(target=interrupt, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        judged(ask(stub.host, timeout_s=60.0), *(item(i) for i in range(50)))
    assert time.monotonic() - began < 5
    assert len(stub.requests) == 1


def test_closing_the_iterator_ends_the_work(stub, acts, ask, item):
    stub.plan = [acts.grades(1), acts.is_silent]
    verdicts = ask(stub.host, timeout_s=60.0).score([item(i) for i in range(50)])
    assert next(verdicts).score == 1.0
    verdicts.close()
    assert len(stub.requests) <= 2
