"""What sftframe changes of its own process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from sftframe.device import limit_spinning, physical_cores, set_up_process, set_up_threads


@pytest.fixture
def threads_restored():
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_threads_are_set_and_told(threads_restored: int) -> None:
    assert set_up_threads(1) == torch.get_num_threads() == 1
    assert set_up_threads(None) == torch.get_num_threads() == physical_cores()


def test_what_was_changed_is_told_with_what_it_was(threads_restored: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    setup = set_up_process(1)
    assert (setup.threads, setup.threads_before) == (1, threads_restored)
    assert (setup.physical_cores, setup.spin_count) == (physical_cores(), "7")
    assert setup.keeps_freed_memory is (platform.libc_ver()[0] == "glibc")
    assert setup.foreign_cores is None


def test_importing_the_module_does_not_import_torch() -> None:
    code = "import sys, sftframe.device; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_stays_with_the_process() -> None:
    code = (
        "import psutil, torch\n"
        "from sftframe.device.cpu import keep_freed_memory\n"
        "assert keep_freed_memory()\n"
        "block = torch.ones(50_000_000)\n"
        "del block\n"
        "print(psutil.Process().memory_info().rss)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) > 200_000_000


def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == "6000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
