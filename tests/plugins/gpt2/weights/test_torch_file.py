"""State dicts of torch.save: the chapter's own, and those of plain modules."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest
import torch
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.weights.folder import open_folder
from sftframe_plugins.gpt2.weights.layout import build, fill
from sftframe_plugins.gpt2.weights.torch_file import TorchFile
from torch import nn

from sftframe import ModelError

SIZES = {"vocab_size": 50, "context_length": 12, "emb_dim": 128, "n_layers": 2, "n_heads": 2}


class LayerNorm(nn.Module):
    """As the chapter has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(width))
        self.shift = nn.Parameter(torch.randn(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        return self.scale * (x - mean) / torch.sqrt(variance + 1e-5) + self.shift


class MultiHeadAttention(nn.Module):
    """As the chapter has it."""

    def __init__(self, width: int, context: int, heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.W_query, self.W_key, self.W_value = (nn.Linear(width, width, bias=qkv_bias) for _ in range(3))
        self.out_proj = nn.Linear(width, width)
        self.register_buffer("mask", torch.triu(torch.ones(context, context), diagonal=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, positions, width = x.shape
        shape = (rows, positions, self.heads, width // self.heads)
        query, key, value = (part(x).view(shape).transpose(1, 2) for part in (self.W_query, self.W_key, self.W_value))
        scores = query @ key.transpose(2, 3)
        scores = scores.masked_fill(self.mask.bool()[:positions, :positions], -math.inf)
        weights = torch.softmax(scores / math.sqrt(width // self.heads), dim=-1)
        return self.out_proj((weights @ value).transpose(1, 2).reshape(rows, positions, width))


class GELU(nn.Module):
    """As the chapter has it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class FeedForward(nn.Module):
    """As the chapter has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class TransformerBlock(nn.Module):
    """As the chapter has it, without dropout."""

    def __init__(self, *, qkv_bias: bool) -> None:
        super().__init__()
        width = SIZES["emb_dim"]
        self.att = MultiHeadAttention(width, SIZES["context_length"], SIZES["n_heads"], qkv_bias=qkv_bias)
        self.ff = FeedForward(width)
        self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.att(self.norm1(x))
        return x + self.ff(self.norm2(x))


class GPTModel(nn.Module):
    """As the chapter has it, the head filled with the embedding as its `load_weights_into_gpt` does."""

    def __init__(self, *, qkv_bias: bool = True) -> None:
        super().__init__()
        width = SIZES["emb_dim"]
        self.tok_emb = nn.Embedding(SIZES["vocab_size"], width)
        self.pos_emb = nn.Embedding(SIZES["context_length"], width)
        self.trf_blocks = nn.Sequential(*(TransformerBlock(qkv_bias=qkv_bias) for _ in range(SIZES["n_layers"])))
        self.final_norm = LayerNorm(width)
        self.out_head = nn.Linear(width, SIZES["vocab_size"], bias=False)
        with torch.no_grad():
            self.out_head.weight.copy_(self.tok_emb.weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tok_emb(ids) + self.pos_emb(torch.arange(ids.shape[1]))
        return self.out_head(self.final_norm(self.trf_blocks(x)))


@pytest.fixture
def chapter() -> GPTModel:
    torch.manual_seed(3)
    return GPTModel().eval()


IDS = torch.randint(0, 50, (2, 9), generator=torch.Generator().manual_seed(6))


def our_logits(path: Path) -> torch.Tensor:
    source = open_folder(path)
    network = build(source.config(), "cpu", torch.float32)
    fill(network, source.tensors(), source)
    with torch.no_grad():
        return network(IDS)


@pytest.mark.parametrize("qkv_bias", [True, False])
def test_the_chapters_state_dict_gives_the_chapters_logits(tmp_path: Path, qkv_bias: bool) -> None:
    torch.manual_seed(4)
    model = GPTModel(qkv_bias=qkv_bias).eval()
    torch.save(model.state_dict(), tmp_path / "gpt2-sft.pth")
    with torch.no_grad():
        theirs = model(IDS)
    torch.testing.assert_close(our_logits(tmp_path / "gpt2-sft.pth"), theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict"])
def test_a_state_dict_beside_an_optimizers_is_found(tmp_path: Path, chapter: GPTModel, key: str) -> None:
    torch.save({key: chapter.state_dict(), "optimizer_state_dict": {}}, tmp_path / "model.pt")
    with torch.no_grad():
        torch.testing.assert_close(our_logits(tmp_path / "model.pt"), chapter(IDS), rtol=1e-5, atol=1e-4)


def test_the_form_before_torch_1_6_is_read(tmp_path: Path, chapter: GPTModel) -> None:
    torch.save(chapter.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert our_logits(tmp_path / "old.pth").shape == (2, 9, 50)


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "module._orig_mod.transformer."])
def test_a_plain_module_is_read_whichever_way_its_matrices_lie(tmp_path: Path, prefix: str) -> None:
    config = NetworkConfig(vocab_size=50, context_length=12, width=64, num_layers=2, num_heads=1)
    network = build(config, "cpu", torch.float32)
    network.initialise(5)
    state = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}  # linear maps: (out, in)
    state[f"{prefix}lm_head.weight"] = network.wte.weight
    torch.save(state, tmp_path / "plain.pth")
    with torch.no_grad():
        torch.testing.assert_close(our_logits(tmp_path / "plain.pth"), network(IDS))


def test_transformers_state_dict_is_read(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    peer = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=12, n_embd=64, n_layer=2, n_head=1)).eval()
    torch.save(peer.state_dict(), tmp_path / "peer.pth")
    with torch.no_grad():
        torch.testing.assert_close(our_logits(tmp_path / "peer.pth"), peer(IDS).logits, rtol=1e-5, atol=1e-5)


def test_a_head_that_was_trained_apart_is_told(tmp_path: Path, chapter: GPTModel) -> None:
    with torch.no_grad():
        chapter.out_head.weight += 0.1
    torch.save(chapter.state_dict(), tmp_path / "apart.pth")
    with pytest.raises(ModelError, match=r"'lm_head.weight' differs from 'wte.weight'.*trained apart"):
        our_logits(tmp_path / "apart.pth")


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_file_is_never_run(tmp_path: Path, is_zip: bool) -> None:
    mark, path = tmp_path / "mark", tmp_path / "evil.pth"
    if is_zip:
        torch.save({"tok_emb.weight": Payload(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ModelError, match=r"evil\.pth"):
        open_folder(path).check()
    assert not mark.exists()


def test_a_whole_model_is_refused_with_what_to_save(tmp_path: Path, chapter: GPTModel) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(ModelError, match=r"contains more than tensors.* save model\.state_dict\(\)"):
        open_folder(tmp_path / "model.pth").check()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cut.pth").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        open_folder(tmp_path / "cut.pth").check()
    assert "\n" not in str(caught.value)


def test_a_state_dict_of_something_else_is_told(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    with pytest.raises(ModelError, match=r"no token and position embeddings \('bias', 'weight'\)"):
        open_folder(tmp_path / "linear.pth").check()


def test_a_file_is_told_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.pth").mkdir()
    assert not TorchFile.is_one(tmp_path / "folder.pth")
    assert not TorchFile.is_one(tmp_path / "absent.pth")


def test_a_backend_takes_a_file_with_the_tokenizer_of_its_model(tmp_path: Path) -> None:
    from sftframe_plugins.gpt2.backend import GPT2Nano, NanoOptions

    bundled = GPT2Nano(NanoOptions()).load(device="cpu", dtype="float32", seed=1)
    torch.save(bundled.module.state_dict(), tmp_path / "nano.pth")
    backend = GPT2Nano(NanoOptions(weights=str(tmp_path / "nano.pth")))
    backend.check()
    model = backend.load(device="cpu", dtype="float32", seed=1)
    ids = torch.tensor([model.tokenizer.encode("Name a colour.")])
    with torch.no_grad():
        torch.testing.assert_close(model.logits(ids), bundled.logits(ids))
    assert backend.context_length() == bundled.context_length
    assert backend.identity == {"weights": str(tmp_path / "nano.pth")}
