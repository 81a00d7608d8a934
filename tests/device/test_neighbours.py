"""What others take of the CPU, from clocks that can be written down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sftframe.device import ForeignLoad, crowding
from sftframe.device.cpu import Clocks, read_clocks


def clocks(*looks: tuple[float, float, float]) -> Callable[[], Clocks]:
    """A reader of these (wall, busy, own), one after the other."""
    left = iter(looks)

    def read() -> Clocks:
        wall, busy, own = next(left)
        return Clocks(wall=wall, busy=busy, own=own)

    return read


@pytest.mark.parametrize(
    ("then", "cores"),
    [
        ((12.0, 103.0, 7.2), 1.4),  # in 2 s all processes took 3 s of CPU time, this one 0.2 s
        ((12.0, 102.0, 7.0), 1.0),
        ((12.0, 100.2, 7.2), 0.0),
        ((14.0, 107.9, 14.9), 0.0),  # clocks that tick apart: never below 0
        ((10.1, 100.1, 7.0), None),  # too short to tell
    ],
)
def test_what_all_took_and_this_process_did_not_is_others(
    then: tuple[float, float, float], cores: float | None
) -> None:
    assert ForeignLoad(clocks((10.0, 100.0, 7.0), then)).cores() == cores


@pytest.mark.parametrize(
    ("foreign", "threads", "cores", "line"),
    [
        (1.4, 2, 2, "other processes use about 1.4 of 2 cores: training will be slower"),
        (0.3, 2, 2, "other processes use about 0.3 of 2 cores: training will be slower"),
        (9.0, 2, 4, "other processes use about 4.0 of 4 cores: training will be slower"),
        (6.5, 2, 8, "other processes use about 6.5 of 8 cores: training will be slower"),
    ],
)
def test_others_in_the_way_are_told(foreign: float, threads: int, cores: int, line: str) -> None:
    assert crowding(foreign, threads=threads, cores=cores) == line


@pytest.mark.parametrize(
    ("foreign", "threads", "cores"),
    [(0.05, 2, 2), (0.2, 2, 2), (1.4, 2, 4), (30.0, 2, 64), (None, 2, 2)],
)
def test_an_idle_or_a_large_machine_is_not_worth_a_word(foreign: float | None, threads: int, cores: int) -> None:
    assert crowding(foreign, threads=threads, cores=cores) is None


def test_the_clocks_of_this_machine_go_on() -> None:
    first = read_clocks()
    sum(i * i for i in range(2_000_000))  # at least a few ticks of 10 ms
    then = read_clocks()
    assert then.wall > first.wall
    assert then.own > first.own
    assert then.busy >= first.busy
