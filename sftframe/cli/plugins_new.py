"""`sftframe plugins new`: writes a complete package to start a plugin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli.options import Debug, Json, argument, option
from sftframe.cli.streams import saved
from sftframe.errors import ConfigError, suggestion

if TYPE_CHECKING:
    from sftframe.scaffold import PluginProject

KINDS = "prompt, collate, model or judge"


def new(
    kind: Annotated[str, argument("KIND", f"{KINDS}.")],
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
