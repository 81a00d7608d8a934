"""Checkpoints that TensorFlow wrote under OpenAI's names, and what is said of damaged ones."""

import sys

import pytest
import torch
from sftframe_plugins.gpt2.weights.folder import OpenAIFolder

from sftframe import ModelError

DATA = "model.ckpt.data-00000-of-00001"

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def no_tensorflow(monkeypatch):
    """As on a machine where TensorFlow is not installed."""

    def take_away():
        monkeypatch.setitem(sys.modules, "tensorflow", None)

    return take_away


def test_openais_form_gives_the_logits_of_transformers(openai_folder, their_logits, logits_of):
    torch.testing.assert_close(logits_of(OpenAIFolder(openai_folder)), their_logits)


def test_the_vocabulary_is_that_of_the_folder(openai_folder, toy_tokenizer):
    assert OpenAIFolder(openai_folder).tokenizer().fingerprint == toy_tokenizer.fingerprint


def test_a_second_read_needs_no_tensorflow(openai_folder, their_logits, no_tensorflow, logits_of):
    logits_of(OpenAIFolder(openai_folder))
    no_tensorflow()
    OpenAIFolder(openai_folder).check()
    torch.testing.assert_close(logits_of(OpenAIFolder(openai_folder)), their_logits)


def test_without_tensorflow_a_first_read_says_what_to_install(openai_folder, no_tensorflow):
    no_tensorflow()
    for use in (OpenAIFolder(openai_folder).check, OpenAIFolder(openai_folder).tensors):
        with pytest.raises(ModelError, match=r"pip install 'sftframe\[tensorflow\]', or take the same weights"):
            use()


def test_other_weights_in_the_same_folder_are_read_anew(openai_folder, save_variables, their_logits, logits_of):
    logits_of(OpenAIFolder(openai_folder))
    save_variables(openai_folder, lambda variables: {name: 2 * value for name, value in variables.items()})
    assert not torch.allclose(logits_of(OpenAIFolder(openai_folder)), their_logits)


def test_a_damaged_copy_is_not_used(openai_folder, cache, their_logits, logits_of):
    logits_of(OpenAIFolder(openai_folder))
    (copy,) = cache.rglob("*.safetensors")
    copy.write_bytes(copy.read_bytes()[:-100])
    torch.testing.assert_close(logits_of(OpenAIFolder(openai_folder)), their_logits)


def test_a_cache_that_cannot_be_written_is_done_without(openai_folder, cache, their_logits, logits_of):
    cache.write_text("a file where the folder should be")
    torch.testing.assert_close(logits_of(OpenAIFolder(openai_folder)), their_logits)


def test_nothing_is_left_beside_the_copy(openai_folder, cache, logits_of):
    logits_of(OpenAIFolder(openai_folder))
    assert [path.suffix for path in cache.rglob("*") if path.is_file()] == [".safetensors"]


@pytest.mark.parametrize("name", ["hparams.json", "model.ckpt.index", DATA])
def test_a_missing_file_is_named(openai_folder, name):
    (openai_folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        OpenAIFolder(openai_folder).check()


def test_a_cut_off_file_is_named_with_both_sizes(openai_folder):
    path = openai_folder / DATA
    path.write_bytes(path.read_bytes()[:1000])
    # 265 x 48 + 64 x 48 + 2 x (12 x 48^2 + 13 x 48) + 2 x 48 parameters of 4 bytes
    with pytest.raises(ModelError, match=rf"{DATA} has 1000 bytes, expected 289728 by hparams\.json: cut off"):
        OpenAIFolder(openai_folder).check()


def test_a_changed_byte_fails_the_checksum(openai_folder):
    path = openai_folder / DATA
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot read the checkpoint .*Checksum does not match"):
        OpenAIFolder(openai_folder).tensors()


def test_a_damaged_index_is_named(openai_folder):
    path = openai_folder / "model.ckpt.index"
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ModelError, match=r"TensorFlow cannot read the checkpoint .*model\.ckpt"):
        OpenAIFolder(openai_folder).tensors()


@pytest.fixture
def save_variables(toy_peer, openai_variables, save_checkpoint):
    """Write a folder's checkpoint anew, with changed variables."""

    def save(folder, change):
        for path in folder.glob("model.ckpt*"):
            path.unlink()
        save_checkpoint(folder, change(openai_variables(toy_peer)))

    return save


def renamed(variables):
    return {name.replace("h0/ln_1/b", "h0/ln_1/beta"): value for name, value in variables.items()}


def with_longer_context(variables):
    return {**variables, "model/wpe": variables["model/wpe"].repeat(2, axis=0)}


def with_a_third_layers_norm(variables):
    return {**variables, "model/h2/ln_1/b": variables["model/ln_f/b"]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (renamed, r"variable 'model/h0/ln_1/b' \(48,\) is missing; the checkpoint is incomplete"),
        (with_longer_context, r"variable 'model/wpe' has shape \(128, 48\), expected \(64, 48\) by hparams\.json"),
        (with_a_third_layers_norm, "variable 'model/h2/ln_1/b' has no place"),
    ],
)
def test_variables_of_another_network_are_named(openai_folder, save_variables, change, told):
    save_variables(openai_folder, change)
    with pytest.raises(ModelError, match=told):
        OpenAIFolder(openai_folder).tensors()
