"""The contract of plugin modules: they are imported to list what is installed, so they must be light.

Takes a module's name, imports it in a fresh interpreter and looks at what came along. Knows nothing of its components.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from sftframe.testing.contract import ContractError, Finding, findings, require

HEAVY = ("jax", "numpy", "tensorflow", "torch", "transformers")
"""Packages that take from a tenth of a second to several seconds to import."""

_SCRIPT = "import importlib, sys; importlib.import_module(sys.argv[1]); print(*sys.modules, file=sys.stderr)"


def check_plugin_module(module: str) -> None:
    """Check that importing a plugin's module imports no heavy package.

    Raises:
        ContractError: it does, or it cannot be imported.
    """
    for finding in inspect_module(module):
        if not finding.is_kept:
            raise ContractError(f"{module}: {finding.error}")


def inspect_module(module: str) -> Iterator[Finding]:
    """Run the check and say what it found."""
    return findings(module, [imports_nothing_heavy], module.partition(".")[0])


def imports_nothing_heavy(module: str) -> None:
    """Importing the plugin's module imports no heavy package."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, module], capture_output=True, text=True, encoding="utf-8", check=False
    )
    last_line = (done.stderr.strip().splitlines() or [""])[-1]
    require(done.returncode == 0, f"a fresh interpreter cannot import {module}: {last_line}")
    heavy = sorted(set(HEAVY) & set(last_line.split()))
    require(not heavy, f"importing {module} imports {', '.join(heavy)}; import them where they are used")
