"""What OpenAI-compatible servers differ in: how a reply's form is demanded, and what they take."""

import warnings

import pytest


def judged(judge, *items):
    return list(judge.score(items))


def test_the_request_carries_the_options_and_the_schema(openai_stub, ask, item):
    judged(ask.openai(openai_stub.host, temperature=0.5, seed=7, max_tokens=99), item())
    (request,) = openai_stub.requests
    form = request.pop("response_format")
    assert {name: request[name] for name in ("model", "temperature", "seed", "max_tokens")} == {
        "model": "gpt-4o-mini",
        "temperature": 0.5,
        "seed": 7,
        "max_tokens": 99,
    }
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    schema = form["json_schema"]["schema"]
    assert schema["properties"]["score"] == {"type": "integer", "minimum": 0, "maximum": 100}
    assert schema["additionalProperties"] is False


def _takes_only(acts, *forms, said="'response_format' is not supported"):
    """A server that refuses all other forms of a reply; `text` stands for none demanded."""

    def takes(body):
        form = body.get("response_format", {"type": "text"})["type"]
        return None if form in forms else acts.refuses(400, said)

    return takes


@pytest.mark.parametrize(
    ("forms", "tried"),
    [(("json_object", "text"), ["json_schema", "json_object"]), (("text",), ["json_schema", "json_object", None])],
)
@pytest.mark.parametrize("said", ["'response_format' is not supported", "Bad request"])
def test_a_server_that_enforces_less_is_asked_for_less_and_it_is_said_once(
    openai_stub, acts, ask, item, forms, tried, said
):
    openai_stub.takes = _takes_only(acts, *forms, said=said)
    judge = ask.openai(openai_stub.host, concurrency=1)
    with pytest.warns(RuntimeWarning) as caught:
        verdicts = judged(judge, item(0), item(1))
    assert [verdict.score for verdict in verdicts] == [50.0, 50.0]
    found = [request.get("response_format", {}).get("type") for request in openai_stub.requests]
    assert found == [*tried, tried[-1]]  # the second item is asked about as the first one was answered
    (warning,) = caught
    assert "refuses response_format json_schema" in str(warning.message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judged(judge, item(2))
    assert len(openai_stub.requests) == len(tried) + 2


def test_what_comes_back_without_a_schema_is_read_as_strictly(openai_stub, acts, ask, item):
    openai_stub.takes = _takes_only(acts, "text")
    openai_stub.plan = [acts.says("85, I think.")]
    with pytest.warns(RuntimeWarning):
        (verdict,) = judged(ask.openai(openai_stub.host, retries=0), item())
    assert verdict.status == "unparsable"


def test_a_model_that_wants_max_completion_tokens_and_no_temperature_gets_that(openai_stub, acts, ask, item):
    def takes(body):
        if "max_tokens" in body:
            return acts.refuses(400, "Unsupported parameter. Use 'max_completion_tokens'.", param="max_tokens")
        if "temperature" in body:
            return acts.refuses(400, "Unsupported value: does not support 0.", param="temperature")
        return None

    openai_stub.takes = takes
    with pytest.warns(RuntimeWarning, match=r"refuses temperature \(left out\)"):
        (verdict,) = judged(ask.openai(openai_stub.host, max_tokens=300), item())
    assert verdict.score == 50.0
    assert openai_stub.requests[-1]["max_completion_tokens"] == 300
    assert openai_stub.requests[-1]["response_format"]["type"] == "json_schema"


def test_a_refusal_of_the_prompt_is_final_and_weakens_nothing(openai_stub, acts, ask, item):
    openai_stub.plan = [acts.refuses(400, "This model's maximum context length is 512 tokens."), acts.grades(9)]
    first, second = judged(ask.openai(openai_stub.host, concurrency=1), item(0), item(1))
    assert (first.status, second.score) == ("error", 9.0)
    assert "maximum context length" in first.reason
    assert [request["response_format"]["type"] for request in openai_stub.requests] == ["json_schema"] * 2


def test_once_a_form_was_taken_a_refusal_weakens_it_no_more(openai_stub, acts, ask, item):
    openai_stub.plan = [acts.grades(9), acts.refuses(400, "response_format: no"), acts.grades(9)]
    verdicts = judged(ask.openai(openai_stub.host, concurrency=1), *(item(i) for i in range(3)))
    assert [verdict.status for verdict in verdicts] == ["ok", "error", "ok"]
    assert len(openai_stub.requests) == 3


def test_a_server_that_refuses_everything_is_an_error_with_its_words(openai_stub, acts, ask, item):
    openai_stub.plan = [acts.refuses(400, "no model is loaded")]
    (verdict,) = judged(ask.openai(openai_stub.host), item())
    assert verdict.status == "error"
    assert "no model is loaded" in verdict.reason
    assert len(openai_stub.requests) == 3
    assert ask.waits == []


def test_too_many_requests_are_waited_out_as_long_as_the_server_asks(openai_stub, acts, ask, item):
    openai_stub.plan = [
        acts.refuses(429, "slow down", headers={"Retry-After": "7"}),
        acts.refuses(429, "slow down", headers={"Retry-After": "99999"}),
        acts.refuses(429, "slow down", headers={"Retry-After": "soon"}),
        acts.grades(80),
    ]
    assert [verdict.score for verdict in judged(ask.openai(openai_stub.host), item())] == [80.0]
    assert ask.waits[:2] == [7.0, 60.0]
    assert 1.0 <= ask.waits[2] <= 2.0


def test_a_spent_budget_is_not_waited_for(openai_stub, acts, ask, item):
    openai_stub.plan = [acts.refuses(429, "You exceeded your quota", code="insufficient_quota")]
    (verdict,) = judged(ask.openai(openai_stub.host), item())
    assert (verdict.status, ask.waits) == ("error", [])
    assert "You exceeded your quota" in verdict.reason


def test_a_reply_that_was_cut_says_so(openai_stub, acts, ask, item):
    message = {"role": "assistant", "content": '{"reason": "It is and it is'}
    openai_stub.plan = [acts.says("", choices=[{"index": 0, "message": message, "finish_reason": "length"}])]
    (verdict,) = judged(ask.openai(openai_stub.host, retries=0), item())
    assert verdict.status == "unparsable"
    assert "the reply was cut at its longest length" in verdict.reason


def finished(acts, content, finish_reason, **fields):
    message = {"role": "assistant", "content": content}
    return acts.says("", choices=[{"index": 0, "message": message, "finish_reason": finish_reason}], **fields)


@pytest.mark.parametrize("finish_reason", ["length", "max_tokens"])
@pytest.mark.parametrize(("content", "parse"), [("I would say 8", "lenient"), ('{"score": 8}', "strict")])
def test_a_reply_that_was_cut_is_no_score_even_if_it_reads_like_one(
    openai_stub, acts, ask, item, finish_reason, content, parse
):
    openai_stub.plan = [finished(acts, content, finish_reason)]
    (verdict,) = judged(ask.openai(openai_stub.host, retries=0, parse=parse), item())
    assert (verdict.status, verdict.score, verdict.raw) == ("unparsable", None, content)


@pytest.mark.parametrize("finish_reason", ["content_filter", "error", "abort"])
def test_a_reply_that_was_broken_off_is_no_score(openai_stub, acts, ask, item, finish_reason):
    openai_stub.plan = [finished(acts, '{"score": 80}', finish_reason)]
    (verdict,) = judged(ask.openai(openai_stub.host, retries=0), item())
    assert (verdict.status, verdict.score) == ("error", None)
    assert finish_reason in verdict.reason


@pytest.mark.parametrize("finish_reason", ["stop", "eos_token", "stop_sequence", None])
def test_a_reply_that_ended_by_itself_is_a_score(openai_stub, acts, ask, item, finish_reason):
    openai_stub.plan = [finished(acts, '{"score": 80}', finish_reason)]
    assert [verdict.score for verdict in judged(ask.openai(openai_stub.host), item())] == [80.0]


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4-0613", "gpt-4-0613"),
        ("some-model-latest", "some-model-20241022"),
        ("openai/gpt-4o", "gpt-4o"),
        ("llama3", "llama3:latest"),
    ],
)
def test_a_dated_name_of_the_model_is_the_model(openai_stub, acts, ask, item, asked, served):
    openai_stub.models = [{"id": asked}, {"id": served}]
    openai_stub.plan = [acts.says('{"score": 80}', model=served)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [verdict.score for verdict in judged(ask.openai(openai_stub.host, model=asked), item())] == [80.0]


@pytest.mark.parametrize(("asked", "served"), [("gpt-4o", "gpt-4o-mini"), ("gpt-4-0613", "gpt-4-0314"), ("a/x", "b/y")])
def test_another_model_that_the_server_has_gives_no_score(openai_stub, acts, ask, item, asked, served):
    openai_stub.models = [{"id": asked}, {"id": served}]
    openai_stub.plan = [acts.says('{"score": 80}', model=served)]
    for verdict in judged(ask.openai(openai_stub.host, model=asked, concurrency=1), item(0), item(1)):
        assert (verdict.status, verdict.score) == ("error", None)
        assert f"answered with the model {served!r} instead of {asked!r}, and lists both" in verdict.reason
    assert len(openai_stub.requests) == 2


def test_a_name_that_the_server_does_not_list_is_taken_for_an_alias_and_said_once(openai_stub, acts, ask, item):
    openai_stub.models = [{"id": "my-deployment"}]
    openai_stub.plan = [acts.says('{"score": 80}', model="gpt-4o-2024-08-06")]
    judge = ask.openai(openai_stub.host, model="my-deployment", concurrency=1)
    with pytest.warns(RuntimeWarning) as caught:
        assert [verdict.score for verdict in judged(judge, item(0), item(1))] == [80.0, 80.0]
    assert [str(warning.message).partition("/v1 ")[2] for warning in caught] == [
        "answers as 'gpt-4o-2024-08-06' to 'my-deployment': taken as an alias of it"
    ]


def test_a_model_that_will_not_judge_is_unparsable_with_its_words(openai_stub, acts, ask, item):
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    openai_stub.plan = [acts.says("", choices=[{"index": 0, "message": message, "finish_reason": "stop"}])]
    (verdict,) = judged(ask.openai(openai_stub.host, retries=0), item())
    assert (verdict.status, verdict.raw) == ("unparsable", "I cannot help with that.")


def test_a_server_that_answers_with_another_model_halfway_gives_no_more_verdicts(openai_stub, acts, ask, item):
    reply = '{"reason": "Fine.", "score": 90}'
    openai_stub.plan = [acts.says(reply, model="qwen-7b"), acts.says(reply, model="qwen-1b")]
    judge = ask.openai(openai_stub.host, concurrency=1)
    first, second = judged(judge, item(0), item(1))
    (third,) = judged(judge, item(2))
    assert first.score == 90.0
    assert [(verdict.status, verdict.score) for verdict in (second, third)] == [("error", None)] * 2
    assert "answers with the model 'qwen-1b' now, and answered with 'qwen-7b' before" in second.reason
    assert len(openai_stub.requests) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "all gone"}},
        {"error": "all gone"},
        {"detail": "all gone"},
        {"detail": [{"msg": "all gone"}]},
    ],
)
def test_what_a_refusal_says_is_found_wherever_servers_put_it(openai_stub, ask, item, body):
    openai_stub.plan = [lambda handler, _: handler.send_document(body, 404)]
    (verdict,) = judged(ask.openai(openai_stub.host), item())
    assert "all gone" in verdict.reason


def test_a_refusal_in_plain_text_is_quoted(openai_stub, ask, item):
    openai_stub.plan = [lambda handler, _: handler.send_bytes(b"Internal Server Error", 500)]
    (verdict,) = judged(ask.openai(openai_stub.host, retries=0), item())
    assert "Internal Server Error (HTTP 500)" in verdict.reason
