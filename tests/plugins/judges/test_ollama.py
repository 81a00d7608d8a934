"""What Ollama alone has: its options on the wire, its cut replies, and its contexts that overflow in silence."""

import json

import pytest


def judged(judge, *items):
    return list(judge.score(items))


def test_the_request_carries_the_options_and_the_schema(stub, ask, item):
    judged(ask(stub.host, temperature=0.5, seed=7, num_ctx=2048, keep_alive="10m"), item())
    (request,) = stub.requests
    assert request["model"] == "llama3"
    assert request["stream"] is False
    assert request["keep_alive"] == "10m"
    assert request["options"] == {"temperature": 0.5, "seed": 7, "num_ctx": 2048, "num_predict": 256}
    assert request["format"]["properties"]["score"] == {"type": "integer", "minimum": 0, "maximum": 100}
    assert request["format"]["required"] == ["reason", "score"]


@pytest.mark.parametrize("status", [400, 422, 429])
def test_no_refusal_of_ollamas_is_tried_again(stub, acts, ask, item, status):
    stub.plan = [acts.refuses(status, "no")]
    (verdict,) = judged(ask(stub.host), item())
    assert verdict.status == "error"
    assert len(stub.requests) == 1


def test_a_reply_that_never_ends_is_cut_and_says_so(stub, acts, ask, item):
    stub.plan = [acts.says('{"reason": "It is and it is and', done_reason="length")]
    (verdict,) = judged(ask(stub.host, retries=0), item())
    assert verdict.status == "unparsable"
    assert "the reply was cut at its longest length" in verdict.reason


@pytest.mark.parametrize("parse", ["strict", "lenient"])
def test_a_reply_that_is_cut_is_no_score_even_if_it_reads_like_one(stub, acts, ask, item, parse):
    stub.plan = [acts.says("I would say 8", done_reason="length"), acts.says('{"score": 8}', done_reason="length")]
    for verdict in judged(ask(stub.host, retries=0, parse=parse), item(0), item(1)):
        assert (verdict.status, verdict.score) == ("unparsable", None)


def test_a_reply_that_is_not_done_is_tried_again_and_never_a_score(stub, acts, ask, item):
    stub.plan = [acts.says('{"score": 80}', done=False)]
    (verdict,) = judged(ask(stub.host, retries=1), item())
    assert (verdict.status, verdict.score, len(stub.requests)) == ("error", None, 2)
    assert "not finished" in verdict.reason


@pytest.mark.parametrize("answered", ["llama3:8b", "llama", "mistral:latest", "other/llama3:latest"])
def test_a_reply_of_another_model_is_an_error_and_no_score(stub, acts, ask, item, answered):
    stub.plan = [acts.says('{"score": 80}', model=answered)]
    (verdict,) = judged(ask(stub.host), item())
    assert (verdict.status, verdict.score, len(stub.requests)) == ("error", None, 1)
    assert f"answered with the model {answered!r} instead of 'llama3'" in verdict.reason


@pytest.mark.parametrize(
    "answered", ["llama3", "llama3:latest", "LLAMA3", "registry.ollama.ai/library/llama3:latest", "library/llama3", ""]
)
def test_another_way_to_write_the_models_name_is_the_same_model(stub, acts, ask, item, answered):
    stub.plan = [acts.says('{"score": 80}', model=answered)]
    assert [verdict.score for verdict in judged(ask(stub.host), item())] == [80.0]


@pytest.mark.parametrize(
    ("num_read", "what"),
    [(2048, "read 2048 tokens"), (5000, "read 5000 tokens"), (1026, "that it has cut"), (40, "less than")],
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


def test_hosts_as_a_list_come_from_a_configuration(stub, item):
    from sftframe_plugins.judges.ollama import OllamaJudge

    from sftframe.config import build_options

    options = build_options(OllamaJudge, {"host": [stub.host], "timeout_s": 5}, "judge")
    assert options.hosts == (stub.host,)
    assert [verdict.score for verdict in OllamaJudge(options).score([item()])] == [50.0]


def test_the_prompt_is_one_object_with_the_items_four_texts(stub, ask, item):
    judged(ask(stub.host), item(0, "Lyon."))
    assert json.loads(stub.requests[0]["messages"][1]["content"]) == {
        "instruction": "Name the capital of France.",
        "input": "",
        "reference_answer": "Paris.",
        "answer_to_grade": "Lyon.",
    }
