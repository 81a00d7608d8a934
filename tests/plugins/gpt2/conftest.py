"""A toy vocabulary, small networks, and GPT-2's own vocabulary where it is at hand."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.vocabulary import Vocabulary
from sftframe_plugins.gpt2.weights.layout import fill

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

MERGED = (b"he", b" t", b"ll", b"hell", b" the", b"hello", b"\xc3\xa9", b"12")

MakePeer = Callable[..., Any]
MakeModel = Callable[..., GPT2LM]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small only lose by waiting for each other's threads."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture
def uninitialised_is_nan():
    """Memory that nobody filled holds NaN, so that its use shows."""
    torch.use_deterministic_algorithms(True)  # `fill_uninitialized_memory` is on by default with it
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def gpt2_folder() -> Path:
    """`encoder.json` and `vocab.bpe` as OpenAI published them."""
    beside_repository = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("SFTFRAME_TEST_DATA", beside_repository)) / "gpt2"
    if not (folder / "encoder.json").is_file():
        pytest.skip(f"needs GPT-2's vocabulary in {folder}; SFTFRAME_TEST_DATA names the folder above it")
    return folder


@pytest.fixture(scope="session")
def gpt2_tokenizer(gpt2_folder: Path) -> BytePairTokenizer:
    return BytePairTokenizer.from_folder(gpt2_folder)


@pytest.fixture(scope="session")
def toy_vocabulary() -> Vocabulary:
    """256 bytes in an order of their own, eight merges, an end token: 265 ids."""
    ranks = {bytes([(byte + 33) % 256]): byte for byte in range(256)}
    ranks |= {token: 256 + number for number, token in enumerate(MERGED)}
    return Vocabulary(ranks=ranks, end_id=264)


@pytest.fixture(scope="session")
def toy_tokenizer(toy_vocabulary: Vocabulary) -> BytePairTokenizer:
    return BytePairTokenizer(toy_vocabulary)


@pytest.fixture
def toy_folder(toy_vocabulary: Vocabulary, tmp_path: Path) -> Path:
    """The toy vocabulary in tiktoken's form."""
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in toy_vocabulary.ranks.items()]
    (tmp_path / "vocab.tiktoken").write_text("".join(lines))
    return tmp_path


@pytest.fixture(scope="session")
def make_peer() -> MakePeer:
    """Transformers' GPT-2 with random weights, biases and norms too, large enough that every tensor matters."""
    from transformers import GPT2Config, GPT2LMHeadModel

    def make(
        *, vocab_size: int = 265, context_length: int = 64, width: int = 48, num_layers: int = 2, num_heads: int = 3
    ):
        torch.manual_seed(5)
        config = GPT2Config(
            vocab_size=vocab_size,
            n_positions=context_length,
            n_embd=width,
            n_layer=num_layers,
            n_head=num_heads,
            bos_token_id=vocab_size - 1,
            eos_token_id=vocab_size - 1,
            attn_pdrop=0.0,
            embd_pdrop=0.0,
            resid_pdrop=0.0,
        )
        peer = GPT2LMHeadModel(config).eval()
        with torch.no_grad():
            for name, parameter in peer.named_parameters():
                around = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
                parameter.normal_(around, 2.0 / width**0.5 if parameter.ndim == 2 else 0.2)
        return peer

    return make


@pytest.fixture(scope="session")
def network_like() -> Callable[[GPT2LMHeadModel], GPT2]:
    """Our network with the weights of transformers'."""

    def like(peer: GPT2LMHeadModel) -> GPT2:
        config = NetworkConfig(
            vocab_size=peer.config.vocab_size,
            context_length=peer.config.n_positions,
            width=peer.config.n_embd,
            num_layers=peer.config.n_layer,
            num_heads=peer.config.n_head,
        )
        network = GPT2(config).to(peer.dtype).eval()
        fill(network, peer.state_dict(), "transformers")
        return network

    return like


@pytest.fixture(scope="session")
def toy_peer(make_peer: MakePeer) -> GPT2LMHeadModel:
    return make_peer()


@pytest.fixture
def toy_model(
    toy_peer: GPT2LMHeadModel, network_like: Callable[[GPT2LMHeadModel], GPT2], toy_tokenizer: BytePairTokenizer
) -> GPT2LM:
    """Two layers, 64 positions, the toy vocabulary."""
    return GPT2LM(network_like(toy_peer), toy_tokenizer)
