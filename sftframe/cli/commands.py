"""Base classes of all commands: they keep stdout for results, check the working folder, and print help."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sftframe.cli.streams import own_stdout
from sftframe.errors import ConfigError


class Command(TyperCommand):
    """A command."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_type_of_flags(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        check_folder()
        with own_stdout():
            return super().invoke(ctx)


class Group(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_type_of_flags(super().get_params(ctx))


class Commands(typer.Typer):
    """A Typer that makes `Command`s and never reads texts as rich's markup."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": Group, **settings})

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=Command, **settings)


def check_folder() -> None:
    """Check that the working folder exists: without it torch ends the process.

    Raises:
        ConfigError: it was deleted, or the user may not enter it.
    """
    try:
        os.getcwd()  # noqa: PTH109  only to see whether it works
    except OSError as error:
        raise ConfigError(
            f"the working folder cannot be used ({error.strerror}): it may have been deleted; change to a folder that "
            "exists"
        ) from error


def _without_type_of_flags(parameters: list[Any]) -> list[Any]:
    """A flag takes no value: help shows `--force`, not `--force <bool>`."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters
