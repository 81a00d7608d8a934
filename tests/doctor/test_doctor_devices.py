"""Findings on devices, on machines that are not there."""

import pytest

from sftframe.doctor.hardware import Devices, Gpu, check_devices, look_at_devices

GIB = 2**30


def found(**facts):
    return list(check_devices(Devices(torch="2.13.0", **facts)))


def gpu(device="cuda:0", free=100, **facts):
    return Gpu(device=device, model="H200", free_bytes=free * GIB, total_bytes=139 * GIB, **facts)


def test_without_a_gpu_it_is_the_cpu():
    [finding] = found()
    assert (finding.status, finding.found) == ("ok", "cpu (x86_64), torch 2.13.0")


def test_a_gpu_that_is_free_is_in_order():
    [finding] = found(gpus=(gpu(),), torch_cuda="13.0", nvidia_driver="570.1")
    assert (finding.status, finding.found) == ("ok", "cuda:0 H200, 100.0 GiB of 139.0 GiB free")


def test_a_full_gpu_is_a_problem_where_it_is_the_first_and_a_note_elsewhere():
    findings = found(gpus=(gpu(free=0), gpu("cuda:1", free=0)), torch_cuda="13.0")
    assert [finding.status for finding in findings] == ["problem", "note"]
    assert "nvidia-smi" in findings[0].advice


def test_a_gpu_that_torch_has_no_code_for_is_a_problem():
    [finding] = found(gpus=(gpu(is_supported=False),), torch_cuda="13.0")
    assert finding.status == "problem"
    assert "no code for its generation" in finding.found


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"nvidia_driver": "570.1", "torch_cuda": None}, "built without CUDA"),
        ({"nvidia_driver": "", "torch_cuda": "13.0", "visible": ""}, "CUDA_VISIBLE_DEVICES='' hides the GPU"),
        ({"nvidia_driver": "470.2", "torch_cuda": "13.0"}, "driver 470.2 is there and torch was built for CUDA 13.0"),
        ({"has_amd_driver": True}, "built without ROCm"),
        ({"system": "Darwin", "machine": "x86_64", "is_translated": True}, "runs in emulation"),
        ({"system": "Darwin", "machine": "arm64"}, "cannot use the Mac's GPU"),
    ],
)
def test_a_gpu_that_is_there_and_not_used_is_noted_with_advice(facts, words):
    [note, cpu] = found(**facts)
    assert note.status == "note"
    assert words in note.found
    assert note.advice
    assert cpu.found.startswith("cpu")


def test_a_mac_with_its_gpu_in_use_is_in_order():
    [finding] = found(system="Darwin", machine="arm64", has_mps=True)
    assert (finding.status, finding.found) == ("ok", "mps, the Mac's own GPU")


def test_an_old_mac_has_nothing_to_be_mended():
    assert [finding.status for finding in found(system="Darwin", machine="x86_64")] == ["ok"]


def test_this_machine_can_be_looked_at():
    assert look_at_devices().torch
