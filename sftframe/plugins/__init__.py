"""What plugins are made of: the base classes of the four seams, the hooks, and a guard around calls of plugins.

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
from sftframe.plugins.models import CausalLM, ModelBackend
from sftframe.plugins.seams import SEAMS, Seam

__all__ = [
    "GROUP",
    "IGNORED",
    "SEAMS",
    "CausalLM",
    "CollateStrategy",
    "Component",
    "Contact",
    "Judge",
    "ModelBackend",
    "NoOptions",
    "PromptStyle",
    "Seam",
    "Tokenizer",
    "hookimpl",
    "option",
]
