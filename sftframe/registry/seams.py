"""The four places where a piece can be swapped: each seam's hook, its base class and what its components are called."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from sftframe.interfaces import CollateStrategy, Component, Judge, ModelBackend, PromptStyle


class Seam(StrEnum):
    """A seam; its value is the configuration section and the flag that chooses a component of it.

    >>> Seam("judge").hook, Seam.JUDGE.noun
    ('sftframe_judges', 'judge')
    """

    PROMPT = "prompt"
    COLLATE = "collate"
    MODEL = "model"
    JUDGE = "judge"

    @property
    def hook(self) -> str:
        """Name of the hook that offers components for this seam."""
        return _FACTS[self].hook

    @property
    def base(self) -> type[Component]:
        """The class that every component of this seam derives from."""
        return _FACTS[self].base

    @property
    def noun(self) -> str:
        """What one of its components is called in messages."""
        return _FACTS[self].noun


class _Facts(NamedTuple):
    hook: str
    base: type[Component]
    noun: str


_FACTS = {
    Seam.PROMPT: _Facts("sftframe_prompt_styles", PromptStyle, "prompt style"),
    Seam.COLLATE: _Facts("sftframe_collate_strategies", CollateStrategy, "collate strategy"),
    Seam.MODEL: _Facts("sftframe_model_backends", ModelBackend, "model backend"),
    Seam.JUDGE: _Facts("sftframe_judges", Judge, "judge"),
}
