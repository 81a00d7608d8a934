"""Models with mistakes that show in long, many or padded rows, in training mode or in other processes."""

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import nn

from sftframe import CausalLM, ModelBackend, Tokenizer
from sftframe.testing.model import check_model_backend

CONTEXT = 64


class Bytes(Tokenizer):
    """An id per byte, and one more that ends a text."""

    vocab_size = 257
    end_id = 256
    fingerprint = "0" * 64

    def encode_batch(self, texts):
        return [list(text.encode()) for text in texts]

    def token_bytes(self, token_id):
        return b"" if token_id == self.end_id else bytes([token_id])

    def save(self, folder):
        """There is nothing to save."""


class Network(nn.Module):
    """A small LSTM, whose logits are scaled up so that it learns in few steps."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(257, 32)
        self.positions = nn.Embedding(CONTEXT, 32)
        self.norm = nn.LayerNorm(32)
        self.lstm = nn.LSTM(32, 64, batch_first=True)
        self.head = nn.Linear(64, 257)

    def embed(self, ids):
        return self.embedding(ids) + self.positions(torch.arange(ids.shape[1]))

    def forward(self, ids):
        return 24 * self.head(self.lstm(self.norm(self.embed(ids)))[0])


class Model(CausalLM):
    def save(self, folder):
        from safetensors.torch import save_file

        save_file(self.module.state_dict(), folder / "model.safetensors")


class Good(ModelBackend):
    """Keeps every promise; the backends below spoil one each."""

    name = "planted"
    summary = "an LSTM over bytes"
    defaults = {"train": {"lr": 3e-3}}  # noqa: RUF012
    network = Network
    model = Model
    words = Bytes

    def tokenizer(self, saved=None):
        return self.words()

    def context_length(self, saved=None):
        return CONTEXT

    def load(self, *, device, dtype, seed, saved=None):
        from safetensors.torch import load_file

        torch.manual_seed(seed)
        module = self.network()
        if saved is not None:
            module.load_state_dict(load_file(saved / "model.safetensors"))
        return self.model(module.to(getattr(torch, dtype)).eval(), self.tokenizer(saved), CONTEXT)


class BatchNorm(Network):
    def __init__(self):
        super().__init__()
        self.batch_norm = nn.BatchNorm1d(32)

    def embed(self, ids):
        return self.batch_norm(super().embed(ids).transpose(1, 2)).transpose(1, 2)


class SeesItsLength(Network):
    def forward(self, ids):
        return super().forward(ids) * (1 + ids.shape[1] / CONTEXT)


class SeesManyRows(Network):
    def forward(self, ids):
        return super().forward(ids) * (2 if len(ids) > 4 else 1)


class HalfThePositions(Network):
    def __init__(self):
        super().__init__()
        self.positions = nn.Embedding(CONTEXT // 2, 32)


class CutsItsContext(Network):
    def forward(self, ids):
        logits = super().forward(ids[:, -48:])
        return nn.functional.pad(logits, (0, 0, max(0, ids.shape[1] - 48), 0))


class Detached(Network):
    def embed(self, ids):
        with torch.no_grad():
            return super().embed(ids)


class Changes(Model):
    def generate(self, prompts, settings):
        found = list(super().generate(prompts, settings))
        for prompt in prompts:
            prompt.append(self.tokenizer.end_id)
        return iter(found)


class NoNumbers(Model):
    def generate(self, prompts, settings):
        return super().generate(prompts, dataclasses.replace(settings, numbers=()))


class NeverSlides(Model):
    def generate(self, prompts, settings):
        return super().generate(prompts, dataclasses.replace(settings, on_overflow="error"))


class SlidesToTheStart(Model):
    """Where the context is full, it goes on with the first tokens instead of the last."""

    def generate(self, prompts, settings):
        short = [prompt[: self.context_length - settings.max_new_tokens] for prompt in prompts]
        return super().generate(short, settings)


class StartsAgain(Model):
    """Positions restart after the fourth prompt."""

    def generate(self, prompts, settings):
        for start in range(0, len(prompts), 4):
            yield from super().generate(prompts[start : start + 4], settings)


class SeedsTorch(Model):
    def generate(self, prompts, settings):
        torch.manual_seed(settings.seed)
        return super().generate(prompts, settings)


class StaysInTraining(Model):
    def generate(self, prompts, settings):
        self.module.train()
        self.module.eval()
        self.module.lstm.train()
        return super().generate(prompts, settings)


class StaysInEvaluation(Model):
    def loss_sum(self, batch):
        self.module.eval()
        return super().loss_sum(batch)


class YieldsWithoutGradients(Model):
    def generate(self, prompts, settings):
        with torch.no_grad():
            yield from super().generate(prompts, settings)


class OneTokenMore(Model):
    def generate(self, prompts, settings):
        more = settings.max_new_tokens + (settings.max_new_tokens == 3)
        return super().generate(prompts, dataclasses.replace(settings, max_new_tokens=more))


class LineFeeds(Bytes):
    def encode_batch(self, texts):
        return super().encode_batch([text.replace("\r\n", "\n") for text in texts])


class Strips(Bytes):
    def encode_batch(self, texts):
        return super().encode_batch([text.rstrip("\t") for text in texts])


class PerProcess(Bytes):
    fingerprint = f"{hash('bytes'):x}"


class IgnoresTheDtype(Good):
    says = "gave parameters of torch.float32"

    def load(self, *, dtype, **given):
        return super().load(dtype="float32", **given)


class TooFast(Good):
    says = "the loss went from"
    defaults = {"train": {"lr": 30.0}}  # noqa: RUF012


class AnswersAlikeOnce(Model):
    """Prompts that begin alike get one answer."""

    def generate(self, prompts, settings):
        first = {}
        return super().generate([first.setdefault(tuple(p[:12]), p) for p in prompts], settings)


class AnswersNothing(Model):
    def generate(self, prompts, settings):
        return super().generate([prompt or [10] for prompt in prompts], settings)


class LoadsOnce(Good):
    says = "share their weights"
    known: ClassVar = {}

    def load(self, *, dtype, saved=None, **given):
        if (dtype, saved) not in self.known:
            self.known[dtype, saved] = super().load(dtype=dtype, saved=saved, **given)
        return self.known[dtype, saved]


class UnknownDefaults(Good):
    says = "defaults: no configuration key 'train.learning_rate'"
    defaults = {"train": {"learning_rate": 1e-3}}  # noqa: RUF012


def planted(says, **parts):
    [part] = parts.values()
    return type(part.__name__, (Good,), {"says": says, "__module__": __name__, **parts})()


BROKEN = [
    planted("in training mode the logits of a row change with other rows", network=BatchNorm),
    planted("change when the row is padded", network=SeesItsLength),
    planted("are not those of the row alone", network=SeesManyRows),
    planted("Rows as long as context_length says can be read", network=HalfThePositions),
    planted("in a row of context_length=64 tokens", network=CutsItsContext),
    planted("which has no gradient", network=Detached),
    planted("generate() changes the prompts", model=Changes),
    planted("with the numbers of GenerationSettings", model=NoNumbers),
    planted("With on_overflow=slide it goes on", model=NeverSlides),
    planted("after prompt 0 of 63 tokens; expected", model=SlidesToTheStart),
    planted("got the completions", model=StartsAgain),
    planted("generate() changes torch's random state", model=SeedsTorch),
    planted("leaves another mode than the evaluation mode", model=StaysInTraining),
    planted("the loss leaves the module in another mode", model=StaysInEvaluation),
    planted("generate() yields while gradients are off", model=YieldsWithoutGradients),
    planted("with max_new_tokens=3 it wrote 4 tokens", model=OneTokenMore),
    planted("is encoded to ids with the bytes", words=LineFeeds),
    planted("is encoded to ids with the bytes", words=Strips),
    planted("in another process", words=PerProcess),
    planted("after prompt 7 of", model=AnswersAlikeOnce),
    planted("a prompt is empty, and it wrote on", model=AnswersNothing),
    LoadsOnce(),
    UnknownDefaults(),
    IgnoresTheDtype(),
    TooFast(),
]


@pytest.mark.parametrize("backend", BROKEN, ids=lambda backend: type(backend).__name__)
@pytest.mark.usefixtures("one_thread")
def test_the_mistake_is_found_and_named(backend, is_found):
    assert is_found(backend, backend.says)


@pytest.mark.usefixtures("one_thread")
def test_an_lstm_passes():
    check_model_backend(Good())
