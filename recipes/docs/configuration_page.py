"""Makes the reference of the configuration from the pydantic models and from the options of sftframe's own components.

Components of other packages are left out, so that the page does not depend on what is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recipes.docs.markdown import GENERATED_NOTE, cell, table
from sftframe.ablation.grid import AblateConfig
from sftframe.config import RunConfig, Section, option_fields
from sftframe.plugins import RUN_SEAMS, SEAMS
from sftframe.registry import Registry, Seam, load_registry

_HEAD = ("key", "values", "default", "what it does")

_INTRODUCTION = """\
# Configuration

Write settings in a TOML file (`--config FILE`) or on the command line (`--set section.key=value`). The most common
settings have their own [flag](cli.md#shared-settings). A flag wins over `--set`, which wins over the file, which wins
over the model's own defaults, which win over the defaults below. An unknown key gives an error that names the nearest
known key. `sftframe init` writes a file with all settings as comments. A run's own `config.toml` has every value that
the run used.
"""


def configuration_page() -> str:
    """The whole page."""
    lines = [GENERATED_NOTE, *_INTRODUCTION.splitlines(), "", "## Top level", ""]
    fields = RunConfig.model_fields
    top = [(name, field) for name, field in fields.items() if _section_of(field) is None or name in SEAMS]
    lines += [
        *table(_HEAD, [row for name, field in top for row in (_field_row(name, field), *_of_seam(name, field))]),
        "",
    ]
    for name, field in fields.items():
        section = _section_of(field)
        if section is not None and name not in SEAMS:
            lines += _section(name, section)
    lines += ["## `[ablate]`", "", "Only `sftframe ablate` reads this section: see [ablations](ablate.md).", ""]
    lines += [*table(_HEAD, [_field_row(name, field) for name, field in AblateConfig.model_fields.items()]), ""]
    lines += _components(load_registry())
    return "\n".join(lines).rstrip() + "\n"


def _of_seam(name: str, field: FieldInfo) -> list[tuple[str, str, str, str]]:
    """What can be set for every component of a seam."""
    choice = _section_of(field)
    fields = choice.model_fields if choice is not None else {}
    return [_field_row(f"{name}.{key}", own, key) for key, own in fields.items() if key != "name"]


def _section(name: str, section: type[BaseModel]) -> list[str]:
    rows, nested = [], []
    for key, field in section.model_fields.items():
        inner = _section_of(field)
        rows.append(_field_row(key, field))
        if inner is not None:
            nested += _section(f"{name}.{key}", inner)
    note = [" ".join((section.__doc__ or "").split()), ""]
    return [f"## `[{name}]`", "", *note, *table(_HEAD, rows), "", *nested]


def _field_row(name: str, field: FieldInfo, key: str = "") -> tuple[str, str, str, str]:
    schema = _property(key or name, field)
    return _row(name, schema, field.get_default(call_default_factory=True), field.description)


def _property(name: str, field: FieldInfo) -> dict[str, Any]:
    from pydantic import create_model

    model = create_model("Model", **{name: (field.annotation, field)})  # type: ignore[call-overload]
    schema = model.model_json_schema()
    found: dict[str, Any] = schema["properties"][name]
    return found


def _components(registry: Registry) -> Iterator[str]:
    yield from ("## Options of components", "")
    yield "`sftframe plugins show NAME` shows the options of your own components."
    yield ""
    for seam in RUN_SEAMS:
        for name in registry.names(seam):
            for info, component in registry.offers(seam, name):
                if info.is_first_party:
                    yield from _component(seam, name, component)


def _component(seam: Seam, name: str, component: Any) -> list[str]:
    lines = [f"### {seam.noun} `{name}`", "", f"{component.summary}.", ""]
    rows = [
        _row(f"{seam.value}.{key}", schema, schema.get("default"), schema.get("description"))
        for key, schema in option_fields(component.Options).items()
    ]
    return [*lines, *table(_HEAD, rows), ""] if rows else [*lines, "It has no options.", ""]


def _row(name: str, schema: dict[str, Any], default: Any, description: Any) -> tuple[str, str, str, str]:
    shown = f"`{_toml(default)}`" if default not in (None, "") and not isinstance(default, Section) else "–"
    if isinstance(default, Section):
        shown = f"`{getattr(default, 'name', '')}`"
    return f"`{name}`", cell(_values(schema)), cell(shown), cell(description)


def _values(schema: dict[str, Any]) -> str:
    """The allowed values in words: a type with its range, or a list of values."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:
        return "a name, or a table" if "Choice" in schema["$ref"] else "a table"
    kind = _KINDS.get(schema.get("type", ""), schema.get("type", "any value"))
    limits = [f"{sign} {schema[key]:g}" for key, sign in _LIMITS.items() if key in schema and abs(schema[key]) < 2**53]
    return f"{kind} {' and '.join(limits)}".strip()


_KINDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "array": "list",
    "object": "table",
}
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _toml(value: Any) -> str:
    text = tomli_w.dumps({"x": list(value) if isinstance(value, tuple) else value}, indent=0)
    if isinstance(value, dict):
        return "{}"
    return " ".join(text.partition("= ")[2].split()).replace("[ ", "[").replace(", ]", "]").replace(",]", "]")


def _section_of(field: FieldInfo) -> type[Section] | None:
    """The section of a field, also if the field is optional."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)
