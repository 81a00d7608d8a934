"""`sftframe trust`: accepts what a run, an ablation or a configuration from elsewhere asks for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftframe.cli.options import argument
from sftframe.cli.settings import Settings, takes_only
from sftframe.errors import ConfigError

if TYPE_CHECKING:
    from sftframe.trust import Claim


@takes_only()
def trust(
    path: Annotated[
        Path,
        argument("PATH", "A run's or an ablation's folder, or a configuration file."),
    ],
    settings: Settings,
) -> None:
    """Accept what another person's run, ablation or configuration asks for, and remember it.

    It may ask for servers that its judge contacts, variables that it sends as keys, files and addresses. The command
    lists them all.

    Example: sftframe trust runs/theirs
    """
    from sftframe.cli.console import out, prose
    from sftframe.trust import claims_of, folders_around, pickle_claims, remember

    registry = settings.registry()
    inside = folders_around(path) if path.is_file() else [path]
    claims: dict[tuple[str, ...], Claim] = {}
    for document in _documents(path):
        claims |= {claim.mark: claim for claim in claims_of(document, registry, inside=inside)}
    claims |= {claim.mark: claim for place in _runs(path) for claim in pickle_claims(place)}
    remember(claims.values())
    for claim in claims.values():
        prose(out(), _line(claim))
    message = f"{path} may do this now." if claims else f"{path} asks for nothing that needs to be accepted."
    prose(out(), message)


def _runs(path: Path) -> list[Path]:
    """The folders of runs in a path."""
    return [path, *sorted(path.glob("runs/*/*"))] if path.is_dir() else []


def ask(source: Path, claims: Sequence[Claim]) -> bool:
    """Ask in the terminal. The answer is no without a terminal, or if nothing is typed."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        return False
    from sftframe.cli.console import err, prose

    prose(err(), f"{source} would, on this machine:")
    for claim in claims:
        prose(err(), _line(claim))
    try:
        return typer.confirm("Accept this, now and later?", err=True)
    except typer.Abort:
        return False


def _line(claim: Claim) -> str:
    from sftframe.escaping import escape_controls

    return escape_controls(f"  - {claim.words}")


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    """The configurations in a path."""
    from sftframe.ablation import AblationFolder
    from sftframe.config import read_toml
    from sftframe.files import CONFIG

    if path.is_file():
        yield read_toml(path)
        return
    found = False
    if AblationFolder(path).plan_path.is_file():
        found = True
        yield read_toml(AblationFolder(path).plan_path)
    for config in [path / CONFIG, *sorted(path.glob(f"runs/*/*/{CONFIG}"))]:
        if config.is_file():
            found = True
            yield {key: value for key, value in read_toml(config).items() if key != "out"}
    if not found:
        raise ConfigError(f"nothing at {path} to trust: expected a run, an ablation, or a configuration file")
