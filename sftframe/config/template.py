"""Makes a configuration file with every setting from the configuration's models. Every default is a comment."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sftframe.config.sections import RunConfig
from sftframe.config.validation import section_in
from sftframe.plugins import SEAMS

_HEADER = """\
Every setting of a run of sftframe, with its default. A line that is commented out changes nothing:
remove the `#` in front of a setting to change it. sftframe reads a file with the name
sftframe.toml from the working directory; for any other name use

    sftframe run --config {path}

Flags win over `--set section.key=value`, which wins over this file, which wins over the model's own defaults.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenComponent:
    """The contents of a seam's table."""

    name: str
    summary: str
    others: tuple[str, ...]
    """Names of the other components."""
    options: Mapping[str, Mapping[str, Any]]
    """JSON schema by option, as `option_fields` gives it."""


def commented_toml(
    chosen: Mapping[str, ChosenComponent],
    model_defaults: Mapping[str, Mapping[str, Any]],
    *,
    path: str = "sftframe.toml",
) -> str:
    """The file.

    Args:
        chosen: the components by seam.
        model_defaults: the chosen model backend's own defaults, by section and key.
        path: the file's name.
    """
    lines = [*_comment(_HEADER.format(path=path)), ""]
    fields = RunConfig.model_fields
    for name, field in fields.items():
        if section_in(field.annotation) is None and name not in SEAMS:
            lines += _setting(name, field, {})
    for seam in SEAMS:
        section = section_in(fields[seam].annotation)
        assert section is not None, "a seam's choice is a section"
        lines += _component(seam, chosen[seam], section)
    for name, field in fields.items():
        section = section_in(field.annotation)
        if section is not None and name not in SEAMS:
            lines += [f"[{name}]", *_section(section, model_defaults.get(name, {}))]
    return "\n".join(lines).rstrip() + "\n"


def _section(section: type[BaseModel], model_defaults: Mapping[str, Any]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        nested = section_in(field.annotation)
        if nested is None:
            yield from _setting(name, field, model_defaults)
            continue
        yield from _comment(field.description or "")
        for inner, inner_field in nested.model_fields.items():
            yield from _setting(f"{name}.{inner}", inner_field, {})


def _component(seam: str, chosen: ChosenComponent, choice: type[BaseModel]) -> Iterator[str]:
    yield f"[{seam}]"
    yield from _comment(f"{chosen.summary}; or: {', '.join(chosen.others)}" if chosen.others else chosen.summary)
    yield f"name = {_value(chosen.name)}"
    yield ""
    for name, field in choice.model_fields.items():
        if name != "name":
            yield from _setting(name, field, {})
    for name, schema in chosen.options.items():
        yield from _comment(str(schema.get("description", "")))
        yield from _assignment(name, schema.get("default"))


def _setting(name: str, field: FieldInfo, model_defaults: Mapping[str, Any]) -> Iterator[str]:
    yield from _comment(field.description or "")
    if name in model_defaults:
        yield from _comment(f"default of the chosen model: {_value(model_defaults[name])}")
    yield from _assignment(name, field.get_default(call_default_factory=True))


def _assignment(name: str, default: Any) -> Iterator[str]:
    """A commented line; a default of None has no value in TOML."""
    yield f"# {name} =" if default is None else f"# {name} = {_value(default)}"
    yield ""


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    text = tomli_w.dumps({"x": value} if not isinstance(value, Mapping) or value else {"x": []})
    written = text.partition("= ")[2].strip()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + "}"
    return " ".join(written.split()).replace("[ ", "[").replace(", ]", "]")


def _comment(text: str) -> list[str]:
    wrapped = [textwrap.wrap(line, 110, drop_whitespace=False) or [""] for line in text.splitlines()]
    return [f"# {line}".rstrip() for lines in wrapped for line in lines]
