"""Finds installed plugins by the entry points of the group `sftframe`, without importing them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from sftframe.errors import ConfigError, suggestion
from sftframe.hookspecs import GROUP

DISABLE_VARIABLE = "SFTFRAME_DISABLE"
"""Environment variable: plugins that are not loaded, separated by commas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A plugin that is installed and not imported yet."""

    distribution: str
    """Normalised: lower case, words joined by `-`."""
    version: str
    entry_point: metadata.EntryPoint

    @property
    def id(self) -> str:
        """`distribution:entry-point`."""
        return f"{self.distribution}:{self.entry_point.name}"

    @property
    def package(self) -> str:
        """Top-level package of its module."""
        return self.entry_point.module.partition(".")[0]

    def is_meant_by(self, name: str) -> bool:
        """Whether a name that a user gave is this plugin's id, its distribution or its entry point."""
        distribution, colon, entry_point = name.partition(":")
        if colon:
            return (normalised(distribution), entry_point) == (self.distribution, self.entry_point.name)
        return normalised(name) == self.distribution or name == self.entry_point.name


def normalised(distribution: str) -> str:
    """A distribution's name as the package index compares it.

    >>> normalised("Sftframe_Vicuna")
    'sftframe-vicuna'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def discover() -> list[Candidate]:
    """All installed plugins, ordered by id; if a distribution is on the path twice, the first one counts."""
    found: dict[str, Candidate] = {}
    for entry_point in metadata.entry_points(group=GROUP):
        distribution = entry_point.dist
        if distribution is None:
            continue
        candidate = Candidate(
            distribution=normalised(distribution.name or "unnamed"),
            version=distribution.version or "",
            entry_point=entry_point,
        )
        found.setdefault(candidate.id, candidate)
    return sorted(found.values(), key=lambda candidate: candidate.id)


def switched_off(candidates: Sequence[Candidate], names: Sequence[str]) -> set[str]:
    """Ids of the candidates that `names` or the environment variable disable.

    An unknown name in the environment variable is ignored, since one setting serves many environments. An unknown name
    in `names` is an error.

    Raises:
        ConfigError: one of `names` is not an installed plugin.
    """
    for name in names:
        if not any(candidate.is_meant_by(name) for candidate in candidates):
            known = [candidate.id for candidate in candidates]
            raise ConfigError(f"cannot disable {name!r}: no such plugin is installed{suggestion(name, known)}")
    everything = [*names, *_from_environment()]
    return {c.id for c in candidates if any(c.is_meant_by(name) for name in everything)}


def _from_environment() -> Iterator[str]:
    for name in os.environ.get(DISABLE_VARIABLE, "").split(","):
        if name.strip():
            yield name.strip()
