"""The judge's own part of the spread, measured by grading one run's answers again."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sftframe import Judge, JudgeItem, Registry, Verdict, hookimpl
from sftframe.ablation import Ablation, AblationObserver, conclude, make_plan, read_request
from sftframe.ablation.folder import AblationFolder
from sftframe.config import Layer, merge
from sftframe.registry import Seam

pytestmark = pytest.mark.usefixtures("plain_drawings")


@pytest.fixture(scope="module")
def registry(make_toys: Callable[..., Any]) -> Registry:
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

    found: Registry = make_toys().registry.with_plugin(Plugin(), "wavering")
    return found


@pytest.fixture(scope="module")
def grid(
    toy_layer: Layer, registry: Registry, tmp_path_factory: pytest.TempPathFactory, drawing_nothing: Callable[..., Any]
) -> Ablation:
    """Two masks by two seeds, scored by the judge that wavers; run, and concluded once."""
    plan = make_plan(read_request(merge(toy_layer, {"judge": "wavering", "ablate": {"repeats": 2}})), registry)
    ablation = Ablation.start(plan, registry, tmp_path_factory.mktemp("wavering") / "grid")
    with drawing_nothing():
        conclude(ablation, ablation.run(AblationObserver()))
    return ablation


def components(ablation: Ablation) -> Any:
    """The variance components of the first comparison."""
    result = conclude(ablation, ablation.state())
    assert result is not None
    return result.main.table.comparisons[0].components


def test_a_judge_that_wavers_has_its_share_measured_once(grid: Ablation, registry: Registry) -> None:
    judge: Any = registry.find(Seam.JUDGE, "wavering")
    num_asked = judge.num_asked
    # 40 and 60 of the same answer: each 10 from their mean, variance (100 + 100) / (2 - 1); a difference of two answers
    # has twice that, and one of equal answers, which share a verdict, has none
    result = conclude(grid, grid.state())
    assert result is not None
    one, other = ([item.answer for run in arm.runs.values() for item in run.items] for arm in result.arms)
    num_unequal = sum(a != b for a, b in zip(one, other, strict=True))
    assert components(grid).judge == pytest.approx(400.0 * num_unequal / len(one))
    assert judge.num_asked == num_asked, "what was measured is taken from the results"


def test_without_repeats_the_share_of_a_wavering_judge_is_not_known(
    grid: Ablation, registry: Registry, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(grid.folder.path, tmp_path / "grid"))
    AblationFolder(folder).results_path.unlink()
    assert components(Ablation.reopen(folder, registry, {"repeats": 1})).judge is None


def test_a_deterministic_judge_has_no_share_and_is_not_asked_again(ran: Callable[..., Any], toys: Any) -> None:
    ablation, _ = ran()
    assert components(ablation).judge == 0.0
    assert toys.judged == []
