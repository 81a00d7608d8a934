import sys

import pytest
from sftframe_plugins.judges.openai import OpenAIJudge, OpenAIOptions

from sftframe import ConfigError, JudgeError


def test_the_check_asks_for_no_reply(openai_stub, ask):
    ask.openai(openai_stub.host).check()
    assert openai_stub.requests == []


def test_the_identity_names_model_and_server(openai_stub, ask):
    identity = ask.openai(openai_stub.host, model="qwen").identity
    assert identity.startswith(f"openai:qwen@{openai_stub.host.removeprefix('http://')}#")


def test_another_server_or_limit_is_another_identity(openai_stub, ask):
    plain = ask.openai(openai_stub.host).identity
    others = [
        ask.openai(openai_stub.host, max_tokens=512).identity,
        ask.openai(openai_stub.host, response_format="text").identity,
        ask.openai("http://127.0.0.1:9").identity,
    ]
    assert len({plain, *others}) == 4


def test_nobody_listening_is_said_with_ways_out(dead_host, ask):
    with pytest.raises(JudgeError) as caught:
        ask.openai(dead_host).check()
    message = str(caught.value)
    assert f"no connection to {dead_host}/v1" in message
    assert "judge.base_url" in message
    assert "--judge reference" in message


def test_a_missing_model_is_said_with_those_that_are_there(openai_stub, ask):
    with pytest.raises(JudgeError, match=r"no model 'qwen'.*it has: gpt-4o-mini\).*judge\.model"):
        ask.openai(openai_stub.host, model="qwen").check()


def test_of_many_models_only_some_are_listed(openai_stub, ask):
    openai_stub.models = [{"id": f"m{i}"} for i in range(300)]
    with pytest.raises(JudgeError, match=r"m10, m11 and 288 more\)"):
        ask.openai(openai_stub.host).check()


def test_a_model_that_is_not_listed_but_known_is_there(openai_stub, ask):
    openai_stub.models, openai_stub.details = [{"id": "another"}], {"gpt-4o-mini": {}}
    ask.openai(openai_stub.host).check()
    assert openai_stub.requests == []


def test_a_server_with_an_empty_list_is_asked_for_a_word(openai_stub, ask):
    openai_stub.models = []
    ask.openai(openai_stub.host).check()
    assert len(openai_stub.requests) == 1


@pytest.mark.parametrize("status", [404, 405, 500])
def test_a_server_without_a_list_is_asked_for_a_word(openai_stub, acts, ask, status):
    openai_stub.get_act = acts.refuses(status, "no such thing")
    ask.openai(openai_stub.host).check()
    assert len(openai_stub.requests) == 1


@pytest.mark.parametrize("fault", ["a 500", "prose"])
def test_what_may_pass_does_not_fail_the_check(openai_stub, acts, ask, fault):
    openai_stub.get_act = acts.refuses(404, "no such path")
    openai_stub.plan = [{"a 500": acts.refuses(500), "prose": acts.sends(b"hello")}[fault]]
    ask.openai(openai_stub.host).check()


def test_a_wrong_path_is_noticed(openai_stub, ask):
    with pytest.raises(JudgeError, match=r"HTTP 404.*mostly /v1"):
        OpenAIJudge(OpenAIOptions(base_url=f"{openai_stub.host}/v2")).check()


def test_openais_own_server_is_not_asked_without_a_key(openai_stub, ask):
    with pytest.raises(JudgeError, match=r"needs a key for https://api\.openai\.com/v1: set the environment variable"):
        OpenAIJudge(OpenAIOptions()).check()


def test_the_address_comes_from_the_environment_unless_it_is_set(openai_stub, monkeypatch):
    assert OpenAIOptions().url == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://one:1/v1/")
    assert OpenAIOptions().url == "http://one:1/v1"
    assert OpenAIOptions(base_url="http://two:2/v1").url == "http://two:2/v1"


@pytest.mark.parametrize("url", ["localhost:8000", "http://", "ftp://here/v1", "http://here:port/v1", "here"])
def test_what_is_no_address_is_an_error_of_the_configuration(url):
    with pytest.raises(ConfigError, match=r"judge\.base_url is not an address; expected something like http://"):
        OpenAIOptions(base_url=url)


def test_a_template_is_checked_before_anybody_is_asked(dead_host, ask):
    with pytest.raises(ConfigError, match=r"judge\.template has no \{\{answer\}\}"):
        ask.openai(dead_host, template="{{instruction}}").check()


def test_without_the_package_the_message_says_what_to_install(openai_stub, ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)  # what Python itself does to make an import fail
    with pytest.raises(ConfigError, match=r"pip install 'sftframe\[openai\]'"):
        ask.openai(openai_stub.host).check()
