"""Findings on Python and packages."""

import pytest

from sftframe.doctor.software import Requirement, Software, check_software, look_at_software


def need(name="torch", minimum="2.7", found="2.13.0+cpu", extra=""):
    return Requirement(name=name, minimum=minimum, found=found, extra=extra)


def found(**facts):
    software = Software(**{"python": "3.11.7", "is_64_bit": True, "requirements": (need(),), **facts})
    return list(check_software(software))


def test_an_installation_in_order_has_no_problems():
    findings = found()
    assert {finding.status for finding in findings} == {"ok"}
    assert findings[1].found == "torch 2.13.0+cpu"


def test_a_32_bit_python_is_a_problem():
    [python, _] = found(is_64_bit=False)
    assert (python.topic, python.status) == ("python", "problem")
    assert "64-bit" in python.advice


def test_packages_of_extras_that_affect_results_are_shown_where_they_are_installed():
    extras = (need("transformers", "5", "5.23.0", "hf"), need("peft", "0.17", None, "lora"))
    _, packages, *_ = found(requirements=(need(), *extras))
    assert packages.found == "torch 2.13.0+cpu, transformers 5.23.0"


@pytest.mark.parametrize(("version", "words"), [(None, "torch is missing"), ("2.6.1", "torch 2.6.1")])
def test_a_package_that_is_missing_or_too_old_is_a_problem_with_its_command(version, words):
    problem = next(finding for finding in found(requirements=(need(found=version),)) if finding.status == "problem")
    assert words in problem.found
    assert problem.advice.endswith("-m pip install 'torch>=2.7'")


def test_versions_are_compared_as_numbers():
    assert need(minimum="0.9", found="0.14.0").is_met
    assert need(minimum="2.0", found="2").is_met


def test_a_torch_that_cannot_be_imported_is_a_problem():
    problem = next(finding for finding in found(torch_error="OSError: libgomp.so.1") if finding.status == "problem")
    assert "libgomp.so.1" in problem.found


def test_an_extra_that_is_too_old_is_noted_and_one_that_is_absent_named():
    extras = (need("gguf", "0.17", None, "gguf"), need("peft", "0.17", "0.12", "lora"))
    note, absent = [finding for finding in found(requirements=(need(), *extras)) if finding.topic == "extras"]
    assert (note.status, note.found) == ("note", "peft 0.12, sftframe[lora] needs 0.17")
    assert (absent.status, absent.found) == ("ok", "not installed: gguf")


def test_an_extra_that_one_of_several_packages_serves_is_there():
    either = (need("tensorflow", "2.19", None, "tensorflow"), need("tensorflow-cpu", "2.19", "2.21", "tensorflow"))
    assert [finding for finding in found(requirements=either) if finding.topic == "extras"] == []


def test_this_installation_is_in_order_and_its_needs_come_from_the_metadata():
    software = look_at_software()
    names = {requirement.name for requirement in software.requirements}
    assert {"torch", "pluggy", "pyarrow"} <= names
    assert names & {"pytest", "ruff"} == set()
    assert all(finding.status != "problem" for finding in check_software(software))
