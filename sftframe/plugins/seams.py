"""The seams: what can be chosen by name, and which hook and base class belong to it."""

from enum import StrEnum
from typing import NamedTuple

from sftframe.plugins.interfaces import CollateStrategy, Component, Judge, PromptStyle
from sftframe.plugins.launchers import Launcher
from sftframe.plugins.models import ModelBackend


class Seam(StrEnum):
    """A seam; its value names the configuration section and the flag that choose a component of a run.

    A launcher belongs to no run: it has no section, and its flag is `--on` of `sftframe ablate`.

    >>> Seam("judge").hook, Seam.JUDGE.noun
    ('sftframe_judges', 'judge')
    """

    PROMPT = "prompt"
    COLLATE = "collate"
    MODEL = "model"
    JUDGE = "judge"
    LAUNCHER = "launcher"

    @property
    def flag(self) -> str:
        """The flag that chooses one of its components."""
        return "--on" if self is Seam.LAUNCHER else f"--{self.value}"

    @property
    def option_flag(self) -> str:
        """What sets an option of its components, up to the option's name."""
        return "--on-set " if self is Seam.LAUNCHER else f"--set {self.value}."

    @property
    def hook(self) -> str:
        """Name of the hook that offers components for this seam."""
        return _FACTS[self].hook

    @property
    def base(self) -> type[Component]:
        """The base class of every component of this seam."""
        return _FACTS[self].base

    @property
    def noun(self) -> str:
        """The word for one of its components in messages."""
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
    Seam.LAUNCHER: _Facts("sftframe_launchers", Launcher, "launcher"),
}

RUN_SEAMS: tuple[Seam, ...] = (Seam.PROMPT, Seam.COLLATE, Seam.MODEL, Seam.JUDGE)
"""The seams of which every run has one component."""
SEAMS: tuple[str, ...] = tuple(seam.value for seam in RUN_SEAMS)
"""The same as texts: the configuration sections that choose a component, by a name or a table with its options."""
