"""How many cores a process may use: on this machine, and by what a kernel's files say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sftframe.device import allowed_cores, cgroup_cores, physical_cores
from sftframe.device.cpu import num_cores_of


def test_cores_are_those_of_the_machine_at_most() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to cores")
def test_cores_that_the_process_may_not_use_do_not_count() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from sftframe.device import physical_cores; print(physical_cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_containers_quota_is_read_in_cores(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", "150000 100000\n")
    assert cgroup_cores(tmp_path) == 1.5


def test_the_lowest_quota_of_a_group_and_those_above_it_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "1:name=systemd:/x\n0::/user.slice/job\n")
    write(tmp_path / "sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n")
    write(tmp_path / "sys/fs/cgroup/user.slice/cpu.max", "400000 100000\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", "800000 100000\n")
    assert cgroup_cores(tmp_path) == 4


def test_a_quota_of_version_one_counts_too(tmp_path: Path) -> None:
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n")
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert cgroup_cores(tmp_path) == 2


def test_no_quota_is_none(tmp_path: Path) -> None:
    assert cgroup_cores(tmp_path) is None
    write(tmp_path / "sys/fs/cgroup/cpu.max", "max 100000\n")
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert cgroup_cores(tmp_path) is None


def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    for cpu, siblings in enumerate(["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"]):
        write(tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", f"{siblings}\n")
    assert num_cores_of(range(8), tmp_path) == 4
    assert num_cores_of([0, 4], tmp_path) == 1
    assert num_cores_of([0, 1, 6], tmp_path) == 3


def test_where_the_kernel_does_not_say_every_cpu_is_a_core(tmp_path: Path) -> None:
    assert num_cores_of([0, 1, 2], tmp_path) == 3


def test_a_quota_bounds_the_cores_and_not_where_they_may_be() -> None:
    assert physical_cores() <= allowed_cores() <= (os.cpu_count() or 1)
