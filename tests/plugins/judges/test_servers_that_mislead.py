"""Servers that redirect, that send too much, and the environment's proxies: the same for both protocols."""

import os

import pytest

from sftframe import JudgeError


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def other(start):
    """A second server, which must not hear of anything."""
    return start()


def redirects(status, target):
    return lambda handler, body: handler.send_bytes(b"", status, headers={"Location": target})


@pytest.mark.parametrize("status", [301, 307])
def test_a_question_does_not_follow_a_redirect_to_another_server(bench, other, item, status):
    bench.stub.plan = [redirects(status, f"{other.host}/api/chat")]
    (verdict,) = bench.judge().score([item()])
    assert (verdict.status, verdict.score) == ("error", None)
    assert f"{bench.stub.host} redirects to another server, {other.host}: refused" in verdict.reason
    assert (len(bench.stub.requests), other.requests, other.headers) == (1, [], [])


def test_a_pair_does_not_follow_a_redirect_either(bench, other, pair):
    bench.stub.plan = [redirects(308, f"{other.host}/api/chat")]
    (preference,) = bench.judge().prefer([pair()])
    assert (preference.status, other.requests) == ("error", [])


def test_a_question_follows_a_redirect_within_its_server(bench, acts, item):
    path = {"OllamaHandler": "/api/chat", "OpenAIHandler": "/v1/chat/completions"}
    here = next(path[kind.__name__] for kind in bench.stub.handler.__mro__ if kind.__name__ in path)
    bench.stub.plan = [redirects(307, here), acts.grades(80)]
    assert [verdict.score for verdict in bench.judge().score([item()])] == [80.0]
    assert len(bench.stub.requests) == 2


def test_the_check_says_that_a_server_redirects(bench, other):
    bench.stub.get_act = redirects(302, f"{other.host}/api/tags")
    with pytest.raises(JudgeError, match=f"redirects to another server, {other.host}: refused") as caught:
        bench.judge().check()
    assert "ollama serve" not in str(caught.value)
    assert other.headers == []


def sends_without_end(handler, body):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def test_a_reply_that_is_too_long_is_an_error_of_its_item_alone(bench, item):
    bench.stub.by_answer = {"much": sends_without_end}
    much, fine = bench.judge().score([item(3, "much"), item(4)])
    assert (much.index, much.status, much.score) == (3, "error", None)
    assert "sent a reply of more than 4 MB" in much.reason
    assert (fine.status, fine.score) == ("ok", 50.0)
    assert len(bench.stub.requests) == 2


def test_a_list_of_models_that_is_too_long_is_an_error_of_the_check(bench):
    bench.stub.get_act = sends_without_end
    with pytest.raises(JudgeError, match="sent a reply of more than 4 MB"):
        bench.judge().check()


def test_a_reason_of_a_megabyte_is_kept_in_short(bench, acts, item):
    bench.stub.plan = [acts.grades(70, "because " * 130_000), acts.grades(71, "x" * 1_000_000)]
    for verdict in bench.judge().score([item(0), item(1)]):
        assert verdict.status == "ok"
        assert len(verdict.reason) <= 1000
        assert len(verdict.raw) <= 2000


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("ALL_PROXY", "socks5h://127.0.0.1:9"),
        ("ALL_PROXY", "nonsense://127.0.0.1:9"),
        ("NO_PROXY", "http://[::1"),
    ],
)
def test_a_server_on_this_machine_is_asked_straight_whatever_the_environment_names(
    bench, item, monkeypatch, variable, value
):
    monkeypatch.setenv(variable, value)
    judge = bench.judge()
    judge.check()
    assert [verdict.score for verdict in judge.score([item()])] == [50.0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("socks4://127.0.0.1:9", "ALL_PROXY names a proxy that cannot be used"),
        ("socks5h://127.0.0.1:9", r"no connection to .* \(through the proxy that ALL_PROXY names\)"),
        ("http://127.0.0.1:9", r"no connection to .* \(through the proxy that ALL_PROXY names\)"),
    ],
)
def test_a_proxy_that_does_not_serve_is_named_by_its_variable(bench, item, monkeypatch, value, reason):
    monkeypatch.setenv("ALL_PROXY", value)
    judge = bench.judge_at("http://models.invalid:8000", retries=0)
    with pytest.raises(JudgeError, match=reason):
        judge.check()
    (verdict,) = judge.score([item()])
    assert verdict.status == "error"
    assert "ALL_PROXY" in verdict.reason


@pytest.mark.parametrize("fault", ["drips", "is_silent"])
def test_a_check_does_not_wait_for_a_server_that_never_ends(bench, acts, fault):
    bench.stub.get_act = getattr(acts, fault)
    with pytest.raises(JudgeError, match=r"gave no reply within"):
        bench.judge(timeout_s=0.2).check()
