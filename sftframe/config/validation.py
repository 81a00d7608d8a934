"""Makes a checked configuration, or a component's options, from merged layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sftframe.config.findings import explain
from sftframe.config.layers import Layer
from sftframe.config.sections import RunConfig
from sftframe.errors import ConfigError, nearest, suggestion


def validate(layer: Layer) -> RunConfig:
    """The configuration of the merged layers.

    Raises:
        ConfigError: an unknown key or a bad value, with the key's full name.
    """
    try:
        return RunConfig.model_validate(layer)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig, layer)) from error


def build_options(
    owner: type[Any], values: Layer, section: str, *, others_with: Callable[[str], list[str]] | None = None
) -> Any:
    """A component's options from its table in a configuration.

    Args:
        owner: the component's class; its `Options` is a dataclass or a pydantic model.
        section: the seam's name, for messages.
        others_with: names of the section's other components that have an option, for the message about a missing one.

    Raises:
        ConfigError: an unknown key or a bad value.
    """
    options = owner.Options
    known = option_fields(options)
    for key in values:
        if key not in known:
            others = others_with(key) if others_with and nearest(key, known) is None else []
            instead = f"; {_have_it(others, section)}" if others else suggestion(key, known)
            raise ConfigError(f"{section}.{key}: {owner.name!r} has no option {key!r}{instead}")
    try:
        return TypeAdapter(options).validate_python({key: _listed(value, known[key]) for key, value in values.items()})
    except ValidationError as error:
        raise ConfigError(explain(error, options, values, prefix=(section,))) from error


def option_fields(options: type[Any]) -> dict[str, dict[str, Any]]:
    """Per option: its JSON schema (type, default, description, limits), in order of declaration."""
    properties: dict[str, dict[str, Any]] = TypeAdapter(options).json_schema().get("properties", {})
    return properties


def _listed(value: Any, schema: Mapping[str, Any]) -> Any:
    """A single text as the only item of a list of texts; other values do not change."""
    is_list = schema.get("type") == "array" and schema.get("items", {}).get("type") == "string"
    return (value,) if is_list and isinstance(value, str) else value


def _have_it(others: list[str], section: str) -> str:
    """Which components have an option, and how to choose the first."""
    verb = "has" if len(others) == 1 else "have"
    return f"{', '.join(map(repr, others))} {verb} it: add --{section} {others[0]}"
