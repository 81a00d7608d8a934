"""Renders a plugin's files from the templates and writes them as one folder."""

from __future__ import annotations

import json
from datetime import date
from importlib import resources
from pathlib import Path

from sftframe import __version__
from sftframe.errors import ConfigError
from sftframe.files import disk, whole_dir, write_whole
from sftframe.scaffold.project import LICENSES, PluginProject


def write_project(project: PluginProject, place: Path) -> tuple[Path, ...]:
    """Write the distribution to a new folder.

    Returns:
        The files, relative to the folder.

    Raises:
        ConfigError: the folder is not empty, or is a file.
        DiskError: it cannot be written.
    """
    _check_place(place)
    texts = {Path(path): _rendered(template, project) for path, template in _files(project).items()}
    with whole_dir(place.absolute()) as making:
        for path, text in texts.items():
            disk().make_dir((making / path).parent)
            write_whole(making / path, text)
    return tuple(sorted(texts))


def _check_place(place: Path) -> None:
    try:
        is_free = not place.exists() or (place.is_dir() and not any(place.iterdir()))
    except OSError as error:
        raise ConfigError(f"cannot look into {place}: {error.strerror or error}; choose another --dir") from error
    if not is_free:
        what = "is a file" if place.is_file() else "is not empty"
        raise ConfigError(f"{place} {what}: a plugin gets a new folder; choose another with --dir")
    if not place.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {place.absolute().parent} for {place.name}: make it, or choose --dir")


def _files(project: PluginProject) -> dict[str, str]:
    """For each path, the template of its file."""
    package, kind = f"src/{project.module}", project.seam.value
    files = {
        "pyproject.toml": "pyproject.toml.j2",
        "README.md": "README.md.j2",
        "LICENSE": f"licenses/{project.license}.txt.j2",
        ".gitignore": "gitignore.j2",
        ".github/workflows/test.yml": "test.yml.j2",
        f"{package}/__init__.py": f"{kind}/plugin.py.j2",
        f"tests/test_{project.short_name}.py": f"{kind}/test.py.j2",
    }
    if kind == "model":
        files[f"{package}/network.py"] = "model/network.py.j2"
    return files


def _rendered(template: str, project: PluginProject) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, autoescape=False
    )  # the files are Python and TOML, not HTML
    # strings in TOML and YAML are written as in JSON
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    source = resources.files(__package__).joinpath("templates", *template.split("/")).read_text(encoding="utf-8")
    return environment.from_string(source).render(
        project=project,
        kind=project.seam.value,
        noun=project.seam.noun,
        hook=project.seam.hook,
        license=LICENSES[project.license],
        year=date.today().year,
        version=".".join(__version__.split(".")[:2]),
    )
