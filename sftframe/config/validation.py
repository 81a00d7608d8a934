"""Makes a checked configuration, or a component's options, from merged layers."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from sftframe.config.layers import Layer
from sftframe.config.sections import RunConfig
from sftframe.errors import ConfigError, brief, nearest, suggestion
from sftframe.plugins import SEAMS

Path = tuple[str | int, ...]
"""Keys and list positions, from the outermost to the innermost."""

_SECTION_EXPECTED = ("model_type", "model_attributes_type", "dataclass_type", "dataclass_exact_type", "dict_type")
"""pydantic's types of findings for a value in place of a section."""
_LIST_EXPECTED = ("tuple_type", "list_type", "set_type", "frozen_set_type", "iterable_type")
_WORDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_unicode": "text",
    "finite_number": "a finite number",
    "path_type": "a path",
    "none_required": "nothing",
    "missing": "a value",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "too_short": "{min_length} values or more",
    "too_long": "{max_length} values or fewer",
    "string_too_short": "text of {min_length} characters or more",
    "string_too_long": "text of {max_length} characters or fewer",
    "string_pattern_mismatch": "text that matches {pattern}",
}


def explain(error: ValidationError, model: type[Any], values: Any, prefix: tuple[str, ...] = ()) -> str:
    """pydantic's first finding as one line: the key's full name, what was expected, what was found.

    Args:
        model: the model of the values.
        values: the checked values.
        prefix: the section that the values belong to.
    """
    found = [(_path_in(values, finding), finding) for finding in error.errors(include_url=False)]
    first = found[0][0]
    path = max(
        (path for path, _ in found if path[: len(first)] == first), key=len
    )  # the nearest alternative of a union
    findings = [finding for own, finding in found if own == path]
    num_others = len({own for own, _ in found if own[: len(first)] != first})
    more = f"; {num_others} more setting{'s are' if num_others > 1 else ' is'} wrong too" if num_others else ""
    return f"{_message(findings, path, model, prefix)}{more}"


def expectation(finding: Mapping[str, Any]) -> str:
    """What pydantic expected, in words.

    >>> expectation({"type": "greater_than_equal", "ctx": {"ge": 1}, "msg": "Input should be …"})
    '1 or more'
    """
    kind, context = finding["type"], finding.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind].format_map({key: _rounded(value) for key, value in context.items()})
    if kind in _LIST_EXPECTED:
        value = finding.get("input")
        is_single = isinstance(value, str | int | float)
        return f"a list, for instance [{json.dumps(value, ensure_ascii=False)}]" if is_single else "a list"
    words = str(finding["msg"])
    for opening in ("Value error, ", "Assertion failed, ", "Input should be "):
        words = words.removeprefix(opening)
    return words.removeprefix("a valid ")


def _rounded(value: Any) -> Any:
    return f"{value:.15g}" if isinstance(value, float) else value


def _message(findings: Sequence[Mapping[str, Any]], path: Path, model: type[Any], prefix: tuple[str, ...]) -> str:
    finding, name = findings[0], _name((*prefix, *path))
    value = finding.get("input")
    is_key = finding["loc"][-1:] == ("[key]",)
    if finding["type"] == "extra_forbidden" or (is_key and finding["type"] == "literal_error"):
        known = _keys_of_dict(finding) if is_key else _fields_at(model, map(str, path[:-1]))
        return f"no configuration key {name!r}{_instead(path, known, model, prefix)}"
    if finding["type"] == "missing" and isinstance(path[-1], int):
        return f"{_name((*prefix, *path[:-1]))}: expected {path[-1] + 1} values or more, found {brief(value)}"
    if finding["type"] == "missing":
        return f"{name}: expected a value, found none"
    if finding["type"] == "value_error" and isinstance(value, Mapping):
        return f"{name}: {expectation(finding)}"  # it is about several settings together
    if any(one["type"] in _SECTION_EXPECTED for one in findings):
        expected = "a name, or a section with keys" if name in SEAMS else "a section with keys"
    else:
        expected = _one_of(expectation(one) for one in findings)
    return f"{name}: expected {expected}, found {_found(value)}"


def _one_of(expectations: Iterable[str]) -> str:
    *others, last = dict.fromkeys(expectations)
    return f"{', '.join(others)}, or {last}" if others else last


def _found(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a section with the keys {brief(', '.join(map(str, value)))}" if value else "an empty section"
    return brief(value)


def _name(path: Path) -> str:
    """The full key; list positions count from 1.

    >>> _name(("train", "betas", 0))
    'train.betas (value 1)'
    """
    keys = ".".join(part for part in path if isinstance(part, str)) or "configuration"
    positions = [part + 1 for part in path if isinstance(part, int)]
    return f"{keys} (value {positions[0]})" if positions else keys


def _path_in(values: Any, finding: Mapping[str, Any]) -> Path:
    """The part of pydantic's location that is a path through the values, without names of a union's choices."""
    path: list[str | int] = []
    last = len(finding["loc"]) - 1 if finding["type"] == "missing" else None
    for number, part in enumerate(finding["loc"]):
        if isinstance(values, Mapping) and part in values:
            values = values[part]
        elif isinstance(values, list | tuple) and isinstance(part, int):
            values = values[part] if part < len(values) else None
        elif number != last:  # the last part of what is missing is its key
            continue
        path.append(part)
    return tuple(path)


def _keys_of_dict(finding: Mapping[str, Any]) -> list[str]:
    return [key.strip("'") for key in str(finding["ctx"]["expected"]).replace(" or ", ", ").split(", ")]


def _instead(path: Path, known: Sequence[str], model: type[Any], prefix: tuple[str, ...]) -> str:
    """The end of the message on an unknown key: the nearest key, here or in another section, and all known keys."""
    wanted, here = str(path[-1]), ".".join(map(str, (*prefix, *path[:-1])))
    full_names: dict[str, list[str]] = {}
    keys = list(known_keys(model, prefix))
    inner_sections = dict.fromkeys(key.rpartition(".")[0] for key in keys if key.count(".") > 1)
    for full in (*keys, *inner_sections):
        section, _, leaf = full.rpartition(".")
        if section != here:
            full_names.setdefault(leaf, []).append(full)
    elsewhere = full_names.get(wanted, [])
    if not elsewhere and nearest(wanted, known) is None:
        close = difflib.get_close_matches(wanted, full_names, n=1, cutoff=0.75)
        elsewhere = full_names[close[0]] if close else []
    if elsewhere:
        meant = " or ".join(map(repr, elsewhere))
        return f"; did you mean {meant}?"
    return suggestion(wanted, known) if known else ""


def known_keys(model: Any, prefix: tuple[str, ...] = ()) -> Iterator[str]:
    """Full names of all settings of a model, including its sections.

    >>> from sftframe.config.sections import GenerateConfig
    >>> next(known_keys(GenerateConfig, ("generate",)))
    'generate.max_new_tokens'
    """
    for name, field in getattr(model, "model_fields", {}).items():
        inner = section_in(field.annotation)
        if inner is None or name in SEAMS:
            yield ".".join((*prefix, name))
        if inner is not None:
            yield from (key for key in known_keys(inner, (*prefix, name)) if name not in SEAMS or key[-5:] != ".name")


def _fields_at(model: Any, path: Iterable[str]) -> list[str]:
    """Names of the fields of a section, or of a section in it; empty if they are not known."""
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        model = None if field is None else section_in(field.annotation)
    return list(getattr(model, "model_fields", ()))


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section of a field, also if the field is optional."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


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
