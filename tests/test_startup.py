"""What starting up may not import: seen from outside, in fresh interpreters."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "numpy", "tiktoken", "tensorflow", "pydantic", "transformers", "scipy", "matplotlib"}


def imported_by(code: str, *arguments: str) -> set[str]:
    """Top-level packages that are there after the code ran."""
    script = f"import sys\ntry:\n    {code}\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, encoding="utf-8", check=True
    )
    return {module.partition(".")[0] for module in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("import sftframe", ()),
        ("import sftframe.testing", ()),
        ("from sftframe import load_registry; load_registry()", ()),
        ("from sftframe.cli.app import app; app()", ("--help",)),
        ("from sftframe.cli.plugins import list_; list_()", ()),
        ("from sftframe.cli.plugins import list_; list_(as_json=True)", ()),
    ],
)
def test_nothing_heavy_is_imported(code, arguments):
    assert imported_by(code, *arguments) & HEAVY == set()


@pytest.mark.parametrize("arguments", [("run", "--help"), ("plugins", "list"), ("plugins", "list", "--json")])
def test_a_command_that_only_talks_imports_nothing_heavy_but_typers_own_pydantic(arguments):
    assert imported_by("from sftframe.cli.app import app; app()", *arguments) & HEAVY <= {"pydantic"}


@pytest.mark.parametrize("code", ["import sftframe", "from sftframe import load_registry; load_registry()"])
def test_the_library_leaves_the_command_lines_packages_alone(code):
    assert imported_by(code) & {"rich", "typer", "click"} == set()


def test_the_version_is_shown_without_rich():
    assert imported_by("from sftframe.cli.app import app; app()", "--version") & (HEAVY | {"rich"}) == set()


def test_a_heavy_import_would_be_seen():
    assert "numpy" in imported_by("import numpy")


STEP = """
    import torch
    from sftframe.config import TrainConfig
    from sftframe.training.optimizer import FusedAdamW

    weights = torch.ones(3, requires_grad=True)
    step = FusedAdamW([weights], TrainConfig())
    step.optimizer.load_state_dict(step.optimizer.state_dict())
    step.clear()
    weights.sum().backward()
    step.apply(lr=0.1, norm=step.norm())
    assert weights[0] < 1
"""


def test_a_training_step_does_not_import_torchs_compiler():
    assert "sympy" not in imported_by(STEP.strip())  # which only the compiler needs
