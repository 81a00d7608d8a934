"""`sftframe plugins new`: a complete distribution to start a plugin with. Asks nothing: flags differ from defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli.streams import saved
from sftframe.errors import ConfigError, suggestion

if TYPE_CHECKING:
    from sftframe.scaffold import PluginProject

KINDS = "prompt, collate, model or judge"


def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"{KINDS}.", show_default=False)],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What users will type.", show_default=False)],
    folder: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="The new folder; by default the package's name.", show_default=False),
    ] = None,
    package: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What pip installs; by default sftframe-NAME.", show_default=False),
    ] = None,
    author: Annotated[
        str | None, typer.Option(metavar="NAME", help="By default who git says you are.", show_default=False)
    ] = None,
    license_: Annotated[
        str, typer.Option("--license", metavar="ID", help="apache-2.0, mit or bsd-3-clause.")
    ] = "apache-2.0",
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a plugin as a package of its own, with a working example, tests, licence and CI.

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
    """See that nothing that is installed has one of the names.

    Raises:
        ConfigError: a component or a distribution has.
    """
    from sftframe.registry import load_registry

    registry, seam = load_registry(), project.seam
    for info, _ in registry.offers(seam, project.name):
        raise ConfigError(
            f"there is a {seam.noun} {project.name!r} already, from {info.id}: two of a name cannot be used beside "
            "each other; choose another"
        )
    wanted = project.module.replace("_", "-")
    for info in registry.plugins:
        if info.distribution == wanted:
            raise ConfigError(
                f"a package {project.distribution!r} with plugins is installed already; choose another with --package"
            )
