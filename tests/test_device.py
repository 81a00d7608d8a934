import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from sftframe.device import (
    available_devices,
    cgroup_cores,
    choose_device,
    describe_machine,
    in_bytes,
    peak_memory_bytes,
    physical_cores,
    pick_device,
    set_up_threads,
    wait_politely,
)
from sftframe.errors import ConfigError

WORKSTATION = ("cuda:0", "cuda:1", "cpu")
has_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize(("available", "device"), [(WORKSTATION, "cuda"), (("mps", "cpu"), "mps"), (("cpu",), "cpu")])
def test_auto_takes_the_best_device(available: tuple[str, ...], device: str) -> None:
    assert pick_device("auto", available) == device


@pytest.mark.parametrize("wanted", ["cpu", "cuda", "cuda:1"])
def test_a_device_that_is_there_is_taken(wanted: str) -> None:
    assert pick_device(wanted, WORKSTATION) == wanted


@pytest.mark.parametrize("wanted", ["cuda:2", "mps", "gpu", "", "cuda:"])
def test_a_device_that_is_not_there_is_told_with_those_that_are(wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pick_device(wanted, WORKSTATION)
    assert str(caught.value) == (f"device: no {wanted!r} on this machine, expected one of: auto, cuda:0, cuda:1, cpu")


def test_the_chosen_device_computes() -> None:
    assert torch.ones(2, device=choose_device("auto")).sum().item() == 2


def test_there_is_always_a_cpu_and_it_comes_last() -> None:
    assert available_devices()[-1] == "cpu"
    assert choose_device("cpu") == "cpu"


def test_threads_are_set_and_told_with_what_they_were() -> None:
    before = torch.get_num_threads()
    try:
        setup = set_up_threads(1)
        assert (setup.threads, setup.before) == (1, before)
        assert torch.get_num_threads() == 1
        by_default = set_up_threads(None)
        assert by_default.threads == by_default.physical_cores == torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


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


def test_peak_memory_counts_what_was_freed_again() -> None:
    code = "from sftframe.device import peak_memory_bytes; import sys\n"
    code += (
        "big = bytearray(300_000_000); big[::4096] = b'x' * len(big[::4096]); del big; print(peak_memory_bytes('cpu'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 300_000_000 < int(done.stdout) < 400_000_000


def test_peak_memory_is_at_least_what_is_in_use() -> None:
    in_use = psutil.Process().memory_info().rss
    assert in_use * 0.9 < peak_memory_bytes("cpu") < psutil.virtual_memory().total


def test_macos_counts_bytes_where_linux_counts_kib() -> None:
    assert in_bytes(5000, "darwin") == 5000
    assert in_bytes(5000, "linux") == 5_120_000


@has_cuda
def test_peak_memory_of_a_gpu_is_that_of_its_tensors() -> None:
    torch.cuda.reset_peak_memory_stats()
    torch.empty(10_000_000, dtype=torch.float32, device="cuda")
    assert 40_000_000 <= peak_memory_bytes("cuda") < 4_000_000_000


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert machine.python == platform.python_version()
    assert machine.torch == torch.__version__
    assert machine.devices[-1] == "cpu"
    assert machine.cpu
    assert machine.os
    assert machine.memory_bytes > 100_000_000
    assert machine.threads == torch.get_num_threads()
    assert machine.physical_cores == physical_cores()


def test_importing_the_module_does_not_import_torch() -> None:
    code = "import sys, sftframe.device; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_stays_with_the_process() -> None:
    code = (
        "import psutil, torch\n"
        "from sftframe.device import keep_freed_memory\n"
        "assert keep_freed_memory()\n"
        "block = torch.ones(50_000_000)\n"
        "del block\n"
        "print(psutil.Process().memory_info().rss)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) > 200_000_000


def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    wait_politely()
    assert os.environ["GOMP_SPINCOUNT"] == "2000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    wait_politely()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
