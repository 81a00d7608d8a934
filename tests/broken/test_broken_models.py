"""One bad model backend per promise of the contract, and the words that its author is told.

The good one is a tiny convolutional network over bytes: any `nn.Module` with logits will do.
"""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sftframe import CausalLM, Completion, ModelBackend, ModelError, Tokenizer
from sftframe.testing.contract import ContractError
from sftframe.testing.model import check_model_backend


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class ByteTokenizer(Tokenizer):
    """An id per byte, and one more that ends a text."""

    vocab_size = 257
    end_id = 256
    fingerprint = hashlib.sha256(b"bytes").hexdigest()

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def token_bytes(self, token_id: int) -> bytes:
        return b"" if token_id == self.end_id else bytes([token_id])

    def save(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text(json.dumps({"vocab_size": self.vocab_size}))


class Network(nn.Module):
    """Each position sees the last eight bytes. Logits are scaled up so that the lessons take 23 steps, 70 ms."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(257, 64)
        self.layer = nn.Conv1d(64, 128, kernel_size=8)
        self.head = nn.Linear(128, 257)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        seen = nn.functional.pad(self.embedding(ids).transpose(1, 2), (7, 0))  # (B, 64, T + 7)
        return 8 * self.head(self.layer(seen).relu().transpose(1, 2))  # (B, T, 257)


class Model(CausalLM):
    def save(self, folder: Path) -> None:
        save_file(self.module.state_dict(), folder / "weights.safetensors")
        self.tokenizer.save(folder)


class Good(ModelBackend):
    """Keeps every promise; the backends below spoil one each."""

    name = "specimen"
    summary = "a tiny convolutional network over bytes"
    model_class = Model
    tokenizer_class = ByteTokenizer

    def tokenizer(self, saved=None):
        return self.tokenizer_class()

    def context_length(self, saved=None):
        return 96

    def load(self, *, device, dtype, seed, saved=None):
        module = Network(seed)
        if saved is not None:
            module.load_state_dict(load_file(saved / "weights.safetensors"))
        module = module.to(getattr(torch, dtype)).eval()
        return self.model_class(module, self.tokenizer(saved), context_length=96)


def backend_with(says: str, *, model: type[Model] = Model, tokenizer: type[Tokenizer] = ByteTokenizer) -> ModelBackend:
    kind = type("Spoilt", (Good,), {"model_class": model, "tokenizer_class": tokenizer, "says": says})
    return kind()


class GivesAModule(Good):
    says = "load() gave Network; expected a CausalLM"

    def load(self, *, device, dtype, seed, saved=None):
        return Network(seed).eval()


class ForgetsEvaluationMode(Good):
    says = "load() gave a module in training mode; call module.eval()"

    def load(self, **given):
        model = super().load(**given)
        model.module.train()
        return model


class AnotherContext(Good):
    says = "context_length() says 128, the loaded model's is 96"

    def context_length(self, saved=None):
        return 128


class AnotherContextOnceSaved(Good):
    says = "context_length(saved) says 128; expected 96"

    def context_length(self, saved=None):
        return 96 if saved is None else 128


class AnotherTokenizer(Good):
    says = "tokenizer() has the fingerprint"

    def tokenizer(self, saved=None):
        tokenizer = ByteTokenizer()
        tokenizer.fingerprint = f"{next(self.counter)}"
        return tokenizer

    counter = itertools.count()


class LowerCases(ByteTokenizer):
    def encode_batch(self, texts):
        return super().encode_batch([text.lower() for text in texts])


class KnowsControlWords(ByteTokenizer):
    def encode_batch(self, texts):
        return [[256] if "<|endoftext|>" in text else list(text.encode()) for text in texts]

    def token_bytes(self, token_id):
        return b"<|endoftext|> is text" if token_id == 256 else super().token_bytes(token_id)


class NumbersFromOne(ByteTokenizer):
    def encode_segments(self, texts):
        return [(ids, [number + 1 for number in numbers]) for ids, numbers in super().encode_segments(texts)]


class EndsEverySegment(ByteTokenizer):
    """Reads the name of its end token, in the data too."""

    reads_control_names = True

    @property
    def control_tokens(self):
        return {"<end>": 256}

    def encode_segments(self, texts):
        found = []
        for segments in texts:
            parts = [256 if s.text == "<end>" else list(s.text.encode()) for s in segments]
            pairs = [(i, n) for n, part in enumerate(parts) for i in (part if isinstance(part, list) else [part])]
            found.append(([i for i, _ in pairs], [n for _, n in pairs]))
        return found


class EndOutside(ByteTokenizer):
    end_id = 257


class EndIsText(ByteTokenizer):
    def token_bytes(self, token_id):
        return b"<end>" if token_id == 256 else super().token_bytes(token_id)


class LastPositionOnly(Model):
    def logits(self, ids):
        return super().logits(ids)[:, -1]


class Infinite(Model):
    def logits(self, ids):
        return super().logits(ids) / 0.0


class IgnoresTheSeed(Good):
    says = "loaded twice with the same seed, it gives other logits"
    counter = itertools.count()

    def load(self, *, seed, **given):
        return super().load(seed=next(self.counter), **given)


class LooksAhead(Model):
    def logits(self, ids):
        return super().logits(ids) + super().logits(ids.flip(1)).flip(1)


class MixesRows(Model):
    def logits(self, ids):
        logits = super().logits(ids)
        return logits + logits.mean(dim=0)


class Averages(Model):
    def loss_sum(self, batch):
        return super().loss_sum(batch) / len(batch.inputs)


class ForgetsWeights(Model):
    def loss_sum(self, batch):
        return self.token_nll(batch).sum()


class CountsEverything(Model):
    def token_nll(self, batch):
        return super().token_nll(dataclasses.replace(batch, targets=batch.targets.clamp(min=0)))


class CountsSharedBeginningsOnce(Model):
    """Where all rows begin alike, the first token is computed once for all, and its weight is lost with it."""

    def loss_sum(self, batch):
        if batch.weights is None or len(batch.inputs[:, :8].unique(dim=0)) > 1:
            return super().loss_sum(batch)
        weights = batch.weights.clone()
        weights[1:, 0] = 0.0
        return super().loss_sum(dataclasses.replace(batch, weights=weights))


class Float64Loss(Model):
    def token_nll(self, batch):
        return super().token_nll(batch).double()


class NoGradient(Model):
    def loss_sum(self, batch):
        return super().loss_sum(batch).detach().requires_grad_()


class DoubledGradient(Model):
    def loss_sum(self, batch):
        loss = super().loss_sum(batch)
        return 2 * loss - loss.detach()


class Frozen(Good):
    says = "no parameter requires a gradient"

    def load(self, **given):
        model = super().load(**given)
        model.module.requires_grad_(False)
        return model


class Rewrites(Model):
    """Generates plainly, and changes each completion."""

    def change(self, completion: Completion) -> Completion:
        return completion

    def generate(self, prompts, settings):
        return (self.change(completion) for completion in super().generate(prompts, settings))


class OneAnswerMissing(Rewrites):
    def generate(self, prompts, settings):
        return itertools.islice(super().generate(prompts, settings), len(prompts) - 1)


class NeverStops(Rewrites):
    def change(self, completion):
        return dataclasses.replace(completion, stop_reason="length")


class EchoesThePrompt(Rewrites):
    def change(self, completion):
        return dataclasses.replace(completion, text="Name a fruit:" + completion.text)


class KeepsTheEnd(Rewrites):
    def change(self, completion):
        return dataclasses.replace(completion, ids=(*completion.ids, 256))


class PadsOnTheWrongSide(Model):
    """Batches of more than one are answered after padding that the model takes for text."""

    def generate(self, prompts, settings):
        if settings.batch_size > 1:
            longest = max(map(len, prompts))
            prompts = [[*prompt, *[32] * (longest - len(prompt))] for prompt in prompts]
        return super().generate(prompts, settings)


class OneSeedForAll(Model):
    """Samples each prompt as if it were the first."""

    def generate(self, prompts, settings):
        for position, prompt in enumerate(prompts):
            for completion in super().generate([prompt], settings):
                yield dataclasses.replace(completion, position=position)


class IgnoresStopStrings(Model):
    def generate(self, prompts, settings):
        return super().generate(prompts, dataclasses.replace(settings, stop_strings=()))


class OneTokenMore(Model):
    def generate(self, prompts, settings):
        more = settings.max_new_tokens + (settings.max_new_tokens == 1)
        return super().generate(prompts, dataclasses.replace(settings, max_new_tokens=more))


class StreamsAnotherAnswer(Model):
    def stream(self, prompt, settings, on_text):
        return super().stream(prompt, dataclasses.replace(settings, max_new_tokens=2), on_text)


class TellsTheStopString(Model):
    def stream(self, prompt, settings, on_text):
        plain = dataclasses.replace(settings, stop_strings=())
        super().stream(prompt, plain, on_text)
        return super().stream(prompt, settings, lambda text: None)


class OverrunsTheContext(Model):
    def generate(self, prompts, settings):
        return super().generate(prompts, dataclasses.replace(settings, on_overflow="slide"))


class SavesBFloat16(Model):
    def save(self, folder):
        super().save(folder)
        weights = load_file(folder / "weights.safetensors")
        save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, folder / "weights.safetensors")


class SavesAPickle(Model):
    def save(self, folder):
        super().save(folder)
        (folder / "more").mkdir()
        torch.save({"notes": "a pickle beside the weights"}, folder / "more" / "notes.data")


class IgnoresWhatWasSaved(Good):
    says = "a saved model gives other logits when it is loaded again"

    def load(self, *, saved=None, **given):
        return super().load(**given)


class ForgetsTheTokenizer(Good):
    says = "a saved tokenizer has another fingerprint when it is loaded again"

    def tokenizer(self, saved=None):
        tokenizer = ByteTokenizer()
        tokenizer.fingerprint = f"{saved is None}"
        return tokenizer


class WakesUpInTrainingMode(Good):
    says = "load(saved=…) gave a module in training mode; call module.eval()"

    def load(self, *, saved=None, **given):
        model = super().load(saved=saved, **given)
        model.module.train(saved is not None)
        return model


BROKEN = [
    GivesAModule(),
    ForgetsEvaluationMode(),
    AnotherContext(),
    AnotherContextOnceSaved(),
    AnotherTokenizer(),
    backend_with("'Hello, world!' is encoded to ids with the bytes b'hello, world!'", tokenizer=LowerCases),
    backend_with("is encoded with the end token; text contains no control tokens", tokenizer=KnowsControlWords),
    backend_with("the ids belong to the segments [1, 1, 1, 1, 1, 2, ", tokenizer=NumbersFromOne),
    backend_with(
        "gives end tokens in the segments [1, 2]; expected one, in the closing tag", tokenizer=EndsEverySegment
    ),
    backend_with("end_id is 257, outside the vocabulary", tokenizer=EndOutside),
    backend_with("the end token has bytes; a control token has none", tokenizer=EndIsText),
    backend_with("logits have the shape (3, 257); expected (3, ", model=LastPositionOnly),
    backend_with("logits are not finite", model=Infinite),
    IgnoresTheSeed(),
    backend_with("logits of a row change with later tokens or with other rows", model=LooksAhead),
    backend_with("logits of a row change with later tokens or with other rows", model=MixesRows),
    backend_with("loss_sum is not the sum of weighted token losses", model=Averages),
    backend_with("loss_sum is not the sum of weighted token losses", model=ForgetsWeights),
    backend_with("loss_sum is not the sum of weighted token losses", model=CountsSharedBeginningsOnce),
    backend_with("token_nll is not the cross-entropy of the counted targets", model=CountsEverything),
    backend_with("token_nll gives torch.float64; expected torch.float32", model=Float64Loss),
    backend_with("loss_sum has no gradient in any parameter", model=NoGradient),
    backend_with("the gradient of loss_sum is not that of the plain cross-entropy", model=DoubledGradient),
    Frozen(),
    backend_with("three prompts got completions for the positions [0, 1]", model=OneAnswerMissing),
    backend_with("has the stop reason 'length' and the text ' fig'; expected 'end'", model=NeverStops),
    backend_with("the answer ' fig', which it was taught, came as 'Name a fruit: fig'", model=EchoesThePrompt),
    backend_with("expected (32, 102, 105, 103), without the end token", model=KeepsTheEnd),
    backend_with("it was taught, came as", model=PadsOnTheWrongSide),
    backend_with("at temperature 1.0 and in batches of 1 it wrote", model=OneSeedForAll),
    backend_with("with the stop strings 'course' and 'two' it wrote", model=IgnoresStopStrings),
    backend_with("with max_new_tokens=1 it wrote 2 tokens", model=OneTokenMore),
    backend_with("stream() wrote ' f'; expected ' fig', as generate() does", model=StreamsAnotherAnswer),
    backend_with("the answer ' blue, of ' was streamed in the pieces [' blue, of course']", model=TellsTheStopString),
    backend_with("prompt and new tokens exceed the context, and it wrote on", model=OverrunsTheContext),
    backend_with("a saved model gives other logits when it is loaded again", model=SavesBFloat16),
    backend_with("save() writes notes.data; a run with a pickle in its model", model=SavesAPickle),
    IgnoresWhatWasSaved(),
    ForgetsTheTokenizer(),
    WakesUpInTrainingMode(),
]


def label(backend: ModelBackend) -> str:
    kinds = (type(backend), backend.model_class, backend.tokenizer_class)
    return next(kind.__name__ for kind in kinds if kind.__name__ not in ("Spoilt", "Model"))


@pytest.mark.parametrize("backend", BROKEN, ids=label)
@pytest.mark.usefixtures("alone")
def test_a_broken_backend_is_caught_and_its_author_told_why(backend, is_found):
    assert is_found(backend, backend.says)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("backend", BROKEN[::6], ids=label)
def test_all_that_is_wrong_is_one_error(backend):
    with pytest.raises(ContractError) as caught:
        check_model_backend(backend)
    assert backend.says in str(caught.value)
    assert str(caught.value).startswith("specimen: ")


def test_a_backend_that_keeps_its_promises_passes():
    check_model_backend(Good())


def test_a_backend_without_weights_is_not_called_broken():
    class Missing(Good):
        def check(self):
            raise ModelError("no weights in the cache")

    with pytest.raises(ModelError, match="no weights in the cache"):
        check_model_backend(Missing())
