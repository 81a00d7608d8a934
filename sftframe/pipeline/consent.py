"""Whom a run's judge may talk to: a folder from a stranger must not choose where data and keys are sent.

A judge's options name servers and the variables that keys are read from, and a run keeps them in its `config.toml`.
What the user has set before on this machine is remembered as a hash; a run that comes with other options asks for them
to be set by hand. Numbers, switches and defaults are never asked about. Knows no judge.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sftframe.config import option_fields
from sftframe.downloads import cache_dir
from sftframe.errors import ConfigError, brief
from sftframe.interfaces import Judge
from sftframe.pipeline.manifest import dumped_options


def remember(judge: Judge) -> None:
    """The user has set this judge up himself. Where nothing can be written, he is asked again."""
    settings = _texts(judge)
    if settings:
        with suppress(OSError):
            path = _path(judge, settings)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def require(judge: Judge, given: Collection[str], run: Path) -> None:
    """See that the user knows the judge that a run comes with, before it is talked to.

    Args:
        given: names of the options that the user has set just now, which is to know them.

    Raises:
        ConfigError: some are the run's own, and were never set on this machine.
    """
    settings = _texts(judge)
    unknown = {name: value for name, value in settings.items() if name not in given}
    if not unknown:
        remember(judge)
    elif not _path(judge, settings).exists():
        shown = ", ".join(f"{name} = {brief(value)}" for name, value in unknown.items())
        accepting = " ".join(f"--set judge.{name}=…" for name in unknown)
        raise ConfigError(
            f"{run} comes with a judge {judge.name!r} that was never set up so on this machine ({shown}) and would be "
            f"sent the run's data: accept it with sftframe judge {run} {accepting}, or name another with --judge"
        )


def _texts(judge: Judge) -> Mapping[str, Any]:
    """The options that are texts, or lists of them, and not the default."""
    defaults = {name: schema.get("default") for name, schema in option_fields(judge.Options).items()}
    options = dumped_options(judge)
    return {name: value for name, value in options.items() if _is_text(value) and value != defaults.get(name)}


def _is_text(value: object) -> bool:
    return isinstance(value, str | list | Mapping)


def _path(judge: Judge, settings: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps([judge.name, settings], sort_keys=True).encode())
    return cache_dir() / "judges" / digest.hexdigest()
