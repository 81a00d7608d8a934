"""The judge's own part of the spread, measured by grading one run's answers again."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sftframe import Judge, JudgeItem, Registry, Verdict, hookimpl
from sftframe.ablation import Ablation, AblationObserver, Plan, conclude, make_plan, read_request
from sftframe.config import Layer, merge
from sftframe.registry import Seam


@pytest.fixture
def registry(toys: Any) -> Registry:
    """The toys, and a judge that says of each answer 40 and 60 in turn: variance 200 where it is asked twice."""
    times_asked: Counter[tuple[int, str]] = Counter()

    class Wavering(Judge):
        name = "wavering"
        summary = "another score each time"
        num_asked = 0

        def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
            type(self).num_asked += 1
            for item in items:
                times_asked[item.index, item.answer] += 1
                is_even = times_asked[item.index, item.answer] % 2 == 0
                yield Verdict(index=item.index, status="ok", score=60.0 if is_even else 40.0)

    class Plugin:
        @hookimpl
        def sftframe_judges(self) -> list[type[Judge]]:
            return [Wavering]

    found: Registry = toys.registry.with_plugin(Plugin(), "wavering")
    return found


@pytest.fixture
def components(toy_layer: Layer, registry: Registry, tmp_path: Path) -> Callable[..., Any]:
    """`components(judge, repeats)`: the variance components of the first comparison."""

    def go(judge: str, repeats: int) -> Any:
        layer = merge(toy_layer, {"judge": judge, "ablate": {"repeats": repeats, "seeds": 2}})
        plan: Plan = make_plan(read_request(layer), registry)
        ablation = Ablation.start(plan, registry, tmp_path / judge)
        result = conclude(ablation, ablation.run(AblationObserver()))
        assert result is not None
        return result.main.table.comparisons[0].components

    return go


def test_a_judge_that_wavers_has_its_share_measured(components: Callable[..., Any]) -> None:
    # 40 and 60 of the same answer: each 10 from their mean, variance (100 + 100) / (2 - 1); a difference has twice that
    assert components("wavering", 2).judge == pytest.approx(400.0)


def test_what_was_measured_once_is_taken_from_the_results(toy_layer: Layer, registry: Registry, tmp_path: Path) -> None:
    plan = make_plan(read_request(merge(toy_layer, {"judge": "wavering", "ablate": {"repeats": 2}})), registry)
    ablation = Ablation.start(plan, registry, tmp_path / "grid")
    cells = ablation.run(AblationObserver())
    conclude(ablation, cells)
    judge: Any = registry.find(Seam.JUDGE, "wavering")
    num_asked = judge.num_asked
    conclude(ablation, cells)
    assert judge.num_asked == num_asked


def test_without_repeats_the_share_of_a_wavering_judge_is_not_known(components: Callable[..., Any]) -> None:
    assert components("wavering", 1).judge is None


def test_a_deterministic_judge_has_no_share_and_is_not_asked_again(components: Callable[..., Any]) -> None:
    assert components("reference", 1).judge == 0.0
