"""What all commands have in common: stdout is theirs, their folder exists, and flags are shown as flags."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sftframe.cli.streams import own_stdout
from sftframe.errors import ConfigError


class Command(TyperCommand):
    """A command that does something."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_type_of_flags(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        check_folder()
        with own_stdout():
            return super().invoke(ctx)


class Group(TyperGroup):
    """Commands under one name."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_type_of_flags(super().get_params(ctx))


class Commands(typer.Typer):
    """A Typer whose commands are `Command`s, and whose texts are never read as rich's markup."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=Command, **settings)


def check_folder() -> None:
    """See that the working folder is there: torch ends the process where it is not.

    Raises:
        ConfigError: it has been deleted, or may not be entered.
    """
    try:
        os.getcwd()  # noqa: PTH109  nothing but the question
    except OSError as error:
        raise ConfigError(
            f"the working folder cannot be used ({error.strerror}): it may have been deleted; change to one that exists"
        ) from error


def _without_type_of_flags(parameters: list[Any]) -> list[Any]:
    """A flag takes no value: help shows `--force`, not `--force <bool>`."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters
