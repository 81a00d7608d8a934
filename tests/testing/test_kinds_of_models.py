"""Models of kinds that are rare, and right: the kit refuses none of them."""

import hashlib
import itertools
import re

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from sftframe import CausalLM, ModelBackend, Tokenizer
from sftframe.testing import inspect
from sftframe.testing.model import LESSONS

WIDTH, CONTEXT = 32, 96


class Bytes(Tokenizer):
    """An id per byte, and one more that ends a text."""

    vocab_size = 257
    end_id = 256
    fingerprint = hashlib.sha256(b"bytes").hexdigest()

    def encode_batch(self, texts):
        return [list(text.encode()) for text in texts]

    def token_bytes(self, token_id):
        return b"" if token_id == self.end_id else bytes([token_id])

    def save(self, folder):
        """There is nothing to save."""


class Words(Bytes):
    """Ids of known words, with the space before them; the bytes of all others."""

    known = sorted({word for pair in LESSONS for text in pair for word in re.findall(r" ?\w+", text)})
    vocab_size = 257 + len(known)
    fingerprint = hashlib.sha256("\n".join(known).encode()).hexdigest()

    def encode_batch(self, texts):
        return [list(itertools.chain.from_iterable(map(self._ids, re.findall(r" ?\w+|\W", text)))) for text in texts]

    def _ids(self, word):
        return [257 + self.known.index(word)] if word in self.known else list(word.encode())

    def token_bytes(self, token_id):
        return self.known[token_id - 257].encode() if token_id > 256 else super().token_bytes(token_id)


class Network(nn.Module):
    """Embedding, one layer that mixes positions, and a head; logits are scaled up so that lessons take few steps."""

    num_ids = 257

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(self.num_ids, WIDTH)
        self.head = nn.Linear(WIDTH, self.num_ids)
        self.make()

    def make(self):
        """Layers of the kind."""

    def forward(self, ids):
        return 32 * self.head(self.mix(self.embedding(ids)))  # (B, T, V)


class GRU(Network):
    def make(self):
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def mix(self, x):
        return self.gru(x)[0]


class BagOfWords(Network):
    """Each position sees the mean of all words so far, in no order: it cannot know where in an answer it is."""

    def mix(self, x):
        counts = torch.arange(1, x.shape[1] + 1).view(1, -1, 1)
        return x.cumsum(dim=1) / counts


class Attention(Network):
    """One head of attention over the words so far."""

    def make(self):
        self.queries, self.keys, self.values = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def mix(self, x):
        q, k = self.place(self.queries(x)), self.place(self.keys(x))  # (B, T, C)
        scores = q @ k.transpose(1, 2) / WIDTH**0.5 + self.bias(x.shape[1], x.dtype)  # (B, T, T)
        ahead = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return x + scores.masked_fill(ahead, float("-inf")).softmax(dim=-1) @ self.values(x)

    def place(self, x):
        return x

    def bias(self, length, dtype):
        return torch.zeros(length, length, dtype=dtype)


class Alibi(Attention):
    """The further back, the less a word counts."""

    def bias(self, length, dtype):
        places = torch.arange(length, dtype=dtype)
        return 0.5 * (places.view(1, -1) - places.view(-1, 1))


class Rotary(Attention):
    """Pairs of numbers are turned by an angle that grows with the position."""

    def place(self, x):
        rates = 100.0 ** -torch.linspace(0, 1, WIDTH // 2)
        angles = torch.arange(x.shape[1]).view(-1, 1) * rates  # (T, C / 2)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        one, other = x[..., ::2], x[..., 1::2]
        return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1)


class Tied(GRU):
    """The head is the embedding."""

    def make(self):
        super().make()
        self.head.weight = self.embedding.weight


class OfWords(GRU):
    num_ids = Words.vocab_size


class Noisy(GRU):
    """Sums in another order for another number of rows, as fast kernels have: 0.00001 of a logit."""

    def forward(self, ids):
        logits = super().forward(ids)
        return logits * (1 + 1e-5 * (ids.shape[0] % 3 - 1))


class InFloat64(GRU):
    """Has parameters of the dtype that was asked for, and computes from them in double precision."""

    def forward(self, ids):
        weights = {name: parameter.double() for name, parameter in self.gru.named_parameters()}
        x, _ = torch.func.functional_call(self.gru, weights, (self.embedding(ids).double(),))
        return 32 * nn.functional.linear(x, self.head.weight.double(), self.head.bias.double())


class Model(CausalLM):
    def save(self, folder):
        save_model(self.module, str(folder / "model.safetensors"))


class Backend(ModelBackend):
    name = "kind"
    summary = "a small network"
    network = GRU
    words = Bytes

    def tokenizer(self, saved=None):
        return self.words()

    def context_length(self, saved=None):
        return CONTEXT

    def load(self, *, device, dtype, seed, saved=None):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            module = self.network()
        if saved is not None:
            load_model(module, str(saved / "model.safetensors"))
        return Model(module.to(getattr(torch, dtype)).eval(), self.tokenizer(saved), CONTEXT)


class GatedRecurrent(Backend):
    network = GRU


class WithoutOrder(Backend):
    network = BagOfWords


class WithTiedWeights(Backend):
    network = Tied


class WithAlibi(Backend):
    network = Alibi


class WithRotation(Backend):
    network = Rotary


class WithWords(Backend):
    network = OfWords
    words = Words


class WithNoise(Backend):
    network = Noisy


class InDouble(Backend):
    network = InFloat64


KINDS = [InDouble, GatedRecurrent, WithoutOrder, WithTiedWeights, WithAlibi, WithRotation, WithWords, WithNoise]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_another_kind_keeps_every_promise(kind):
    assert [finding.error for finding in inspect(kind()) if not finding.is_kept] == []
