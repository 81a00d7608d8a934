"""`sftframe plugins`: what is installed, what one component is and can be told, and whether it keeps its contract.

How a new plugin is begun is in `plugins_new`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftframe.cli import completion
from sftframe.cli.plugins_new import new
from sftframe.errors import ConfigError, PluginError, suggestion

if TYPE_CHECKING:
    from sftframe.registry import Registry, Seam

app = typer.Typer(help="List, show, check and begin plugins.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A component's name.", show_default=False, autocompletion=completion.any_component
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoPlugin = Annotated[
    list[str] | None,
    typer.Option(
        "--no-plugin",
        help="Leave a plugin alone.",
        metavar="ID",
        show_default=False,
        autocompletion=completion.plugin_ids,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option of the component, repeatable.", metavar="KEY=VALUE"),
]

PAD_ID = 50256
"""Stands in for the tokenizer's id where a collate strategy is made without a model."""


@app.callback(invoke_without_command=True)
def plugins(context: typer.Context, no_plugin: NoPlugin = None, debug: Debug = False, as_json: Json = False) -> None:
    """List, show and check plugins and their components. Alone it lists them.

    Example: sftframe plugins --no-plugin sftframe:judges
    """
    command = context.invoked_subcommand
    if command is None:
        list_(no_plugin=no_plugin, as_json=as_json)
    elif no_plugin or as_json:
        raise ConfigError(f"put the options of {command} behind it: sftframe plugins {command} … --no-plugin ID --json")


@app.command("list")
def list_(no_plugin: NoPlugin = None, debug: Debug = False, as_json: Json = False) -> None:
    """List all components, and the plugins that are broken or disabled.

    Example: sftframe plugins list --json
    """
    from sftframe.cli.plugins_render import show_list

    show_list(_registry(no_plugin), as_json=as_json)


@app.command("show")
def show(name: Name, no_plugin: NoPlugin = None, debug: Debug = False, as_json: Json = False) -> None:
    """Show what a component is, where it comes from, its options, and how to choose it.

    Example: sftframe plugins show prompt-weight
    """
    from sftframe.cli.plugins_render import show_components

    registry = _registry(no_plugin)
    show_components(registry, _seams(registry, name), name, as_json=as_json)


@app.command("check")
def check(
    name: Name,
    settings: Settings = None,
    no_plugin: NoPlugin = None,
    debug: Debug = False,
    as_json: Json = False,
) -> None:
    """Check that a component keeps the contract of its seam. A model is checked with random weights where it can be.

    Example: sftframe plugins check gpt2-nano
    """
    from sftframe.cli.plugins_render import CheckReport
    from sftframe.config import parse_settings
    from sftframe.registry import Seam
    from sftframe.testing import inspect
    from sftframe.testing.module import inspect_module

    registry, set_values = _registry(no_plugin), parse_settings(settings or ())
    report = CheckReport(as_json=as_json)
    for seam in _seams(registry, name):
        given: dict[str, Any] = {"pad_id": PAD_ID} if seam == Seam.COLLATE else {}
        values = _offline(registry, seam, name, set_values.get(seam.value, {}))
        component = registry.create(seam, name, values, **given)
        report.begin(seam, name)
        for finding in chain(inspect_module(registry.provider(seam, name).module), inspect(component)):
            report.add(finding)
    report.end()
    if report.num_broken:
        raise PluginError(f"{name!r} breaks {report.num_broken} of {report.num_checks} promises of its contract")


app.command("new")(new)


def _registry(disabled: list[str] | None) -> Registry:
    from sftframe.registry import load_registry

    return load_registry(disabled=disabled or ())


def _seams(registry: Registry, name: str) -> list[Seam]:
    """The seams that have a component of this name.

    Raises:
        ConfigError: none has.
    """
    from sftframe.prompt_files import looks_like_a_file, prompt_file
    from sftframe.registry import Seam

    seams = [seam for seam in Seam if name in registry.names(seam)]
    if not seams and (prompt_file(name) or looks_like_a_file(name)):
        return [Seam.PROMPT]
    if not seams:
        known = {known for seam in Seam for known in registry.names(seam)}
        raise ConfigError(f"no component {name!r}{suggestion(name, known)}")
    return seams


def _offline(registry: Registry, seam: Seam, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The options to check a component with: random weights unless others are set, where the component knows them."""
    from sftframe.config import build_options

    component = registry.find(seam, name)
    random_weights = {"weights": "random", **values}
    try:
        build_options(component, random_weights, seam.value)
    except ConfigError:
        return values
    return random_weights
