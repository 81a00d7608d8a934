"""The base classes of the four seams. Nothing here imports torch at module level."""

from sftframe.interfaces.collate import IGNORED, CollateStrategy
from sftframe.interfaces.component import Component, NoOptions, option
from sftframe.interfaces.judge import Contact, Judge
from sftframe.interfaces.model import CausalLM, ModelBackend
from sftframe.interfaces.prompt import PromptStyle
from sftframe.interfaces.tokenizer import Tokenizer

__all__ = [
    "IGNORED",
    "CausalLM",
    "CollateStrategy",
    "Component",
    "Contact",
    "Judge",
    "ModelBackend",
    "NoOptions",
    "PromptStyle",
    "Tokenizer",
    "option",
]
