"""Whatever a server does, every item gets its verdict, in order, and nothing is tried more often than it should be."""

import json
import os
import signal
import threading
import time

import pytest

from sftframe.testing.judge import check_judge


def judged(judge, *items):
    return list(judge.score(items))


def test_scores_come_back_in_the_items_order_with_reason_and_raw_reply(bench, acts, item):
    bench.stub.by_answer = {"a": acts.grades(10, "Wrong."), "b": acts.grades(100, "Right.")}
    judge = bench.judge()
    first, second = judged(judge, item(7, "b"), item(3, "a"))
    assert (first.index, first.status, first.score, first.reason) == (7, "ok", 100.0, "Right.")
    assert (second.index, second.status, second.score, second.reason) == (3, "ok", 10.0, "Wrong.")
    assert json.loads(first.raw) == {"reason": "Right.", "score": 100}
    assert first.judge == judge.identity


def test_preferences_come_back_in_the_pairs_order(bench, acts, pair):
    bench.stub.by_answer = {"x": acts.prefers("second", "Shorter."), "y": acts.prefers("tie")}
    judge = bench.judge()
    first, second = judge.prefer([pair(5, first="y"), pair(2, second="x")])
    assert (first.index, first.status, first.winner) == (5, "ok", "tie")
    assert (second.index, second.status, second.winner, second.reason) == (2, "ok", "second", "Shorter.")
    assert second.judge == judge.identity


@pytest.mark.parametrize("better", ["both", "First", 1, None, ["first"]])
def test_what_is_no_preference_is_unparsable_after_all_attempts(bench, acts, pair, better):
    bench.stub.plan = [acts.prefers(better)]
    (preference,) = bench.judge(retries=2).prefer([pair()])
    assert (preference.status, preference.winner) == ("unparsable", None)
    assert preference.raw
    assert len(bench.stub.requests) == 3


def test_a_preference_after_a_500_and_a_cut_body_is_a_preference(bench, acts, pair):
    bench.stub.plan = [acts.refuses(500), acts.cuts_the_body, acts.prefers("first")]
    assert [preference.winner for preference in bench.judge().prefer([pair()])] == ["first"]


def test_a_pair_goes_out_as_it_stands_and_with_its_schema(bench, pair):
    list(bench.judge(retries=0).prefer([pair(first="A", second="B")]))
    (request,) = bench.stub.requests
    shown = json.loads(request["messages"][1]["content"])
    assert (shown["first_answer"], shown["second_answer"]) == ("A", "B")
    assert '"enum": ["first", "second", "tie"]' in json.dumps(request)


def test_the_judge_keeps_the_contract(bench):
    check_judge(bench.judge(), is_deterministic=True)


@pytest.mark.parametrize(
    "content",
    [
        "I would give this answer 85 points.",
        '{"score": 110, "reason": "Great."}',
        '{"score": -1, "reason": "Bad."}',
        '{"score": 87.5, "reason": "Fine."}',
        '{"score": "85", "reason": "Fine."}',
        '{"score": true, "reason": "Yes."}',
        '{"score": NaN, "reason": "Hm."}',
        '{"score": 85, "reason": "Fine."} I hope this helps!',
        '{"score": 10, "reason": "Bad.", "score": 90}',
        '{"grade": 85}',
        '```json\n{"score": 85}\n```',
        "[85]",
        "85",
        "",
    ],
)
def test_what_is_no_score_is_unparsable_after_all_attempts(bench, acts, item, content):
    bench.stub.plan = [acts.says(content)]
    (verdict,) = judged(bench.judge(retries=2), item())
    assert (verdict.status, verdict.score, verdict.raw) == ("unparsable", None, content)
    assert verdict.reason
    assert len(bench.stub.requests) == 3


def test_prose_once_and_then_a_score_is_a_score(bench, acts, item):
    bench.stub.plan = [acts.says("Well, let me think."), acts.grades(70)]
    assert [verdict.score for verdict in judged(bench.judge(), item())] == [70.0]


