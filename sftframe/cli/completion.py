"""Shell completion: names of components and plugins, runs, settings, fixed values.

On any error it offers nothing. It must not import torch. The shell itself completes other paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from sftframe.errors import SftframeError

Offer = tuple[str, str]
"""A word and its meaning; some shells do not show the meaning."""
Completer = Callable[[str], list[Offer]]


def components(seam: str) -> Completer:
    """Names of a seam's components; after a comma, the next of several names, as `ablate` reads them."""

    def offers() -> Iterator[Offer]:
        from sftframe.registry import Seam, load_registry

        registry = load_registry()
        for name in registry.names(Seam(seam)):
            offers = registry.offers(Seam(seam), name)
            for info, component in offers:
                yield (name if len(offers) == 1 else f"{info.id}:{name}"), component.summary

    def complete(incomplete: str) -> list[Offer]:
        before, comma, last = incomplete.rpartition(",")
        return [(f"{before}{comma}{name}", summary) for name, summary in _beginning(offers, last)]

    return complete


def any_component(incomplete: str) -> list[Offer]:
    """Names of all components."""
    from sftframe.registry import Seam

    return [offer for seam in Seam for offer in components(seam.value)(incomplete)]


def plugin_ids(incomplete: str) -> list[Offer]:
    """Ids of installed plugins; none is imported."""

    def offers() -> Iterator[Offer]:
        from sftframe.registry import discover

        return ((candidate.id, candidate.version) for candidate in discover())

    return _beginning(offers, incomplete)


def values(*known: str) -> Completer:
    """Completion from fixed words."""
    return lambda incomplete: _beginning(lambda: ((value, "") for value in known), incomplete)


def settings(incomplete: str) -> list[Offer]:
    """`section.key=` of every setting except the components' own options."""

    def offers() -> Iterator[Offer]:
        from pydantic import BaseModel

        from sftframe.config import RunConfig

        for name, field in RunConfig.model_fields.items():
            section = field.annotation
            if isinstance(section, type) and issubclass(section, BaseModel):
                for key, inner in section.model_fields.items():
                    yield f"{name}.{key}=", _meaning(inner.description)
            else:
                yield f"{name}=", _meaning(field.description)

    return _beginning(offers, incomplete)


def runs(incomplete: str) -> list[Offer]:
    """Runs, the newest first: those under `runs/`, and those in the folder of the typed path."""
    from sftframe.files import RUNS_DIR, is_run

    return _folders(incomplete, RUNS_DIR, is_run)


def runs_and_ablations(incomplete: str) -> list[Offer]:
    """Runs, and folders of ablations."""
    return [*runs(incomplete), *ablations(incomplete)]


def ablations(incomplete: str) -> list[Offer]:
    """Folders of ablations, the newest first."""
    return _folders(incomplete, _ABLATIONS_DIR, lambda path: (path / _PLAN).is_file())


_ABLATIONS_DIR = Path("ablations")
_PLAN = "ablation.toml"
"""As in `sftframe.ablation.folder`, whose import takes a second; a test checks that both agree."""


def _folders(incomplete: str, usual: Path, is_wanted: Callable[[Path], bool]) -> list[Offer]:
    typed = Path(incomplete)
    parents = dict.fromkeys((usual, typed if incomplete.endswith("/") else typed.parent))
    found: list[tuple[float, str]] = []
    with suppress(OSError):
        for parent in parents:
            for path in parent.glob("*"):
                if str(path).startswith(incomplete.removeprefix("./")) and is_wanted(path):
                    found.append((path.stat().st_mtime, str(path)))
    return [(path, "") for _, path in sorted(found, reverse=True)]


def _beginning(offers: Callable[[], Iterable[Offer]], incomplete: str) -> list[Offer]:
    with suppress(SftframeError, OSError):
        return [offer for offer in offers() if offer[0].startswith(incomplete)]
    return []


def _meaning(description: str | None) -> str:
    return " ".join((description or "").split())
