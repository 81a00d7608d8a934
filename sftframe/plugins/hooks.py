"""The hooks of a sftframe plugin. Each returns an iterable of component *classes*.

A plugin is a module (or any object) with an entry point in the group `sftframe`:

    [project.entry-points.sftframe]
    vicuna = "sftframe_vicuna"

It implements the hooks that it needs:

    from sftframe import hookimpl

    @hookimpl
    def sftframe_prompt_styles():
        return [Vicuna]

A plugin module must import without torch: hooks are called to list what is installed. Import heavy packages where
they are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from sftframe.plugins.interfaces import CollateStrategy, Judge, PromptStyle
    from sftframe.plugins.launchers import Launcher
    from sftframe.plugins.models import ModelBackend


GROUP = "sftframe"
"""The entry-point group, and the project name of the pluggy markers."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def sftframe_prompt_styles() -> Iterable[type[PromptStyle]]:
    """The prompt styles that this plugin offers."""
    return ()


@hookspec
def sftframe_collate_strategies() -> Iterable[type[CollateStrategy]]:
    """The collate strategies that this plugin offers."""
    return ()


@hookspec
def sftframe_model_backends() -> Iterable[type[ModelBackend]]:
    """The model backends that this plugin offers."""
    return ()


@hookspec
def sftframe_judges() -> Iterable[type[Judge]]:
    """The judges that this plugin offers."""
    return ()


@hookspec
def sftframe_launchers() -> Iterable[type[Launcher]]:
    """The launchers that this plugin offers: where `sftframe ablate --on NAME` runs its cells."""
    return ()
