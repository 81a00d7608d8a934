"""Folders with the same random weights in every form: transformers', OpenAI's (written by TensorFlow), and ours."""

import json
import os
import shutil

import pytest
import torch
from sftframe_plugins.gpt2.vocabulary import write_vocabulary
from sftframe_plugins.gpt2.weights.layout import build, fill


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of its own."""
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def ids():
    return torch.randint(0, 264, (2, 15), generator=torch.Generator().manual_seed(6))


@pytest.fixture(scope="session")
def their_logits(toy_peer, ids):
    with torch.no_grad():
        return toy_peer(ids).logits


@pytest.fixture(scope="session")
def logits_of(ids):
    """The logits of a source's weights in our network."""

    def logits(source):
        network = build(source.config(), "cpu", torch.float32)
        fill(network, source.tensors(), source)
        with torch.no_grad():
            return network(ids)

    return logits


@pytest.fixture(scope="session")
def huggingface_original(toy_peer, toy_vocabulary, tmp_path_factory):
    """What transformers writes, and our tokenizer files."""
    folder = tmp_path_factory.mktemp("huggingface")
    toy_peer.save_pretrained(folder)
    write_vocabulary(toy_vocabulary, folder)
    return folder


@pytest.fixture
def huggingface_folder(huggingface_original, tmp_path):
    return shutil.copytree(huggingface_original, tmp_path / "huggingface")


@pytest.fixture(scope="session")
def openai_original(toy_peer, toy_vocabulary, tmp_path_factory, make_openai_folder):
    return make_openai_folder(tmp_path_factory.mktemp("openai"), toy_peer, toy_vocabulary)


@pytest.fixture(scope="session")
def make_openai_folder(openai_variables, save_checkpoint):
    """What OpenAI's bucket holds of a size: seven files, the checkpoint written by TensorFlow's own `Saver`."""

    def make(folder, peer, vocabulary):
        save_checkpoint(folder, openai_variables(peer))
        config = peer.config
        sizes = {"n_vocab": config.vocab_size, "n_ctx": config.n_positions, "n_embd": config.n_embd}
        (folder / "hparams.json").write_text(json.dumps({**sizes, "n_head": config.n_head, "n_layer": config.n_layer}))
        write_vocabulary(vocabulary, folder)
        (folder / "vocab.json").rename(folder / "encoder.json")
        (folder / "merges.txt").rename(folder / "vocab.bpe")
        (folder / "tokenizer_config.json").unlink()
        return folder

    return make


@pytest.fixture
def openai_folder(openai_original, tmp_path):
    return shutil.copytree(openai_original, tmp_path / "openai")


@pytest.fixture(scope="session")
def openai_variables():
    return _openai_variables


@pytest.fixture(scope="session")
def save_checkpoint():
    return _save_checkpoint


def _openai_variables(peer):
    """The weights under OpenAI's names, in OpenAI's shapes: kernels have a leading 1."""
    body = peer.transformer
    variables = {"model/wte": body.wte.weight, "model/wpe": body.wpe.weight}
    norms = [("model/ln_f", body.ln_f)]
    for number, block in enumerate(body.h):
        scope = f"model/h{number}"
        norms += [(f"{scope}/ln_1", block.ln_1), (f"{scope}/ln_2", block.ln_2)]
        for part in ("attn/c_attn", "attn/c_proj", "mlp/c_fc", "mlp/c_proj"):
            kernel = block.get_submodule(part.replace("/", "."))
            variables |= {f"{scope}/{part}/w": kernel.weight[None], f"{scope}/{part}/b": kernel.bias}
    for scope, norm in norms:
        variables |= {f"{scope}/g": norm.weight, f"{scope}/b": norm.bias}
    return {name: tensor.detach().numpy() for name, tensor in variables.items()}


def _save_checkpoint(folder, variables):
    """Write a checkpoint as OpenAI did, with TensorFlow 1's `Saver`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow

    v1 = tensorflow.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        made = {name: v1.Variable(value, name=name.replace("/", "_")) for name, value in variables.items()}
        session.run(v1.global_variables_initializer())
        v1.train.Saver(made).save(session, str(folder / "model.ckpt"))
