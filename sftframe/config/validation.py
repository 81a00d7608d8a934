"""From merged layers to a checked configuration or a component's options, and pydantic's findings as one line.

A message names the key in full, what was expected and what was found, and for an unknown key the nearest known one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from sftframe.config.layers import SEAMS, Layer
from sftframe.config.sections import RunConfig
from sftframe.errors import ConfigError, brief, suggestion


def validate(layer: Layer) -> RunConfig:
    """The configuration that the merged layers describe.

    Raises:
        ConfigError: an unknown key or a bad value, with the key's full name.
    """
    try:
        return RunConfig.model_validate(layer)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig)) from error


def build_options(owner: type[Any], values: Layer, section: str) -> Any:
    """A component's options from what a configuration sets for it.

    Args:
        owner: the component's class; its `Options` is a dataclass or a pydantic model.
        section: the seam's name, for messages.

    Raises:
        ConfigError: an unknown key or a bad value.
    """
    options = owner.Options
    known = option_fields(options)
    for key in values:
        if key not in known:
            raise ConfigError(f"{section}.{key}: {owner.name!r} has no option {key!r}{suggestion(key, known)}")
    try:
        return TypeAdapter(options).validate_python(values)
    except ValidationError as error:
        raise ConfigError(explain(error, options, prefix=(section,))) from error


def option_fields(options: type[Any]) -> dict[str, dict[str, Any]]:
    """Per option: its JSON schema (type, default, description, limits), in order of declaration."""
    properties: dict[str, dict[str, Any]] = TypeAdapter(options).json_schema().get("properties", {})
    return properties


_SECTION_EXPECTED = ("model_type", "model_attributes_type", "dataclass_type", "dict_type")
"""What pydantic calls it when a value stands where a section belongs."""


def explain(error: ValidationError, model: type[Any], prefix: tuple[str, ...] = ()) -> str:
    """pydantic's first finding as one line: the key's full name, what was found, what was expected."""
    finding = error.errors(include_url=False)[0]
    own = [str(part) for part in finding["loc"] if part != "[key]"]  # "[key]" marks a mapping's key that is wrong
    name = ".".join((*prefix, *own)) or "configuration"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if finding["type"] == "extra_forbidden":
        known = _fields_at(model, own[:-1])
        return f"no configuration key {name!r}{suggestion(own[-1], known) if known else ''}{more}"
    if finding["type"] == "missing":
        return f"{name}: expected a value, found none{more}"
    expected = finding["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if finding["type"] in _SECTION_EXPECTED:
        expected = "a name, or a section with keys" if name in SEAMS else "a section with keys"
    return f"{name}: expected {expected}, found {brief(finding.get('input'))}{more}"


def _fields_at(model: Any, path: Iterable[str]) -> list[str]:
    """Names of the fields of a section, or of a section within it; none where that is not known."""
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field is not None else None
        model = next((choice for choice in get_args(model) if choice is not type(None)), model)  # of `Section | None`
    return list(getattr(model, "model_fields", ()))
