"""Which device is taken, and what is said where it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sftframe.device import available_devices, check_compiler, choose_device
from sftframe.device.accelerator import missing_device_advice, pick_device
from sftframe.errors import ConfigError

WORKSTATION = ("cuda:0", "cuda:1", "cpu")


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


@pytest.mark.parametrize(
    ("wanted", "available", "has_cuda_build", "advice"),
    [
        ("cuda", ["cpu"], False, "; this torch was built without CUDA: install one with it"),
        (
            "cuda:1",
            ["cpu"],
            True,
            "; torch sees no GPU: does nvidia-smi list one, and is CUDA_VISIBLE_DEVICES not empty?",
        ),
        ("cuda:2", WORKSTATION, True, ""),
        ("mps", WORKSTATION, True, "; mps is the GPU of a Mac with Apple silicon"),
        ("gpu", WORKSTATION, True, ""),
    ],
)
def test_a_missing_device_comes_with_its_likely_reason(
    wanted: str, available: list[str], has_cuda_build: bool, advice: str
) -> None:
    found = missing_device_advice(wanted, available, has_cuda_build=has_cuda_build)
    assert found.startswith(advice) if advice else found == ""


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_a_gpu_that_is_not_there_is_refused_with_advice(wanted: str) -> None:
    with pytest.raises(ConfigError, match=rf"^device: no '{wanted}' on this machine, expected one of: auto, cpu; "):
        choose_device(wanted)


def test_a_machine_without_a_compiler_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError) as caught:
        check_compiler("cpu")
    assert str(caught.value) == (
        "train.compile: torch cannot compile for cpu on this machine (FileNotFoundError: no g++ or clang++ or cl "
        "found): install a C++ compiler (g++, clang++ or Visual Studio's; on a GPU triton too), or leave train.compile "
        "out"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("\nCannot find triton\nmore\n"), "(RuntimeError: Cannot find triton)"),
        (OSError(), "no reason given"),
    ],
)
def test_whatever_compiling_fails_with_is_one_line(error: Exception, said: str) -> None:
    def attempt(device: str) -> None:
        raise error

    with pytest.raises(ConfigError, match=r"^train\.compile: torch cannot compile for cuda on this machine") as caught:
        check_compiler("cuda", attempt)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_device_that_can_be_compiled_for_is_silent() -> None:
    devices: list[str] = []
    check_compiler("cpu", devices.append)
    assert devices == ["cpu"]
