"""Models on the hub, played by a server on this machine: what is fetched, what is kept, and what is said."""

import hashlib
import os
import shutil

import huggingface_hub.constants
import pytest
import torch
from sftframe_plugins.hf.backend import HFBackend
from sftframe_plugins.hf.options import Options

from sftframe import ModelError

COMMIT = "c0ffee" * 6 + "c0de"
IDS = torch.randint(0, 270, (2, 15), generator=torch.Generator().manual_seed(6))


@pytest.fixture
def folder(llama_original, tmp_path):
    return shutil.copytree(llama_original, tmp_path / "llama")


def backend(repo="acme/one", **options):
    return HFBackend(Options(repo=repo, **options))


def logits(made):
    with torch.no_grad():
        return made.load(device="cpu", dtype="float32", seed=1).logits(IDS)


def test_a_repository_gives_the_logits_of_its_folder(hub, folder):
    hub(folder)
    torch.testing.assert_close(logits(backend()), logits(backend(str(folder))))


def test_everything_comes_from_one_revision(hub, folder):
    server = hub(folder)
    logits(backend("acme/one@v2"))
    assert server.paths[0] == "/"  # whether it answers
    asked = {path for path in server.paths if path != "/"}
    assert {path.split("/")[4] for path in asked} == {"v2", COMMIT}
    assert f"/acme/one/resolve/{COMMIT}/model.safetensors" in asked


def test_check_fetches_no_weights(hub, folder):
    server = hub(folder)
    made = backend()
    made.check()
    assert made.context_length() == 512
    assert made.tokenizer().vocab_size == 270
    assert not [path for path in (huggingface_hub.constants.HF_HUB_CACHE,) if "model.safetensors" in _files(path)]
    assert server.asked.count("model.safetensors") == 1  # whether it is there


def _files(folder):
    return [name for _, _, names in os.walk(folder) for name in names]


def test_shards_are_fetched_by_their_index(hub, folder, tmp_path):
    from transformers import AutoModelForCausalLM

    wanted = logits(backend(str(folder)))
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    (folder / "model.safetensors").unlink()
    for path in (tmp_path / "sharded").glob("model*"):
        shutil.copy(path, folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    hub(folder)
    made = backend()
    torch.testing.assert_close(logits(made), wanted)
    assert len([key for key in made.identity if key.startswith("sha256:model-")]) > 1


def test_the_manifest_gets_commit_hashes_and_licence(hub, folder):
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# One\n")
    hub(folder)
    digests = {
        f"sha256:{name}": hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("config.json", "model.safetensors")
    }
    place = {"weights": "huggingface:acme/one", "revision": COMMIT, "licence": "apache-2.0"}
    assert backend().identity == place | digests
    random = backend(weights="random").identity
    assert random["weights"] == "random"
    assert random["repo"] == "huggingface:acme/one"
    assert "sha256:model.safetensors" not in random


def test_random_weights_need_no_weights_on_the_hub(hub, folder):
    (folder / "model.safetensors").unlink()
    hub(folder)
    made = backend(weights="random")
    made.check()
    assert logits(made).shape == (2, 15, 300)


def test_pickles_are_named_without_being_fetched(hub, folder):
    weights = folder / "model.safetensors"
    torch.save({"x": torch.ones(1)}, folder / "pytorch_model.bin")
    weights.unlink()
    hub(folder)
    with pytest.raises(ModelError, match=r"^acme/one on Hugging Face has its weights as pytorch_model\.bin, a pickle"):
        backend().check()
    assert "pytorch_model.bin" not in _files(huggingface_hub.constants.HF_HUB_CACHE)


def test_a_repository_without_a_config_is_no_model(hub, folder):
    (folder / "config.json").unlink()
    hub(folder)
    with pytest.raises(ModelError, match=r"^acme/one on Hugging Face has no config\.json: it is no whole model"):
        backend().check()


def test_what_was_fetched_once_is_enough_offline(hub, folder, monkeypatch):
    server = hub(folder)
    first = backend()
    wanted, identity = logits(first), first.identity
    server.asked.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    again = backend()
    again.check()
    torch.testing.assert_close(logits(again), wanted)
    assert again.identity == identity
    assert server.asked == []


def test_a_second_load_asks_for_the_commit_alone(hub, folder):
    server = hub(folder)
    logits(backend())
    server.paths.clear()
    logits(backend())
    assert server.paths == ["/", "/acme/one/resolve/main/config.json"]
