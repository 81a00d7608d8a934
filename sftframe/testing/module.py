"""Checks the contract of plugin modules: every listing imports them, so the import must be quick.

The module is imported in a new interpreter; the check looks at the modules that it imports.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from sftframe.testing.contract import ContractError, Finding, findings, require

HEAVY = ("jax", "numpy", "tensorflow", "torch", "transformers")
"""Packages that take from a tenth of a second to several seconds to import."""

_SCRIPT = """\
import sys, time
started = time.perf_counter()
import sftframe
between = time.perf_counter()
__import__(sys.argv[1])
print(between - started, time.perf_counter() - between, *sys.modules, file=sys.stderr)
"""
_SLOW_S = 1.0
_SLOW_TIMES = 8
"""Slow means over a second and this many times the import of sftframe, so that a busy machine causes no finding."""


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
    """Importing the plugin's module is quick and imports no heavy package."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, module], capture_output=True, text=True, encoding="utf-8", check=False
    )
    last_line = (done.stderr.strip().splitlines() or [""])[-1]
    require(done.returncode == 0, f"a fresh interpreter cannot import {module}: {last_line}")
    base, own, *modules = last_line.split()
    heavy = sorted(set(HEAVY) & set(modules))
    require(not heavy, f"importing {module} imports {', '.join(heavy)}; import them where they are used")
    is_slow = float(own) > max(_SLOW_S, _SLOW_TIMES * float(base))
    require(
        not is_slow,
        f"importing {module} takes {float(own):.1f} s, and every command waits for it; import what "
        "takes long where it is used",
    )
