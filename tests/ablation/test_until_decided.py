"""Seeds are added look by look until every comparison has a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import Ablation, AblationObserver, Plan, conclude, cost, run_and_conclude
from sftframe.errors import ConfigError, Interrupted
from sftframe.report import comparison_csv, comparison_document, comparison_markdown

pytestmark = pytest.mark.usefixtures("plain_drawings")

Plans = Callable[..., Plan]
OPEN = {"yardstick": "exact_match", "margin": 1e-9}
"""Two toy arms that no look with so few items tells apart."""
LOOKS = {"until_decided": True, "looks": [2, 3, 4], "seeds": [123, 124]}


class Notes(AblationObserver):
    """Remembers what is said, and can stop a run."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.notes: list[str] = []
        self.num_done = 0
        self.stop_after = stop_after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def happened(self, event: Any) -> None:
        self.num_done += event.kind == "done" and event.seconds > 0
        if self.num_done == self.stop_after:
            raise Interrupted("stopped")


@pytest.fixture
def looking(plan: Plans, toys: Any, tmp_path: Path) -> Callable[..., Ablation]:
    """`looking("name", …)`: a new ablation with looks at 2, 3 and 4 seeds, changed as told."""

    def make(name: str = "grid", **changes: Any) -> Ablation:
        made = plan(ablate={**LOOKS, **OPEN, **changes})
        return Ablation.start(made, toys.registry, tmp_path / name)

    return make


def path_of(folder: Path) -> list[Any]:
    looks: list[Any] = json.loads((folder / "looks.json").read_text(encoding="utf-8"))["looks"]
    return looks


@pytest.fixture(scope="module")
def straight(make_toys: Any, toy_layer: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[str]]:
    """An ablation that took all of its looks without a stop, and what it said."""
    from sftframe.ablation import make_plan, read_request
    from sftframe.config import merge

    registry = make_toys().registry
    made = make_plan(read_request(merge(toy_layer, {"ablate": {**LOOKS, **OPEN}})), registry)
    observer = Notes()
    ablation = Ablation.start(made, registry, tmp_path_factory.mktemp("straight") / "grid")
    return run_and_conclude(ablation, observer), observer.notes


def test_looks_are_taken_until_the_last_if_nothing_is_decided(straight: Any) -> None:
    finished, notes = straight
    assert [len(look.seeds) for look in finished.result.path] == [2, 3, 4]
    assert finished.ablation.plan.grid.seeds == (123, 124, 125, 126)
    assert notes == [
        "look 1, 2 seeds: cannot tell mask-instruction from the baseline yet; going on to 3 seeds",
        "look 2, 3 seeds: cannot tell mask-instruction from the baseline yet; going on to 4 seeds",
    ]


def test_a_stop_and_a_resume_give_the_looks_of_a_straight_run(straight: Any, looking: Any, toys: Any) -> None:
    with pytest.raises(Interrupted):
        run_and_conclude(looking(), Notes(stop_after=5))  # four cells are the first look
    folder = looking("other").folder.path.parent / "grid"
    assert [len(look["seeds"]) for look in path_of(folder)] == [2]
    resumed = run_and_conclude(Ablation.reopen(folder, toys.registry), Notes())
    assert path_of(folder) == path_of(straight[0].ablation.folder.path)
    assert resumed.result is not None
    assert resumed.result.path == straight[0].result.path
    assert resumed.result.sentence == straight[0].result.sentence


def test_a_decided_ablation_stops_at_once_and_is_not_gone_on_with(looking: Any, toys: Any) -> None:
    decided = run_and_conclude(looking(margin=1e9), Notes())
    assert decided.result is not None
    assert "verdicts and intervals allow for all 3 planned looks" in decided.result.sentence
    assert [found.verdict for found in decided.result.told] == ["equivalent"]
    assert len(decided.ablation.plan.grid.seeds) == 2
    observer = Notes()
    again = Ablation.reopen(decided.ablation.folder.path, toys.registry, {"margin": 1e-9})
    other = run_and_conclude(again, observer, changes={"margin": 1e-9})
    assert len(other.ablation.plan.grid.seeds) == 2
    assert observer.notes == ["it was decided by another yardstick or margin, so no seeds are added now"]
    (kept,) = path_of(again.folder.path)
    assert (kept["margin"], kept["comparisons"][0]["verdict"]) == (1e9, "equivalent")


def test_a_failed_cell_is_no_look(looking: Any, toys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ablation = looking()
    cells = ablation.run(Notes())
    from dataclasses import replace

    conclude(ablation, [*cells[:-1], replace(cells[-1], error="broke")])
    assert not ablation.folder.looks_path.exists()


def test_every_document_shows_the_path_and_the_report_keeps_it(straight: Any) -> None:
    result, folder = straight[0].result, straight[0].ablation.folder
    looks = comparison_document(result)["looks"]
    assert (looks["planned"], looks["is_corrected"]) == ([2, 3, 4], True)
    assert [look["comparisons"][0]["verdict"] for look in looks["path"]] == ["cannot tell"] * 3
    assert "looks at 2, 3 and 4 seeds were planned" in comparison_markdown(result)
    assert comparison_markdown(result).count("| `mask-instruction` |") >= 3 + 1
    assert ",look,share_of_information" in comparison_csv(result)
    page = folder.report_path.read_text(encoding="utf-8")
    assert "The looks, one after the other" in page
    assert "repeated confidence intervals" in page


def test_a_second_look_at_a_finished_ablation_says_that_it_is_not_corrected(ran: Callable[..., Any], toys: Any) -> None:
    grid, cells = ran()
    first = conclude(grid, cells)
    assert first is not None
    assert (first.looks, first.path) == (None, ())
    more = Ablation.extend(grid.folder.path, toys.registry, seeds=4)
    second = run_and_conclude(more, Notes()).result
    assert second is not None
    assert "already compared with 2 seeds, and this verdict with 4 is not corrected for that" in second.sentence
    assert [len(look.seeds) for look in second.path] == [2, 4]
    page = grid.folder.report_path.read_text(encoding="utf-8")
    assert "is not corrected for that" in page


def test_results_of_a_version_without_looks_count_as_a_look(ran: Callable[..., Any], toys: Any) -> None:
    grid, cells = ran()
    conclude(grid, cells)
    grid.folder.looks_path.unlink()
    (look,) = grid.folder.read_looks()
    assert (look.seeds, look.comparisons) == ((123, 124), ())


def test_the_cost_is_told_for_the_fewest_and_the_most_seeds(plan: Plans, toys: Any) -> None:
    found = cost(plan(ablate={**LOOKS, "max_seeds": 10}), toys.registry)
    assert (found.num_seeds, found.num_runs) == ((2, 10), (4, 20))
    assert found.training_s[1] == pytest.approx(5 * found.training_s[0])
    plain = cost(plan(ablate={"seeds": 3}), toys.registry)
    assert (plain.num_seeds, plain.num_runs) == ((3, 3), (6, 6))


def test_a_number_of_seeds_contradicts_until_decided(plan: Plans) -> None:
    with pytest.raises(ConfigError, match="3 seeds and until_decided contradict each other"):
        plan(ablate={"until_decided": True, "seeds": 3})
