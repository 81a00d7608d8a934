"""The pieces of a run that the registry alone can tell, for files and pages that list every setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sftframe.config import ChosenComponent, Layer, option_fields, validate
from sftframe.interfaces import ModelBackend
from sftframe.pipeline.setup import with_own_defaults
from sftframe.registry import Registry, Seam


def chosen_components(layer: Layer, registry: Registry) -> dict[str, ChosenComponent]:
    """By seam the component that a configuration chooses, with its options and its rivals.

    Raises:
        ConfigError: a name that no plugin offers.
    """
    config = validate(with_own_defaults(layer, registry))
    found = {}
    for seam in Seam:
        name = getattr(config, seam.value).name
        component = registry.find(seam, name)
        found[seam.value] = ChosenComponent(
            name=name,
            summary=component.summary,
            others=tuple(other for other in registry.names(seam) if other != name),
            options=option_fields(component.Options),
        )
    return found


def proposals(layer: Layer, registry: Registry) -> Mapping[str, Mapping[str, Any]]:
    """What the chosen model backend proposes, by section and key. Raises as `chosen_components`."""
    backend = registry.find(Seam.MODEL, validate(with_own_defaults(layer, registry)).model.name)
    assert issubclass(backend, ModelBackend)
    return backend.defaults
