"""Doubles of all four seams: a model over bytes that trains in milliseconds, a short style, a judge, and no patching.

They implement the public interface and nothing else, so they also show that a third party's pieces are enough.
"""

from __future__ import annotations

import gc
import os
import signal

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # before torch, as the command does it: busy machines stay fast

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from sftframe import (
    CausalLM,
    Example,
    Judge,
    JudgeItem,
    ModelBackend,
    PromptStyle,
    Registry,
    Role,
    Segment,
    Tokenizer,
    Verdict,
    hookimpl,
    load_registry,
    option,
)
from sftframe.device import allowed_cores
from sftframe.progress import Observer

_DEFAULTS = {"SIGHUP": signal.SIG_DFL, "SIGTERM": signal.SIG_DFL, "SIGINT": signal.default_int_handler}
for _name, _default in _DEFAULTS.items():
    # `nohup` ignores SIGHUP, a script's background job SIGINT; all that the tests start would ignore them too
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _name), _default)


def pytest_xdist_auto_num_workers() -> int:
    """Of `pytest -n auto`: one per processor that this process may use, and at most four, since each loads torch."""
    return min(4, allowed_cores())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """No garbage is looked for among what lives as long as the tests: modules and test items, millions of objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class ByteTokenizer(Tokenizer):
    """One id per byte, and the end token 256. Any two texts tokenise apart as they do together."""

    vocab_size = 257
    end_id = 256
    fingerprint = "bytes"

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else b""

    def save(self, folder: Path) -> None:
        (folder / "tokenizer.txt").write_text("bytes", encoding="utf-8")


class ToyNetwork(nn.Module):
    """Two layers, each of which sees a position and the mean of all positions up to it."""

    def __init__(self, width: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(257, width)
        self.layers = nn.ModuleList([nn.Linear(2 * width, width) for _ in range(2)])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 257, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)  # (B, T, C)
        counts = torch.arange(1, ids.shape[1] + 1, device=ids.device).view(1, -1, 1)
        for layer in self.layers:
            past = x.cumsum(dim=1) / counts
            x = x + self.dropout(torch.tanh(layer(torch.cat([x, past], dim=-1))))
        return self.head(x)  # (B, T, V)


class ToyModel(CausalLM):
    def save(self, folder: Path) -> None:
        save_model(self.module, str(folder / "toy.safetensors"))
        self.tokenizer.save(folder)


@dataclass(frozen=True, kw_only=True)
class ToyModelOptions:
    dropout: float = option(0.0, "dropout while training", ge=0, lt=1)
    context: int = option(256, "context length", ge=2)


class ToyBackend(ModelBackend):
    name = "toy"
    summary = "two small layers over bytes"
    Options = ToyModelOptions
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "train": {"lr": 3e-3, "epochs": 1, "batch_size": 4},
        "generate": {"max_new_tokens": 6},
    }

    def tokenizer(self, saved: Path | None = None) -> Tokenizer:
        return ByteTokenizer()

    def context_length(self, saved: Path | None = None) -> int:
        return self.options.context

    def load(self, *, device: str, dtype: str, seed: int, saved: Path | None = None) -> CausalLM:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = ToyNetwork(dropout=self.options.dropout)
        if saved is not None:
            load_model(network, str(saved / "toy.safetensors"))
        return ToyModel(network.to(device).eval(), ByteTokenizer(), self.options.context)


class BriefStyle(PromptStyle):
    """Few words, so that a byte-level model has short rows."""

    name = "brief"
    summary = "question and answer on two lines"

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.TEMPLATE, "Q: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\nA:")
        yield Segment(Role.RESPONSE, " " + example.output)


@dataclass(frozen=True, kw_only=True)
class ToyJudgeOptions:
    version: int = option(1, "part of the judge's identity")
    failing: int = option(0, "how many of the items it is asked about fail")
    rubric: str = option("", "ignored")


@dataclass(slots=True)
class Toys:
    """A registry with the doubles in it, and what the judge was asked."""

    registry: Registry
    judged: list[int] = field(default_factory=list)
    """`Example.index` of every item that any judge made from this registry was asked about."""


def _toys(*, style: type[PromptStyle] = BriefStyle, backend: type[ModelBackend] = ToyBackend) -> Toys:
    toys = Toys(Registry())

    class ToyJudge(Judge):
        name = "toy-judge"
        summary = "half a mark for any answer, a whole one for the reference"
        Options = ToyJudgeOptions
        is_deterministic = True
        is_cacheable = False

        @property
        def identity(self) -> str:
            return f"toy-judge v{self.options.version}"

        def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
            for number, item in enumerate(items):
                toys.judged.append(item.index)
                is_failing = number < self.options.failing
                score = 100.0 if item.answer == item.reference else 50.0
                yield Verdict(
                    index=item.index,
                    status="error" if is_failing else "ok",
                    score=None if is_failing else score,
                    judge=self.identity,
                )

    class Plugin:
        @hookimpl
        def sftframe_prompt_styles(self) -> list[type[PromptStyle]]:
            return [style]

        @hookimpl
        def sftframe_model_backends(self) -> list[type[ModelBackend]]:
            return [backend]

        @hookimpl
        def sftframe_judges(self) -> list[type[Judge]]:
            return [ToyJudge]

    toys.registry = load_registry().with_plugin(Plugin(), "toys")
    return toys


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is taken from the user's cache, and nothing left in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFTFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Toy tensors are computed faster than threads are woken."""
    torch.set_num_threads(1)


