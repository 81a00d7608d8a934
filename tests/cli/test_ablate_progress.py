"""What is said of the time an ablation takes before its first cell has ended."""

from collections.abc import Iterator

import pytest

from sftframe.ablation import Cell, CellEvent
from sftframe.ablation.grid import Arm
from sftframe.cli.ablate_render import GridObserver


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cells() -> list[Cell]:
    arms = [Arm(name=name, slug=name, settings={}, layer={}) for name in ("one", "two")]
    return [Cell(arm=arm, seed=seed) for seed in (1, 2, 3) for arm in arms]


def steps(clock: Clock, count: int, seconds: float) -> Iterator[CellEvent]:
    for _ in range(count):
        clock.now += seconds
        yield CellEvent(number=0, kind="advance", amount=1, figures={"loss": 1.0})


def test_time_is_estimated_from_the_first_steps_and_said_once(
    cells: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    with GridObserver(clock) as observer:
        observer.planned(cells)
        observer.happened(CellEvent(number=0, kind="started"))
        observer.happened(CellEvent(number=0, kind="begin", text="train", total=50))
        observer.happened(CellEvent(number=0, kind="advance", amount=10))  # of before an interruption
        for event in steps(clock, 3, 2.0):
            observer.happened(event)
        assert "estimated" not in capsys.readouterr().err  # three steps say nothing yet
        for event in steps(clock, 3, 2.0):
            observer.happened(event)
    told = " ".join(capsys.readouterr().err.split())
    # after the fourth step 14 of 6 x 50 steps are taken: 286 steps of 2 s
    assert told == (
        "about 9 min 32 s of training left in all cells, estimated from the first 4 steps; "
        "answers and verdicts take extra time"
    )


def test_cells_that_train_side_by_side_share_the_time(cells: list[Cell], capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with GridObserver(clock) as observer:
        observer.planned(cells[:2])
        for number in (0, 1):
            observer.happened(CellEvent(number=number, kind="started"))
            observer.happened(CellEvent(number=number, kind="begin", text="train", total=100))
        clock.now += 4 * 15.0
        for number in (1, 0):
            observer.happened(CellEvent(number=number, kind="advance", amount=4, figures={"loss": 1.0}))
        assert "about 24 min 30 s" in capsys.readouterr().err  # one has told of its steps: 196 steps of 15 s, by two
        assert "about 24 min 0 s of training left" in observer._pace()
