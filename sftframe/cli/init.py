"""`sftframe init`: writes a configuration file with every setting."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from sftframe.cli.settings import CONFIG_NAME, Settings, takes_only
from sftframe.cli.streams import saved, write_json
from sftframe.errors import ConfigError


@takes_only("--prompt", "--collate", "--model", "--judge")
def init(
    settings: Settings,
    path: Annotated[Path, typer.Argument(help="The file to write.")] = CONFIG_NAME,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print where the file is and what to do next as JSON.")
    ] = False,
) -> None:
    """Write a commented sftframe.toml with every setting, its default and what it does.

    Example: sftframe init --model gpt2-medium --judge ollama
    """
    from sftframe.cli.console import out
    from sftframe.config import commented_toml
    from sftframe.files import write_whole
    from sftframe.pipeline import backend_defaults, chosen_components
    from sftframe.trust import claims_of, remember

    registry, layer = settings.registry(), settings.layer(asks_judge=False)
    text = commented_toml(chosen_components(layer, registry), backend_defaults(layer, registry), path=str(path))
    if path.exists():
        raise ConfigError(f"{path} exists already and is not changed: give another name, or move it away first")
    try:
        write_whole(path, text)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    remember(claims_of({}, registry, given=settings.given()))  # a user who chose the judge here has accepted it
    following = "sftframe run" if path == CONFIG_NAME else f"sftframe run --config {shlex.quote(str(path))}"
    with saved(path):
        if as_json:
            write_json({"path": str(path.absolute()), "next": following})
        else:
            out().print(f"{path} written; use it with: {following}", soft_wrap=True)