def test_a_lenient_judge_reads_prose_and_says_so(bench, acts, item):
    bench.stub.plan = [acts.says("I would give this answer 85 points.")]
    (verdict,) = judged(bench.judge(parse="lenient"), item())
    assert (verdict.status, verdict.score) == ("ok", 85.0)
    assert verdict.reason == "read leniently from: I would give this answer 85 points."


def test_a_lenient_judge_does_not_take_110_for_a_score(bench, acts, item):
    bench.stub.plan = [acts.says('{"score": 110, "reason": "5 of 5."}')]
    (verdict,) = judged(bench.judge(parse="lenient", retries=0), item())
    assert verdict.status == "unparsable"


@pytest.mark.parametrize(
    "body",
    [b"", b'{"model": "lla', b"[]", b"null", b"<html>busy</html>", b'{"done": true}', b'{"choices": []}', b"[" * 9999],
)
def test_a_body_that_is_no_reply_is_unparsable(bench, acts, item, body):
    bench.stub.plan = [acts.sends(body)]
    (verdict,) = judged(bench.judge(retries=1), item())
    assert (verdict.status, verdict.score) == ("unparsable", None)
    assert bench.stub.host in verdict.reason
    assert len(bench.stub.requests) == 2


@pytest.mark.parametrize("content", [None, 85, ["85"], {"score": 85}])
def test_a_message_that_is_no_text_is_unparsable(bench, acts, item, content):
    bench.stub.plan = [acts.says(content)]
    (verdict,) = judged(bench.judge(retries=0), item())
    assert (verdict.status, verdict.score) == ("unparsable", None)


@pytest.mark.parametrize("fault", ["cuts_the_body", "hangs_up"])
def test_a_connection_that_breaks_is_tried_again(bench, acts, item, fault):
    bench.stub.plan = [getattr(acts, fault), acts.grades(60)]
    assert [verdict.score for verdict in judged(bench.judge(), item())] == [60.0]


@pytest.mark.parametrize("fault", ["cuts_the_body", "hangs_up"])
def test_a_connection_that_always_breaks_is_an_error(bench, acts, item, fault):
    bench.stub.plan = [getattr(acts, fault)]
    (verdict,) = judged(bench.judge(retries=2), item())
    assert (verdict.status, verdict.score) == ("error", None)
    assert bench.stub.host in verdict.reason
    assert len(bench.stub.requests) == 3


def test_several_500s_in_a_row_are_waited_out_ever_longer(bench, acts, item):
    bench.stub.plan = [acts.refuses(500), acts.refuses(503), acts.refuses(500), acts.grades(90)]
    assert [verdict.score for verdict in judged(bench.judge(), item())] == [90.0]
    assert len(bench.waits) == 3
    assert all(longest / 2 <= wait <= longest for wait, longest in zip(bench.waits, [0.5, 1, 2], strict=True))


def test_500s_without_end_are_an_error_with_the_servers_words(bench, acts, item):
    bench.stub.plan = [acts.refuses(500, "llama runner process has terminated")]
    (verdict,) = judged(bench.judge(retries=1), item())
    assert verdict.status == "error"
    assert "llama runner process has terminated" in verdict.reason
    assert "500" in verdict.reason
    assert len(bench.stub.requests) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_final(bench, acts, item, status):
    bench.stub.plan = [acts.refuses(status, "no")]
    (verdict,) = judged(bench.judge(), item())
    assert verdict.status == "error"
    assert f"HTTP {status}" in verdict.reason
    assert len(bench.stub.requests) == 1
    assert bench.waits == []


def test_a_model_that_vanishes_halfway_leaves_the_scores_before(bench, acts, item):
    bench.stub.plan = [acts.grades(80), acts.grades(81), acts.refuses(404, "model not found")]
    verdicts = judged(bench.judge(), *(item(i) for i in range(4)))
    assert [verdict.score for verdict in verdicts] == [80.0, 81.0, None, None]
    assert [verdict.status for verdict in verdicts] == ["ok", "ok", "error", "error"]
    assert "model not found" in verdicts[3].reason
    assert len(bench.stub.requests) == 4


