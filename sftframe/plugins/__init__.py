"""What plugins are made of: the base classes of the seams, the hooks, and a guard around calls of plugins.

Nothing that this face exports imports torch.
"""

from sftframe.plugins.hooks import GROUP, hookimpl
from sftframe.plugins.interfaces import (
    IGNORED,
    CollateStrategy,
    Component,
    Contact,
    Judge,
    NoOptions,
    PromptStyle,
    Tokenizer,
    option,
)
from sftframe.plugins.launchers import CellEvent, CellOutcome, CellTask, Launch, Launcher
from sftframe.plugins.models import CausalLM, ModelBackend
from sftframe.plugins.seams import RUN_SEAMS, SEAMS, Seam

__all__ = [
    "GROUP",
    "IGNORED",
    "RUN_SEAMS",
    "SEAMS",
    "CausalLM",
    "CellEvent",
    "CellOutcome",
    "CellTask",
    "CollateStrategy",
    "Component",
    "Contact",
    "Judge",
    "Launch",
    "Launcher",
    "ModelBackend",
    "NoOptions",
    "PromptStyle",
    "Seam",
    "Tokenizer",
    "hookimpl",
    "option",
]
