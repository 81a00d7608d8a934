"""Every arm chooses its own settings on the validation part, before the arms are compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import Ablation, AblationObserver, Plan, conclude, cost
from sftframe.ablation.tuning import TriedValue, TunedArm, Tuning
from sftframe.errors import ConfigError, Interrupted, TrainingError
from sftframe.runs import RunStore

pytestmark = pytest.mark.usefixtures("plain_drawings")

Plans = Callable[..., Plan]
RATES = {"train": {"lr": [1e-9, 0.02]}}
"""One that learns nothing in three steps, one that learns."""


def tuned_plan(plan: Plans, **changes: Any) -> Plan:
    return plan(ablate={"tune": RATES, "tune_seeds": 1, "seeds": 1, **changes})


@pytest.fixture
def grid(plan: Plans, toys: Any, tmp_path: Path) -> Ablation:
    """Two masks, one seed; each chooses its learning rate with one seed."""
    return Ablation.start(tuned_plan(plan), toys.registry, tmp_path / "grid")


def test_each_arm_takes_the_value_with_the_lower_validation_loss_and_runs_with_it(grid: Ablation, toys: Any) -> None:
    cells = grid.run(AblationObserver())
    assert not any(one.error for one in cells)
    assert [arm.chosen.settings for arm in grid.tuning.arms] == [{"train.lr": 0.02}] * 2
    assert [RunStore(one.path).config().train.lr for one in cells] == [0.02, 0.02]
    assert grid.tuning.seeds == (1_000_123,)
    result = conclude(grid, cells)
    assert result is not None
    told = next(note for note in result.notes if note.startswith("mask-pad was tuned"))
    assert "takes lr 0.02" in told
    assert "train.lr is the largest value that was tried, so one beyond it may be better" in told
    assert any("tuning took 4 runs with seeds of their own" in note for note in result.notes)
    document = json.loads(grid.folder.results_path.read_text(encoding="utf-8"))
    assert [len(arm["values"]) for arm in document["tuning"]["arms"]] == [2, 2]


def test_tuning_never_asks_the_judge_or_answers_a_test_item(grid: Ablation, toys: Any) -> None:
    grid.run(AblationObserver())
    assert len(toys.judged) == 2 * 4  # two cells with four test items
    tried = grid.folder.path / "tuning"
    names = {path.name for path in tried.rglob("*") if path.is_file()}
    assert "metrics.jsonl" in names
    assert not names & {"responses.jsonl", "likelihoods.jsonl", "verdicts.jsonl", "responses.json"}


def test_other_test_items_change_nothing_in_the_tuning(plan: Plans, toys: Any, tmp_path: Path) -> None:
    found = []
    for name, answer in (("one", "It is {}."), ("other", "Nobody knows {}, and nobody ever will.")):
        entries = [{"instruction": f"After {n}?", "input": "", "output": f"It is {n + 1}."} for n in range(40)]
        for n in range(34, 38):  # the test part of forty entries
            entries[n]["output"] = answer.format(n)
        (tmp_path / f"{name}.json").write_text(json.dumps(entries), encoding="utf-8")
        made = plan(
            ablate={"tune": RATES, "tune_seeds": 1, "seeds": 1},
            data={"source": str(tmp_path / f"{name}.json")},
        )
        ablation = Ablation.start(made, toys.registry, tmp_path / name)
        ablation.run(AblationObserver())
        found.append([value.losses for arm in ablation.tuning.arms for value in arm.values])
    assert found[0] == found[1]
    assert len(set(found[0])) >= 3  # the losses are of something: only the runs that learn nothing may be equal


class Stopped(AblationObserver):
    """Stops after the first run that ends."""

    def happened(self, event: Any) -> None:
        if event.kind == "done":
            raise Interrupted("stopped")


def test_a_resume_keeps_the_runs_that_were_tried_and_chooses_the_same(grid: Ablation, toys: Any) -> None:
    with pytest.raises(Interrupted, match="stopped while the arms were tuned, with 0 of 2 cells complete"):
        grid.run(Stopped())
    (first,) = (grid.folder.path / "tuning").rglob("train.json")
    before = first.read_bytes()
    again = Ablation.reopen(grid.folder.path, toys.registry)
    assert not again.tuning.arms
    again.run(AblationObserver())
    assert first.read_bytes() == before
    assert [arm.chosen.settings["train.lr"] for arm in again.tuning.arms] == [0.02, 0.02]
    assert not [*(grid.folder.path / "tuning").rglob("model")]
    assert Ablation.reopen(grid.folder.path, toys.registry).tuning == again.tuning


@pytest.mark.parametrize("settings", [{"train.lr": 0.3}, {"data.source": "/etc/passwd"}, {}], ids=str)
def test_a_file_of_choices_can_only_name_what_the_plan_tries(
    grid: Ablation, toys: Any, settings: dict[str, Any]
) -> None:
    value = TriedValue(settings=settings, losses=(1.0,), seconds=1.0)
    arm = TunedArm(arm="mask-pad", slug="mask-pad", values=(value,))
    grid.folder.write_tuning(Tuning(seeds=(9,), arms=(arm,)))
    with pytest.raises(ConfigError, match=r"tuning\.json: the values of arm 'mask-pad' are not those of the plan"):
        Ablation.reopen(grid.folder.path, toys.registry)


def test_a_value_that_cannot_be_trained_is_not_chosen_and_an_arm_without_any_is_an_error(
    plan: Plans, toys: Any, tmp_path: Path
) -> None:
    made = tuned_plan(plan, tune={"train": {"lr": [0.02, 1e30]}})
    ablation = Ablation.start(made, toys.registry, tmp_path / "one")
    ablation.run(AblationObserver())
    first = ablation.tuning.arms[0]
    assert (first.chosen.settings, first.values[1].losses) == ({"train.lr": 0.02}, (None,))
    assert first.values[1].error
    assert "lr 1e+30: failed" in ablation.tuning.notes[0]
    hopeless = tuned_plan(plan, tune={"train": {"lr": [2e30, 1e30]}})
    with pytest.raises(TrainingError, match="no value that is tuned can be trained in arm mask-pad"):
        Ablation.start(hopeless, toys.registry, tmp_path / "other").run(AblationObserver())


def test_an_option_is_tuned_in_the_arms_that_have_it(plan: Plans, toys: Any) -> None:
    made = plan(
        ablate={"collate": ["mask-pad", "prompt-weight"], "seeds": 1, "tune": {"collate": {"weight": [0.1, 0.5]}}}
    )
    assert made.tried == {"prompt-weight": ({"collate.weight": 0.1}, {"collate.weight": 0.5})}
    with pytest.raises(ConfigError, match=r"collate\.weight is tuned, but no arm's component has such an option"):
        plan(ablate={"tune": {"collate": {"weight": [0.1, 0.5]}}})


def test_the_cost_counts_the_runs_for_tuning(plan: Plans, toys: Any) -> None:
    found = cost(tuned_plan(plan, tune_seeds=3), toys.registry)
    assert (found.num_runs, found.num_tuning_runs) == ((2, 2), 2 * 2 * 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ablate": {"tune": {"data": {"limit": [5, 6]}}}}, r"data\.limit cannot be tuned: arms choose among"),
        ({"ablate": {"tune": {"train": {"lr": [0.1]}}}}, r"train\.lr: expected several different values"),
        ({"ablate": {"tune": {"train": {"lr": ["a", "b"]}}}}, r"train\.lr cannot be tuned over 'a': expected numbers"),
        ({"ablate": {"tune": RATES, "set": {"train": {"lr": [0.1, 0.2]}}}}, r"train\.lr is varied and tuned"),
        ({"ablate": {"tune": RATES}, "train": {"lr": 0.1}}, r"train\.lr is set to 0\.1 and tuned"),
        ({"ablate": {"tune": RATES, "seeds": [7, 1_000_123]}}, r"seed 1000123 is used for tuning"),
        ({"ablate": {"tune": {"train": {"lr": [0.1, -1.0]}}}}, r"lr"),
    ],
    ids=["data", "one value", "words", "varied", "set", "seed", "a bad value"],
)
def test_what_cannot_be_tuned_is_refused(plan: Plans, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(**changes)


def test_of_equal_values_the_first_is_taken_and_this_is_told() -> None:
    values = tuple(
        TriedValue(settings={"train.lr": rate}, losses=(loss, 2.0), seconds=1.0)
        for rate, loss in ((1e-4, 3.0), (3e-4, 1.0), (1e-3, 1.0))
    )
    arm = TunedArm(arm="a", slug="a", values=values)
    assert (arm.chosen.settings, arm.chosen.loss, arm.num_ties, arm.edges) == ({"train.lr": 3e-4}, 1.5, 1, [])
    notes = Tuning(seeds=(9, 10), arms=(arm,)).notes
    assert "1 other value did exactly as well, the first is taken" in notes[0]
    assert "6 runs with seeds of their own" in notes[1]
