"""`sftframe plugins`: lists plugins, shows and checks components, and starts a new plugin."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli import completion
from sftframe.cli.commands import Commands, check_folder
from sftframe.cli.options import Debug, Json, argument, option
from sftframe.cli.streams import own_stdout, saved
from sftframe.errors import ConfigError, PluginError, suggestion

if TYPE_CHECKING:
    from sftframe.registry import Registry
    from sftframe.scaffold import PluginProject

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


@app.command("new")
def new(
    kind: Annotated[str, argument("KIND", "prompt, collate, model, judge or launcher.")],
    name: Annotated[str, argument("NAME", "The component's name, which users type.")],
    folder: Annotated[
        Path | None,
        option("--dir", metavar="DIR", help="The new folder. Default: the package's name."),
    ] = None,
    package: Annotated[
        str | None,
        option(metavar="NAME", help="Name of the package for pip. Default: sftframe-NAME."),
    ] = None,
    author: Annotated[str | None, option(metavar="NAME", help="The author. Default: your git user name.")] = None,
    license_: Annotated[
        str, typer.Option("--license", metavar="ID", help="apache-2.0, mit or bsd-3-clause.")
    ] = "apache-2.0",
    debug: Debug = False,
    as_json: Json = False,
) -> None:
    """Write a new plugin package with a working example, tests, licence and CI.

    Example: sftframe plugins new prompt my-style --license mit
    """
    from sftframe.cli.plugins_render import show_project
    from sftframe.registry import Seam
    from sftframe.scaffold import PluginProject, write_project

    if kind not in list(Seam):
        raise ConfigError(f"no kind of plugin {kind!r}{suggestion(kind, [seam.value for seam in Seam])}")
    project = PluginProject.named(Seam(kind), name, distribution=package, author=author, license=license_.lower())
    _check_free(project)
    place = folder or Path(project.distribution)
    files = write_project(project, place)
    with saved(place):
        show_project(project, place, files, as_json=as_json)


def _check_free(project: PluginProject) -> None:
    """Check that the names are free.

    Raises:
        ConfigError: an installed component or distribution has one of them.
    """
    from sftframe.registry import load_registry

    registry, seam = load_registry(), project.seam
    for info, _ in registry.offers(seam, project.name):
        raise ConfigError(
            f"there is a {seam.noun} {project.name!r} already, from {info.id}: two with one name cannot be used "
            "together; choose another"
        )
    wanted = project.module.replace("_", "-")
    for info in registry.plugins:
        if info.distribution == wanted:
            raise ConfigError(
                f"a package {project.distribution!r} with plugins is installed already; choose another with --package"
            )


def _registry(disabled: list[str] | None) -> Registry:
    from sftframe.registry import load_registry

    return load_registry(disabled=disabled or ())
