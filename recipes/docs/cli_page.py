"""Makes the reference of the command line from the Typer app.

Shared flags have their own tables; every command says which of them it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from recipes.docs.markdown import GENERATED_NOTE, cell, table
from sftframe.cli.app import app

_SHARED_PANELS = ("Pieces", "Data and training", "Run")
"""The help panels of `sftframe.cli.settings`, with the flags that several commands share."""


def cli_page() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(app)
    commands = list(_commands(root, "sftframe"))
    shared = _shared_flags(command for _, command in commands)
    lines = [GENERATED_NOTE, "# The command line", "", *_introduction(root)]
    for panel, flags in shared.items():
        lines += [f"### {panel}", "", *table(("flag", "what it does"), [(_flag(f), cell(f.help)) for f in flags]), ""]
    names = {name for flags in shared.values() for flag in flags for name in flag.opts}
    for path, command in commands:
        lines += _section(path, command, names)
    return "\n".join(lines).rstrip() + "\n"


def _introduction(root: Any) -> list[str]:
    flags = [(_flag(option), cell(option.help)) for option in root.params if not option.hidden]
    return [
        "Results go to stdout. Progress and messages go to stderr. In a pipe there are no colours and no bars.",
        "Exit codes are listed in [errors and exit codes](errors.md).",
        "",
        *table(("before the command", "what it does"), flags),
        "",
        "## Shared settings",
        "",
        "They mean the same in every command. A flag wins over `--set`, which wins over the file of `--config`,",
        "which wins over the model's own defaults and sftframe's defaults. For every other setting use `--set`: see",
        "[configuration](configuration.md).",
        "",
    ]


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield f"{path} {name}", command
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _shared_flags(commands: Iterator[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {panel: [] for panel in _SHARED_PANELS}
    seen: set[str] = set()
    for command in commands:
        for option in command.params:
            panel = getattr(option, "rich_help_panel", None)
            if panel in found and option.opts[0] not in seen:
                seen.add(option.opts[0])
                found[panel].append(option)
    return found


def _section(path: str, command: Any, shared: set[str]) -> list[str]:
    text, _, example = (command.help or "").partition("Example:")
    options = [o for o in command.params if o.param_type_name == "option" and not o.hidden and o.name != "help"]
    own = [o for o in options if getattr(o, "rich_help_panel", None) not in _SHARED_PANELS]
    taken = {name for option in options if option not in own for name in option.opts} & shared
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    lines = [f"## `{path}`", "", " ".join(text.split()), ""]
    lines += ["```text", " ".join([path, *map(_metavar, arguments), "[OPTIONS]"]), "```", ""]
    rows = [(f"`{_metavar(a)}`", cell(a.help)) for a in arguments] + [(_flag(o), cell(o.help)) for o in own]
    if rows:
        lines += [*table(("argument or flag", "what it does"), rows), ""]
    if taken:
        lines += [_taken(taken, shared), ""]
    if example:
        lines += [f"Example: `{' '.join(example.split())}`", ""]
    return lines


def _taken(taken: set[str], shared: set[str]) -> str:
    """A sentence on the shared settings of a command, in its shorter form."""
    missing = sorted(shared - taken)
    if not missing:
        return "It takes the [shared settings](#shared-settings)."
    if len(missing) < len(taken):
        return f"It takes the [shared settings](#shared-settings) except {_listed(missing)}."
    return f"It takes these [shared settings](#shared-settings): {_listed(sorted(taken))}."


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _flag(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"{names} `{option.metavar or option.name.rstrip('_').upper()}`"
