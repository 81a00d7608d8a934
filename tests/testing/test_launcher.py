"""The contract of launchers: what breaks it is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from sftframe import CellOutcome, CellTask, Launch, Launcher
from sftframe.testing import ContractError, check_launcher


class InOrder(Launcher):
    name = "in-order"
    summary = "one cell after the other"

    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        for task in tasks:
            yield task.run(launch.tell, launch.is_stopped)


class Forgetful(InOrder):
    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        return super().launch(tasks[:-1], launch)


class Deaf(InOrder):
    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        for task in tasks:
            yield task.run(launch.tell, lambda: False)


class Silent(InOrder):
    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        for task in tasks:
            yield task.run(lambda event: None, launch.is_stopped)


class Hopeful(InOrder):
    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        for task in tasks:
            yield CellOutcome(number=task.run(launch.tell, launch.is_stopped).number)


def test_a_launcher_that_does_what_it_must_passes() -> None:
    check_launcher(InOrder())


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (Forgetful(), r"of the cells 4, 7 and 9 it gave outcomes of \[4, 7\]"),
        (Deaf(), r"the cells \[4, 9\] were run to their end"),
        (Silent(), r"of cell 4 it told \[\]"),
        (Hopeful(), "the outcome of cell 7 has the error ''"),
    ],
)
def test_a_broken_promise_is_found(launcher: Launcher, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_launcher(launcher)
