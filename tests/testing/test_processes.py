"""Processes that do many tasks: each task finds one as good as new, with the environment and the folder of now."""

import os
import random
from pathlib import Path

import pytest

from sftframe import PromptStyle, Role, Segment
from sftframe.testing.contract import ContractError
from sftframe.testing.elsewhere import Job, in_processes
from sftframe.testing.processes import CAN_FORK, Processes, Task, TooLongError

LEFT = []


class Style(PromptStyle):
    name = "style"
    summary = "any"

    def segments(self, example):
        yield Segment(Role.RESPONSE, example.output)


def leaves_something(style):
    LEFT.append("something")
    os.environ["LEFT_BEHIND"] = "yes"
    return len(LEFT), os.getpid()


def finds(style):
    return os.environ.get("LEFT_BEHIND"), os.environ.get("OF_NOW"), Path.cwd()


def draws(style):
    return random.random()


def order(style):
    return list({"north", "south", "east", "west", "up", "down", "left", "right"})


def ends(style):
    os._exit(7)


def prints(style):
    os.write(1, b"into whatever stdout is\n")
    return os.read(0, 10)


def test_a_task_finds_nothing_of_the_one_before():
    first, second = in_processes(Style(), [Job(probe=leaves_something), Job(probe=leaves_something)])
    assert (first[0], second[0]) == (1, 1)
    assert len({first[1], second[1], os.getpid()}) == 3
    assert in_processes(Style(), [Job(probe=finds)])[0][0] is None


def test_a_task_has_the_environment_and_the_folder_of_now(monkeypatch, tmp_path):
    in_processes(Style(), [Job(probe=finds), Job(probe=finds, hash_seed=2, is_foreign=True)])
    monkeypatch.setenv("OF_NOW", "yes")
    monkeypatch.chdir(tmp_path)
    here, abroad = in_processes(Style(), [Job(probe=finds), Job(probe=finds, hash_seed=2, is_foreign=True)])
    assert here == (None, "yes", tmp_path)
    assert abroad[1] is None
    assert abroad[2] != tmp_path


def test_tasks_in_the_same_process_draw_other_numbers():
    assert len(set(in_processes(Style(), [Job(probe=draws)] * 3))) == 3


def test_every_hash_seed_has_an_order_of_its_own():
    first, again, *others = in_processes(Style(), [Job(probe=order, hash_seed=seed) for seed in (1, 1, 2, 3, 4)])
    assert first == again
    assert any(other != first for other in others)


def test_a_task_that_ends_its_process_is_a_finding_and_the_next_is_not_hurt():
    with pytest.raises(ContractError, match="a second process ended with exit code 7 while it was tried"):
        in_processes(Style(), [Job(probe=ends)])
    assert in_processes(Style(), [Job(probe=prints), Job(probe=prints)]) == [b"", b""]


@pytest.fixture
def task(tmp_path):
    """A parcel that nobody can read: the process ends with an error, and leaves no result."""
    (tmp_path / "parcel").write_bytes(b"")
    return Task(folder=tmp_path, hash_seed=1, environment=dict(os.environ))


@pytest.mark.parametrize("can_fork", sorted({False, CAN_FORK}))
def test_processes_end_when_they_are_told(task, can_fork):
    processes = Processes(can_fork=can_fork)
    assert processes.run([task, task]) == [1, 1]
    assert processes.run([task]) == [1]
    processes.end()
    assert processes.run([task]) == [1]
    processes.end()


def test_a_task_that_takes_too_long_is_ended(task, tmp_path):
    (tmp_path / "parcel").unlink()
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with a name here")
    os.mkfifo(tmp_path / "parcel")  # nobody ever writes into it
    with pytest.raises(TooLongError):
        Processes(patience_s=0.2).run([task])
