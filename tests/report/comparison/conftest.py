"""Comparisons made of records, and a page of one taken apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sftframe.analysis import ComparedArm, ComparisonResult, compare
from sftframe.records import AnsweredItem
from sftframe.report import Curves, PageInput, read_curves
from sftframe.runs import LoadedRun

SCRIPT = "<script>window.hacked = 1</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror="window.hacked = 2">',
    "</script><script>window.hacked = 3</script>",
    "<!-- <script> never closed",
    "\x00\x1b[31mred\x07\x9b",
    "😀 👩‍👩‍👧",
    "\u202eright to left שלום",
    "half a pair \ud800, separators \u2028\u2029",
)
"""Texts that a page must show and never obey."""


def item(index: int, score: float | None, **changes: Any) -> AnsweredItem:
    """What a run found out about a question."""
    plain: dict[str, Any] = {
        "index": index,
        "instruction": f"Question {index}?",
        "input": "",
        "reference": f"reference {index}",
        "answer": f"answer {index}",
        "stop_reason": "end",
        "response_nll": 2.0 + 0.1 * index,
        "num_response_bytes": 10,
        "score": score,
        "verdict": "ok",
        "reason": "",
    }
    return AnsweredItem(**plain | changes)


def make_run(seed: int = 1, items: Sequence[AnsweredItem] = (), path: Path | None = None, **settings: Any) -> LoadedRun:
    """A run that was never on a disk, unless it is said where."""
    chosen = {"prompt.name": "alpaca", "collate.name": "mask-pad", **settings}
    shares = {"instruction": 0.0 if chosen["collate.name"] == "mask-instruction" else 1.0, "response": 1.0}
    letters = {"data": "d", "split": "5", "test": "7", "initial_weights": "w", "order": f"{seed % 10}"}
    return LoadedRun(
        path=path or Path(f"runs/{chosen['collate.name']}/seed-{seed}"),
        seed=seed,
        settings=chosen,
        pairing_hashes={key: letter * 64 for key, letter in letters.items()},
        judge="reference",
        items=tuple(items),
        summary={"train": {"counted_share": shares}},
        manifest={"versions": {"sftframe": "0.1.0"}, "machine": {"cpu": "a fast one"}, "judge": "reference"},
    )


@pytest.fixture(scope="session")
def new_run() -> Callable[..., LoadedRun]:
    """`new_run(seed, items, **settings)`: a run that was never on a disk."""
    return make_run


SCORES = {"mask-pad": (40, 60, 50, 30, 55, 45), "mask-instruction": (60, 75, 80, 55, 70, 45)}
"""By mask; one item is the same in both."""


@pytest.fixture(scope="session")
def make_result() -> Callable[..., ComparisonResult]:
    """`make_result(seeds=[1], names={"mask-pad": "a"}, items=…)`: two arms, one better than the other."""

    def make(
        *,
        seeds: Sequence[int] = (1, 2),
        names: Mapping[str, str] | None = None,
        texts: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> ComparisonResult:
        arms = [
            ComparedArm(
                name=(names or {}).get(mask, mask),
                runs={
                    seed: make_run(
                        seed,
                        [item(i, score + seed * (i % 2), **(texts or {})) for i, score in enumerate(scores)],
                        **{"collate.name": mask},
                    )
                    for seed in seeds
                },
            )
            for mask, scores in SCORES.items()
        ]
        return compare(arms, **kwargs)

    return make


@pytest.fixture(scope="session")
def result(make_result: Callable[..., ComparisonResult]) -> ComparisonResult:
    """Two arms by two seeds."""
    return make_result()


def make_curves(start: float, num_steps: int = 6) -> Curves:
    """Losses that fall by a tenth of the start per step, looked at every second step."""
    steps = [
        {
            "kind": "step",
            "step": step,
            "epoch": 0.1,
            "loss": start * (1 - step / 10),
            "lr": 1e-3,
            "grad_norm": 1.0,
            "tokens_seen": 100 * step,
            "examples_seen": 8 * step,
            "seconds": 0.1,
        }
        for step in range(1, num_steps + 1)
    ]
    evaluations = [
        {
            "kind": "eval",
            "step": step,
            "tokens_seen": 100 * step,
            "validation_loss": start,
            "response_nll_per_token": start,
            "response_nll_per_byte": start / 4 - step / 100,
            "prompt_nll_per_token": start,
            "sample_index": 0,
            "sample_text": "",
        }
        for step in range(0, num_steps + 1, 2)
    ]
    return read_curves([*steps, *evaluations])


@dataclass
class Outline(HTMLParser):
    """A page's elements in their order, what is written in them, and that every tag is closed."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop(), f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words += data.split()

    @property
    def text(self) -> str:
        """All that is to be read."""
        return " ".join(self.words)

    def attributes(self, tag: str, name: str) -> list[str]:
        """The attribute's value of every element of this kind that has it."""
        return [attributes[name] for kind, attributes in self.elements if kind == tag and name in attributes]


@pytest.fixture(scope="session")
def outline() -> Callable[[str], Outline]:
    """Takes a page apart."""

    def parse(html: str) -> Outline:
        parsed = Outline()
        parsed.feed(html)
        parsed.close()
        assert parsed.open == []
        return parsed

    return parse


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """Texts that a page must show and never obey."""
    return HOSTILE


@dataclass(frozen=True)
class Cosine:
    """As `sftframe.ablation` measures them."""

    step: int
    candidate: str
    cosine: float | None
    norm_ratio: float | None


@pytest.fixture(scope="session")
def full(result: ComparisonResult) -> PageInput:
    """A page with something in every section."""
    return page_of(result)


@pytest.fixture(scope="session")
def page_with_all() -> Callable[[ComparisonResult], PageInput]:
    """A page with something in every section about any comparison."""
    return page_of


def page_of(result: ComparisonResult) -> PageInput:
    """Curves, gradients and tokens for every arm."""
    names = [arm.name for arm in result.arms]
    seeds = [*result.arms[0].runs]
    tokens = [
        ("Say", "instruction", False, 0.0),
        (" it", "instruction", True, 0.5),
        ("</script>\n", "response", True, 1.0),
    ]
    return PageInput(
        result=result,
        title="ablations/1",
        curves={
            name: {seed: make_curves(4.0 + place + seed / 10) for seed in seeds} for place, name in enumerate(names)
        },
        gradients=[Cosine(step, name, 0.5 - step / 100, 1.25) for step in (1, 11) for name in names[1:]],
        command="sftframe ablate --config ablations/1/ablation.toml --out ablations/1-again",
        token_examples=dict.fromkeys(names, tokens),
    )
