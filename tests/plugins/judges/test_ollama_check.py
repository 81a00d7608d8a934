import pytest
from sftframe_plugins.judges.ollama import OllamaOptions

from sftframe import ConfigError, JudgeError

OTHER_DIGEST = "8eeb52dfb3bb9aefdf9d1ef24b3bdbcfbe82238798c4b918278320b6fcef18fe"


def test_the_check_records_the_digest_that_the_server_lists(stub, ask):
    judge = ask(stub.host)
    assert judge.identity.startswith("ollama:llama3#")
    judge.check()
    assert judge.identity.startswith("ollama:llama3@sha256:365c0bd3c000#")


def test_the_context_is_part_of_the_identity(stub, ask):
    assert ask(stub.host).identity != ask(stub.host, num_ctx=2048).identity


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


def test_the_same_name_for_two_models_is_refused(start, ask):
    here, there = start(), start()
    there.models = [{"model": "llama3:latest", "digest": OTHER_DIGEST}]
    with pytest.raises(JudgeError, match=r"different models 'llama3'.*365c0bd3c000.*8eeb52dfb3bb"):
        ask(here.host, there.host).check()


def test_what_is_no_address_is_an_error_of_the_configuration(ask):
    with pytest.raises(ConfigError, match=r"judge\.host: 'http://here:port' is not an address"):
        ask("http://here:port").check()


def test_a_server_that_is_not_ollama_is_no_server(stub, ask):
    stub.models = "none of your business"
    with pytest.raises(JudgeError, match=r"no Ollama server: .* not a reply of Ollama's"):
        ask(stub.host).check()


def test_the_host_comes_from_the_environment_unless_it_is_set(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "one:1, two:2,one:1")
    assert OllamaOptions().hosts == ("one:1", "two:2")
    assert OllamaOptions(host="three:3").hosts == ("three:3",)
    monkeypatch.delenv("OLLAMA_HOST")
    assert OllamaOptions().hosts == ("http://127.0.0.1:11434",)


def test_a_template_without_the_answer_is_refused_before_anybody_is_asked(dead_host, ask):
    with pytest.raises(ConfigError, match=r"judge\.template has no \{\{answer\}\}"):
        ask(dead_host, template="Grade {{instruction}}").check()


def test_a_template_of_pairs_without_both_answers_is_refused(dead_host, ask):
    with pytest.raises(ConfigError, match=r"judge\.pair_template has no \{\{second\}\}"):
        ask(dead_host, pair_template="Is it {{first}}?").check()


def test_a_model_that_changes_halfway_gives_no_more_verdicts_under_its_old_name(stub, acts, ask, item):
    def changes(handler, body):
        stub.models = [{"model": "llama3:latest", "digest": f"sha256:{OTHER_DIGEST}"}]
        acts.grades(99)(handler, body)

    stub.plan = [acts.grades(10), changes]
    judge = ask(stub.host)
    judge.check()
    first, *later = judge.score([item(0), item(1), item(2)])
    assert first.score == 10.0
    assert [(verdict.status, verdict.score) for verdict in later] == [("error", None), ("error", None)]
    assert "was 365c0bd3c000 and is 8eeb52dfb3bb now" in later[0].reason
    assert ask.waits == []


def test_a_model_that_is_deleted_while_it_answers_gives_no_verdict(stub, acts, ask, item):
    def vanishes(handler, body):
        stub.models = []
        acts.grades(99)(handler, body)

    stub.plan = [vanishes]
    judge = ask(stub.host)
    judge.check()
    (verdict,) = judge.score([item()])
    assert (verdict.status, verdict.score) == ("error", None)
    assert "was removed from" in verdict.reason


def test_a_list_of_models_that_cannot_be_had_any_more_costs_no_verdict(stub, ask, item):
    judge = ask(stub.host)
    judge.check()
    stub.models = "none of your business"
    assert [verdict.score for verdict in judge.score([item()])] == [50.0]
