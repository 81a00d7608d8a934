"""Runs an ablation look by look: seeds are added until every comparison has a verdict, or the last look is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sftframe.ablation.cells import AblationObserver
from sftframe.ablation.conclusion import conclude
from sftframe.ablation.elsewhere import Elsewhere
from sftframe.ablation.running import Ablation, CellResult
from sftframe.analysis import ComparisonResult, PeopleLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """An ablation whose cells are run, with what they show."""

    ablation: Ablation
    """With the plan that it has now."""
    cells: list[CellResult]
    result: ComparisonResult | None
    """None if fewer than two arms have a complete run."""


def run_and_conclude(
    ablation: Ablation,
    observer: AblationObserver,
    *,
    changes: dict[str, Any] | None = None,
    jobs: int = 1,
    disabled: Sequence[str] = (),
    elsewhere: Elsewhere | None = None,
    before_conclusion: Callable[[], None] = lambda: None,
    people: PeopleLabels | None = None,
) -> Finished:
    """Run the cells and compare the arms; where the plan says `until_decided`, as often as there is a next look.

    All arms get seeds until all comparisons of the verdict are decided, so that arms stay paired. A look at which a
    cell failed is not taken, and ends the work. An ablation that was decided gets no more seeds, even if it is compared
    by another yardstick or margin now.

    Args:
        changes: keys of `[ablate]` that were changed for this time, as for `Ablation.reopen`.
        jobs: as for `Ablation.run`, and `disabled` and `elsewhere`.
        before_conclusion: called once, after the first cells are run.
        people: labels that correct the judge, as for `conclude`.

    Raises:
        Interrupted: the user asked for a stop; the cells at work are saved.
        SftframeError: as `Ablation.run`, `Ablation.extend` and `conclude`.
    """
    cells = ablation.run(observer, jobs=jobs, disabled=disabled, elsewhere=elsewhere)
    before_conclusion()
    while True:
        was_decided = any(
            look.is_decided and len(look.seeds) == len(ablation.plan.grid.seeds)
            for look in ablation.folder.read_looks()
        )
        result = conclude(ablation, cells, people=people)
        finished = Finished(ablation=ablation, cells=cells, result=result)
        number = result.looks.next if result and result.looks and result.looks.is_corrected else None
        if result is None or number is None or any(one.error for one in cells):
            return finished
        if result.look.is_decided or was_decided:
            if not result.look.is_decided:
                observer.note("it was decided by another yardstick or margin, so no seeds are added now")
            return finished
        observer.note(
            f"look {len(result.path)}, {len(result.look.seeds)} seeds: {_open(result)}; going on to {number} seeds"
        )
        ablation = Ablation.extend(ablation.folder.path, ablation.registry, changes, seeds=number)
        cells = ablation.run(observer, jobs=jobs, disabled=disabled, elsewhere=elsewhere)


def _open(result: ComparisonResult) -> str:
    names = [found.candidate for found in result.told if found.verdict == "cannot tell"]
    return f"cannot tell {', '.join(names)} from the baseline yet"