def test_silence_longer_than_the_timeout_is_a_timeout(bench, acts, item):
    judge = bench.judge(timeout_s=0.3, retries=1)
    bench.stub.by_answer = {"hm": acts.is_silent}
    silent, fine = judged(judge, item(0, "hm"), item(1))
    assert (silent.status, silent.score) == ("timeout", None)
    assert "no reply within 0.3 s" in silent.reason
    assert (fine.status, fine.score) == ("ok", 50.0)
    assert len(bench.stub.requests) == 3


def test_a_server_that_sends_without_end_is_a_timeout_too(bench, acts, item):
    bench.stub.plan = [acts.drips]
    (verdict,) = judged(bench.judge(timeout_s=0.3, retries=0), item())
    assert (verdict.status, verdict.score) == ("timeout", None)


def test_slow_once_and_then_fine_is_a_score(bench, acts, item):
    bench.stub.plan = [acts.is_silent, acts.grades(40)]
    assert [verdict.score for verdict in judged(bench.judge(timeout_s=0.3), item())] == [40.0]


def test_a_server_that_goes_away_is_an_error_that_names_it(bench, dead_host, item):
    (verdict,) = judged(bench.judge_at(dead_host, retries=1), item())
    assert verdict.status == "error"
    assert verdict.reason.startswith(f"no connection to {dead_host}")
    assert len(bench.waits) == 1


def test_no_more_calls_are_under_way_than_asked_for(bench, busy, item):
    bench.stub.plan = [busy]
    judged(bench.judge(concurrency=3), *(item(i) for i in range(12)))
    assert 1 < busy.most <= 3


def test_half_a_character_in_answer_and_reply_does_no_harm(bench, acts, item):
    bench.stub.plan = [acts.says('{"reason": "half \\ud83d", "score": 5}')]
    (verdict,) = judged(bench.judge(), item(0, "half \ud83d"))
    assert verdict.score == 5.0
    assert (verdict.reason + verdict.raw).encode()


def test_an_interrupt_is_not_held_up_by_a_silent_server(bench, acts, item):
    asked = threading.Event()

    def is_asked_and_silent(handler, body):
        asked.set()
        acts.is_silent(handler, body)

    def interrupt():
        asked.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    bench.stub.plan = [is_asked_and_silent]
    threading.Thread(target=interrupt, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        judged(bench.judge(timeout_s=600.0), *(item(i) for i in range(50)))
    assert time.monotonic() - began < 300, "waited for the server"
    assert len(bench.stub.requests) == 1


def test_closing_the_iterator_ends_the_work(bench, acts, item):
    bench.stub.plan = [acts.grades(1), acts.is_silent]
    verdicts = bench.judge(timeout_s=60.0).score([item(i) for i in range(50)])
    assert next(verdicts).score == 1.0
    verdicts.close()
    assert len(bench.stub.requests) <= 2


def test_a_template_of_ones_own_goes_out_filled(bench, item):
    template = "Be kind.\n---\nReference: {{ reference }}\nAnswer: {{answer}}"
    judged(bench.judge(template=template), item(0, 'It is "Paris".'))
    assert bench.stub.requests[0]["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": 'Reference: "Paris."\nAnswer: "It is \\"Paris\\"."'},
    ]


def test_what_shapes_a_verdict_is_part_of_the_identity(bench, tmp_path):
    def identity(**options):
        return bench.judge(**options).identity

    file = tmp_path / "template.txt"
    file.write_text("Be kind: {{answer}}")
    assert identity() == identity(timeout_s=1.0, concurrency=4, retries=0)
    assert identity(template=str(file)) == identity(template="Be kind: {{answer}}")
    others = [
        {"seed": 1},
        {"temperature": 0.5},
        {"parse": "lenient"},
        {"model": "other"},
        {"template": "Be kind: {{answer}}"},
        {"template": "Be hard: {{answer}}"},
        {"pair_template": "{{first}} or {{second}}?"},
    ]
    assert len({identity(), *(identity(**other) for other in others)}) == 8
