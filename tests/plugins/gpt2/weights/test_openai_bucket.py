"""OpenAI's bucket, played by a server on this machine with a small network and GPT-2's own vocabulary."""

import sys

import pytest
import torch
from sftframe_plugins.gpt2.weights.openai_bucket import OpenAIBucket

from sftframe import ModelError

DATA = "model.ckpt.data-00000-of-00001"

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def peer(make_peer):
    return make_peer(vocab_size=50257, width=8, num_heads=2)


@pytest.fixture(scope="module")
def published(peer, gpt2_tokenizer, make_openai_folder, tmp_path_factory):
    return make_openai_folder(tmp_path_factory.mktemp("bucket"), peer, gpt2_tokenizer.vocabulary)


@pytest.fixture
def server(published, serve):
    return serve(published)


@pytest.fixture
def bucket(server):
    return OpenAIBucket(f"{server.url}/124M")


def test_seven_files_are_fetched_once_and_give_the_logits_of_transformers(bucket, server, peer, logits_of, ids):
    with torch.no_grad():
        torch.testing.assert_close(logits_of(bucket), peer(ids).logits)
    assert bucket.tokenizer().encode("Hello, world!") == [15496, 11, 995, 0]
    assert sorted(server.asked) == [
        "checkpoint",
        "encoder.json",
        "hparams.json",
        DATA,
        "model.ckpt.index",
        "model.ckpt.meta",
        "vocab.bpe",
    ]


def test_later_runs_need_neither_network_nor_tensorflow(bucket, server, logits_of, monkeypatch):
    first = logits_of(bucket)
    asked = list(server.asked)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    again = OpenAIBucket(f"{server.url}/124M")
    again.check()
    assert logits_of(again).equal(first)
    assert server.asked == asked


def test_the_tokenizer_alone_fetches_the_vocabulary_alone(bucket, server):
    bucket.tokenizer()
    assert sorted(server.asked) == ["encoder.json", "vocab.bpe"]


def test_the_check_fetches_only_what_is_small(bucket, server):
    bucket.check()
    assert sorted(server.asked) == ["hparams.json", "model.ckpt.index"]


def test_without_tensorflow_the_check_fails_before_the_weights_are_fetched(bucket, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ModelError, match="TensorFlow, which is not installed"):
        bucket.check()
    assert DATA not in server.asked


def test_a_vocabulary_with_another_hash_is_refused(openai_folder, serve):
    server = serve(openai_folder)
    with pytest.raises(ModelError, match=r"encoder\.json has SHA-256 \w{64}, expected 196139668be6.*model\.mirror=URL"):
        OpenAIBucket(f"{server.url}/124M").tokenizer()


def test_weights_of_another_length_are_refused(published, serve, tmp_path):
    for path in published.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:5000] if path.name == DATA else path.read_bytes())
    bucket = OpenAIBucket(f"{serve(tmp_path).url}/124M")
    # (50257 + 64) x 8 + 2 x (12 x 8^2 + 13 x 8) + 2 x 8 parameters of 4 bytes
    with pytest.raises(ModelError, match=f"{DATA} has 5000 bytes, expected 1617312"):
        bucket.tensors()


def test_a_damaged_file_of_the_right_length_says_how_to_fetch_it_again(published, serve, tmp_path, cache):
    for path in published.iterdir():
        content = bytearray(path.read_bytes())
        if path.name == DATA:
            content[5000] ^= 1
        (tmp_path / path.name).write_bytes(content)
    bucket = OpenAIBucket(f"{serve(tmp_path).url}/124M")
    with pytest.raises(ModelError, match=r"Checksum does not match.*delete .*124M: the next run fetches it again"):
        bucket.tensors()
    assert not list(cache.rglob("*.safetensors"))


def test_a_size_that_is_not_there_is_named_with_its_address(serve, tmp_path):
    server = serve(tmp_path)
    with pytest.raises(ModelError, match=rf"{server.url}/124M/hparams\.json: the server says 404"):
        OpenAIBucket(f"{server.url}/124M").config()


def test_the_identity_tells_address_and_weights(bucket, server):
    assert bucket.identity["weights"] == f"{server.url}/124M"
    assert len(bucket.identity["index_sha256"]) == 64


def test_what_a_mirror_sent_never_passes_for_openais(bucket, logits_of, cache):
    logits_of(bucket)
    assert not (cache / "gpt2" / "openai").exists()
    own = OpenAIBucket("https://openaipublic.blob.core.windows.net/gpt-2/models/124M")
    other = OpenAIBucket("http://other.example/models/124M")
    places = {one._folder.relative_to(cache / "gpt2").as_posix() for one in (bucket, own, other)}
    assert len(places) == 3
    assert "openai/124M" in places
