"""What is written down of the machine."""

from __future__ import annotations

import platform
import subprocess
import sys

import psutil
import pytest
import torch

from sftframe.device import describe_machine, peak_memory_bytes, physical_cores
from sftframe.device.accelerator import in_bytes

has_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


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
