import pytest
from sftframe_plugins.judges.ollama import OllamaJudge, OllamaOptions

from sftframe import ConfigError, JudgeError

OTHER_DIGEST = "8eeb52dfb3bb9aefdf9d1ef24b3bdbcfbe82238798c4b918278320b6fcef18fe"


def test_the_check_records_the_digest_that_the_server_lists(stub, ask):
    judge = ask(stub.host)
    assert judge.identity.startswith("ollama:llama3#")
    judge.check()
    assert judge.identity.startswith("ollama:llama3@sha256:365c0bd3c000#")


def test_what_shapes_a_verdict_is_part_of_the_identity():
    def identity(**options):
        return OllamaJudge(OllamaOptions(host="h", **options)).identity

    assert identity() == identity(timeout_s=1.0, concurrency=4, retries=0, keep_alive="1m")
    others = [{"seed": 1}, {"temperature": 0.5}, {"num_ctx": 8192}, {"parse": "lenient"}, {"template": "Be kind."}]
    assert len({identity(), *(identity(**other) for other in others)}) == 6


def test_nobody_listening_is_said_with_three_ways_out(dead_host, ask):
    with pytest.raises(JudgeError) as caught:
        ask(dead_host).check()
    message = str(caught.value)
    assert dead_host in message
    assert "ollama serve" in message
    assert "judge.host" in message
    assert "--judge reference" in message


def test_a_missing_model_is_said_with_the_models_that_are_there(stub, ask):
    stub.models.append({"name": "mistral:latest", "model": "mistral:latest", "digest": OTHER_DIGEST})
    with pytest.raises(JudgeError) as caught:
        ask(stub.host, model="llama4").check()
    message = str(caught.value)
    assert "'llama4'" in message
    assert "llama3:latest, mistral:latest" in message
    assert "ollama pull llama4" in message
    assert "--judge reference" in message


def test_a_model_is_found_by_its_full_name_too(stub, ask):
    judge = ask(stub.host, model="llama3:latest")
    judge.check()
    assert "@sha256:365c0bd3c000" in judge.identity


def test_a_server_that_lists_names_only_still_has_the_model(stub, ask):
    stub.models = [{"name": "llama3"}]
    judge = ask(stub.host)
    judge.check()
    assert "sha256" not in judge.identity


def test_a_server_that_cannot_show_a_model_still_has_it(stub, ask):
    stub.details = {}
    judge = ask(stub.host)
    judge.check()
    assert "@sha256:365c0bd3c000" in judge.identity


def test_a_context_longer_than_the_models_is_refused(stub, ask):
    with pytest.raises(JudgeError, match=r"num_ctx is 9000.*8192"):
        ask(stub.host, num_ctx=9000).check()


def test_a_dead_server_among_several_is_left_out_with_a_warning(stub, dead_host, ask, item):
    judge = ask(dead_host, stub.host)
    with pytest.warns(RuntimeWarning, match=dead_host):
        judge.check()
    assert [verdict.score for verdict in judge.score([item(0), item(1)])] == [50.0, 50.0]
    assert len(stub.requests) == 2


def test_the_same_name_for_two_models_is_refused(start, ask):
    here, there = start(), start()
    there.models = [{"model": "llama3:latest", "digest": OTHER_DIGEST}]
    with pytest.raises(JudgeError, match=r"different models 'llama3'.*365c0bd3c000.*8eeb52dfb3bb"):
        ask(here.host, there.host).check()


def test_what_is_no_address_is_an_error_of_the_configuration(ask):
    with pytest.raises(ConfigError, match=r"judge\.host: 'http://here:port' is no address"):
        ask("http://here:port").check()


def test_a_server_that_is_not_ollama_is_no_server(stub, ask):
    stub.models = "none of your business"
    with pytest.raises(JudgeError, match=r"no Ollama server: .* no reply of Ollama's"):
        ask(stub.host).check()


def test_the_host_comes_from_the_environment_unless_it_is_set(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "one:1, two:2,one:1")
    assert OllamaOptions().hosts == ("one:1", "two:2")
    assert OllamaOptions(host="three:3").hosts == ("three:3",)
    monkeypatch.delenv("OLLAMA_HOST")
    assert OllamaOptions().hosts == ("http://127.0.0.1:11434",)
