"""The test kit for plugin authors: a function per seam that checks a component, and one that checks a plugin's module.

    from sftframe.testing import check_prompt_style

    def test_the_style_keeps_its_contract():
        check_prompt_style(Vicuna())

Each raises `ContractError` at the first promise that is broken. torch is imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sftframe.plugins import Component
from sftframe.testing.contract import ContractError, Finding
from sftframe.testing.judge import check_judge
from sftframe.testing.launcher import check_launcher
from sftframe.testing.module import check_plugin_module
from sftframe.testing.prompt import check_prompt_style

if TYPE_CHECKING:
    from sftframe.testing.collate import check_collate_strategy
    from sftframe.testing.model import check_model_backend

__all__ = [
    "ContractError",
    "Finding",
    "check_collate_strategy",
    "check_judge",
    "check_launcher",
    "check_model_backend",
    "check_plugin_module",
    "check_prompt_style",
    "inspect",
]

_LAZY = {"check_collate_strategy": "sftframe.testing.collate", "check_model_backend": "sftframe.testing.model"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'sftframe.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def inspect(component: Component) -> Iterator[Finding]:
    """Run all checks of the component's seam, whatever they find; for reports rather than for tests.

    Raises:
        ModelError, JudgeError, ConfigError: a backend, a judge or a launcher cannot do its work here, so that nothing
            can be checked.
    """
    from sftframe.testing.suites import suite_of

    return suite_of(component).findings()
