"""Which plugins are installed: their entry points, and the components that their hooks give."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import NamedTuple

import pluggy

from sftframe.errors import ConfigError, PluginError, suggestion
from sftframe.plugins import GROUP, Component, Seam
from sftframe.plugins import hooks as hookspecs
from sftframe.plugins.guard import plugin_wall
from sftframe.version import __version__

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

    An unknown name in the environment variable is ignored, since one setting may be for many environments. An unknown
    name in `names` is an error.

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


NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""Allowed names of components: users type them in shells and TOML files, and they become parts of paths."""


class Offer(NamedTuple):
    """A component that passed the checks, and its seam."""

    seam: Seam
    component: type[Component]


def admit(plugin: object, package: str) -> tuple[Offer, ...]:
    """The components that a plugin offers.

    Args:
        package: the plugin's top-level package, for messages.

    Raises:
        PluginError: a hook is unknown, unmarked, has unknown arguments, raises an exception or does not return
            component classes; or a component is not complete.
    """
    with plugin_wall(package):
        _check_markers(plugin)
        offers = tuple(offer for seam, returned in _call_hooks(plugin) for offer in _offers(seam, returned))
        for offer in offers:
            _check_component(*offer)
        _check_unique(offers)
    return offers


def _check_markers(plugin: object) -> None:
    """A function that is named like a hook must be marked as one: pluggy skips unmarked functions silently."""
    hooks = [seam.hook for seam in Seam]
    manager = pluggy.PluginManager(hookspecs.GROUP)
    for name in dir(plugin):
        if not name.startswith(f"{hookspecs.GROUP}_") or not inspect.isroutine(getattr(plugin, name)):
            continue
        marks = manager.parse_hookimpl_opts(plugin, name)
        if name not in hooks and not (marks and marks["optionalhook"]):
            raise PluginError(_unknown_hook(name, hooks))
        if marks is None:
            raise PluginError(f"{name} is not marked as a hook; put @hookimpl (from sftframe) above it")


def _unknown_hook(name: str, hooks: Sequence[str]) -> str:
    """A name that is nearly a hook's name is a typing error; any other is taken for a hook of a newer sftframe."""
    endings = {hook.removeprefix(f"{hookspecs.GROUP}_"): hook for hook in hooks}
    near = difflib.get_close_matches(name.removeprefix(f"{hookspecs.GROUP}_"), endings, n=1, cutoff=0.8)
    if near:
        return f"unknown hook {name!r}; did you mean {endings[near[0]]!r}? Available: {', '.join(hooks)}"
    return (
        f"unknown hook {name!r}: it needs a newer sftframe than {__version__}; update sftframe, or let the plugin mark "
        "the hook with @hookimpl(optionalhook=True), so that it works with both"
    )


def _call_hooks(plugin: object) -> Iterator[tuple[Seam, object]]:
    """What each hook of the plugin returns. Each plugin has its own manager: plugins cannot change each other."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        for name in vars(manager.hook):
            if f"unknown hook {name!r}" in str(error):
                raise PluginError(_unknown_hook(name, [seam.hook for seam in Seam])) from error
        raise PluginError(str(error).replace("\n", "; ")) from error
    callers = {seam: getattr(manager.hook, seam.hook) for seam in Seam}
    is_for_later = any(not hasattr(hookspecs, name) for name in vars(manager.hook))  # optional hooks; others are errors
    if not is_for_later and not any(caller.get_hookimpls() for caller in callers.values()):
        raise PluginError(f"it implements no hook; expected @hookimpl on one of {', '.join(s.hook for s in Seam)}")
    for seam, caller in callers.items():
        if caller.get_hookimpls():
            results = caller()  # pluggy leaves out a None
            yield seam, results[0] if results else None


def _offers(seam: Seam, returned: object) -> Iterator[Offer]:
    if not isinstance(returned, Iterable) or isinstance(returned, str):
        raise PluginError(f"{seam.hook} returned {returned!r}; expected a list of component classes")
    for component in returned:
        if not isinstance(component, type):
            raise PluginError(f"{seam.hook} offers an object of {type(component).__name__}; expected a class")
        yield Offer(seam, component)


def _check_component(seam: Seam, component: type[Component]) -> None:
    who = f"{seam.noun} {component.__qualname__}"
    if not issubclass(component, seam.base):
        raise PluginError(f"{component.__qualname__} is offered as a {seam.noun} but is not a {seam.base.__name__}")
    name, summary = getattr(component, "name", None), getattr(component, "summary", None)
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise PluginError(f"{who} has the name {name!r}; expected lower case letters, digits, '-', '_' and '.'")
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        raise PluginError(f"{who} has the summary {summary!r}; expected one line of text")
    missing = sorted(getattr(component, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{who} does not define {', '.join(missing)}")
    names = _check_options(who, component.Options)
    if component.argument is not None and component.argument not in names:
        raise PluginError(f"{who} has the argument {component.argument!r}, which is none of its options")


def _check_options(who: str, options: object) -> list[str]:
    """Names of the options. Every one needs a default: a component works by its name alone.

    pydantic is not imported for this.
    """
    if not isinstance(options, type) or not (dataclasses.is_dataclass(options) or hasattr(options, "model_fields")):
        raise PluginError(f"{who} has the Options {options!r}; expected a dataclass or a pydantic model")
    if dataclasses.is_dataclass(options):
        unset = dataclasses.MISSING
        names = [field.name for field in dataclasses.fields(options)]
        bare = [f.name for f in dataclasses.fields(options) if f.default is unset and f.default_factory is unset]
    else:
        names = list(options.model_fields)
        bare = [name for name, field in options.model_fields.items() if field.is_required()]
    if bare:
        raise PluginError(f"{who}: option {bare[0]!r} has no default value; every option needs one")
    return names


def _check_unique(offers: tuple[Offer, ...]) -> None:
    seen = set()
    for seam, component in offers:
        if (seam, component.name) in seen:
            raise PluginError(f"it offers two {seam.noun} components with the name {component.name!r}")
        seen.add((seam, component.name))