def _draw_an_empty_svg(canvas: Any, file: Any, **_: Any) -> None:
    file.write('<svg viewBox="0 0 1 1"><g/></svg>')


def _draw_an_empty_png(canvas: Any, file: Any, **_: Any) -> None:
    file.write(b"\x89PNG\r\n\x1a\n")


@contextmanager
def _drawing_nothing() -> Iterator[None]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasSVG, "print_svg", _draw_an_empty_svg)
        patch.setattr(FigureCanvasAgg, "print_png", _draw_an_empty_png)
        yield


@pytest.fixture
def plain_drawings() -> Iterator[None]:
    """For tests that write reports and do not look at their charts: matplotlib draws nothing.

    All else of a report is as ever, the figures too; drawing them takes half of a small run's time.
    """
    with _drawing_nothing():
        yield


@pytest.fixture(scope="session")
def drawing_nothing() -> Callable[[], AbstractContextManager[None]]:
    """`with drawing_nothing():` in a fixture that outlives a test; see `plain_drawings`."""
    return _drawing_nothing


@pytest.fixture
def toys(make_toys: Callable[..., Toys]) -> Toys:
    """A registry with a toy model, style and judge beside the installed plugins; select them by name."""
    return make_toys()


@pytest.fixture(scope="session")
def make_toys() -> Callable[..., Toys]:
    """`make_toys(style=…, backend=…)`: toys of which a piece is another, or for a fixture that outlives a test."""
    return _toys


@pytest.fixture
def toy_backend() -> type[ModelBackend]:
    """The backend `toy`, to derive another from."""
    return ToyBackend


@pytest.fixture
def tokenizer() -> Tokenizer:
    """Bytes."""
    return ByteTokenizer()


@pytest.fixture
def brief_style() -> PromptStyle:
    """`Q: instruction[ LINE BREAK input] LINE BREAK A: output`."""
    return BriefStyle()


@pytest.fixture
def make_model() -> Callable[..., CausalLM]:
    """`make_model(seed=0, dropout=0.0, context=256)`: an untrained toy model."""

    def make(seed: int = 0, **options: Any) -> CausalLM:
        backend = ToyBackend(ToyModelOptions(**options))
        return backend.load(device="cpu", dtype="float32", seed=seed)

    return make


@pytest.fixture
def test_data() -> Path:
    """The folder with the chapter's data and GPT-2's vocabulary; skips where it is absent."""
    return _test_data()


@pytest.fixture(scope="session")
def gpt2_tokenizer() -> Tokenizer:
    """GPT-2's own vocabulary; skips where it is absent."""
    from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer

    return BytePairTokenizer.from_folder(_test_data() / "gpt2")


def _test_data() -> Path:
    folder = Path(os.environ.get("SFTFRAME_TEST_DATA") or Path(__file__).parents[1] / "../shared/data")
    if not (folder / "instruction-data.json").is_file():
        pytest.skip(f"no test data in {folder}; SFTFRAME_TEST_DATA names its folder")
    return folder


@dataclass(slots=True)
class Heard(Observer):
    """An observer that remembers."""

    stages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def begin(self, stage: str, total: int | None, unit: str) -> None:
        self.stages.append(stage)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def heard() -> Heard:
    """An observer that remembers stages, notes and warnings."""
    return Heard()
