"""Repositories of the hub, played by a server on this machine."""

import json

import huggingface_hub.constants
import pytest
from sftframe_plugins.hub.repository import MissingFileError, Repository

from sftframe import ModelError

COMMIT = "c0ffee" * 6 + "c0de"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return tmp_path / "files"


def repository(revision="main"):
    return Repository("acme/one", revision, instead="connect once")


def test_a_file_is_fetched_at_the_commit_that_the_revision_has_now(hub, folder):
    server = hub(folder)
    ours = repository("v1.0")
    assert json.loads(ours.fetch("config.json").read_text()) == {"model_type": "llama"}
    assert ours.commit == COMMIT
    assert server.paths[-1] == "/acme/one/resolve/v1.0/config.json"


def test_a_commit_in_the_cache_asks_nobody(hub, folder):
    server = hub(folder)
    repository().fetch("config.json")
    server.asked.clear()
    assert repository(COMMIT).fetch("config.json").parent.name == COMMIT
    assert server.asked == []


def test_a_file_that_the_commit_does_not_have_is_asked_for_once(hub, folder):
    server = hub(folder)
    for _ in range(2):
        with pytest.raises(MissingFileError):
            repository().fetch("chat_template.jinja")
    assert server.asked.count("chat_template.jinja") == 1
    with pytest.raises(
        ModelError, match=r"^cannot fetch x\.json of acme/one: it has no such file; http://.*/acme/one/tree"
    ):
        repository().folder_with("x.json")


@pytest.mark.parametrize(
    ("status", "word", "message"),
    [
        (403, "GatedRepo", r"^acme/one on Hugging Face is gated: accept its conditions at http://.*/acme/one, and"),
        (401, "GatedRepo", r"^acme/one on Hugging Face is gated: .* HF_TOKEN or with `hf auth login`$"),
        (404, "RepoNotFound", r"^there is no repository 'acme/one' on http://.*, or it is private: check the name"),
        (404, "RevisionNotFound", r"^acme/one on Hugging Face has no revision 'v9'; .*/acme/one lists its branches"),
        (500, "", r"^cannot fetch config\.json of acme/one from Hugging Face \(HfHubHTTPError: .*\); connect once$"),
    ],
)
def test_a_refusal_is_one_line_with_what_to_do(hub, folder, monkeypatch, status, word, message):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub(folder).refusal = (status, word)
    with pytest.raises(ModelError, match=message) as refused:
        repository("v9").folder_with("config.json")
    assert "\n" not in str(refused.value)


def test_a_hub_that_has_gone_leaves_what_is_in_the_cache(hub, folder, monkeypatch):
    server = hub(folder)
    repository().fetch("config.json")
    server.http.shutdown()
    server.http.server_close()
    assert repository().commit == COMMIT
    with pytest.raises(ModelError, match=r"^cannot fetch model\.safetensors of acme/one .* cannot be reached: "):
        repository().folder_with("model.safetensors")


def test_offline_mode_uses_the_cache_alone(hub, folder, monkeypatch):
    server = hub(folder)
    repository().fetch("config.json")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    server.asked.clear()
    assert repository().commit == COMMIT
    assert server.asked == []
