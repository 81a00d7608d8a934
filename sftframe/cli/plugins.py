"""`sftframe plugins`: lists plugins, and shows and checks components. `plugins_new` starts a new plugin."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli import completion
from sftframe.cli.commands import Commands, check_folder
from sftframe.cli.options import Debug, Json, argument, option
from sftframe.cli.plugins_new import new
from sftframe.cli.streams import own_stdout
from sftframe.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from sftframe.registry import Registry

app = Commands(help="List, show, check and start plugins.")

Name = Annotated[
    str,
    argument("NAME", "A component's name.", completion.any_component),
]
NoPlugin = Annotated[
    list[str] | None,
    option("--no-plugin", help="Do not load this plugin.", metavar="ID", complete=completion.plugin_ids),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option of the component with its section; repeatable.", metavar="KEY=VALUE"),
]


@app.callback(invoke_without_command=True)
def plugins(context: typer.Context, no_plugin: NoPlugin = None, debug: Debug = False, as_json: Json = False) -> None:
    """List, show and check plugins and their components. Without a command it lists them.

    Example: sftframe plugins --no-plugin sftframe:judges
    """
    command = context.invoked_subcommand
    if command is None:
        check_folder()
        with own_stdout():
            list_(no_plugin=no_plugin, as_json=as_json)
    elif no_plugin or as_json:
        raise ConfigError(f"put the options of {command} after it: sftframe plugins {command} … --no-plugin ID --json")


@app.command("list")
def list_(no_plugin: NoPlugin = None, debug: Debug = False, as_json: Json = False) -> None:
    """List all components, and the plugins that are broken or disabled.

    Example: sftframe plugins list --json
    """
    from sftframe.cli.plugins_render import show_list

    show_list(_registry(no_plugin), as_json=as_json)


@app.command("show")
def show(name: Name, no_plugin: NoPlugin = None, debug: Debug = False, as_json: Json = False) -> None:
    """Show a component: what it is, its plugin, its options, and how to choose it.

    Example: sftframe plugins show prompt-weight
    """
    from sftframe.cli.plugins_render import show_components
    from sftframe.testing.suites import seams_of

    registry = _registry(no_plugin)
    show_components(registry, seams_of(registry, name), name, as_json=as_json)


@app.command("check")
def check(
    name: Name,
    settings: Settings = None,
    no_plugin: NoPlugin = None,
    debug: Debug = False,
    as_json: Json = False,
) -> None:
    """Check that a component follows the rules for its kind. Where possible, a model is checked with random weights.

    Example: sftframe plugins check gpt2-nano
    """
    from sftframe.cli.plugins_render import CheckReport
    from sftframe.testing.suites import component_settings, installed_suites, seams_of

    report = CheckReport(as_json=as_json)
    registry = _registry(no_plugin)
    options = component_settings(settings or (), seams_of(registry, name))
    for seam, suites in installed_suites(registry, name, options):
        report.begin(seam, name)
        for finding in chain.from_iterable(suite.findings() for suite in suites):
            report.add(finding)
    report.end()
    if report.num_broken:
        raise PluginError(f"{name!r} breaks {report.num_broken} of {report.num_checks} promises of its contract")


app.command("new")(new)


def _registry(disabled: list[str] | None) -> Registry:
    from sftframe.registry import load_registry

    return load_registry(disabled=disabled or ())
