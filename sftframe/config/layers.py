"""Reads settings from TOML files and `section.key=value` words, and merges several sources."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from sftframe.errors import ConfigError, brief
from sftframe.files import read_named_text
from sftframe.plugins import SEAMS

Layer = dict[str, Any]
"""A nested mapping of the settings of one source."""


def read_toml(path: Path) -> Layer:
    """The layer of a TOML file.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(read_named_text(path))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the configuration {path}: byte {error.start} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        is_escape = "\\" in str(error) or "hex" in str(error).lower()
        hint = "; a path with backslashes needs 'single quotes'" if is_escape else ""
        raise ConfigError(f"{path} is not valid TOML: {error}{hint}") from error
    except (ValueError, RecursionError) as error:  # for example a number of 5,000 digits, or 1,000 brackets
        raise ConfigError(f"{path} is TOML that cannot be read: {error}; expected settings of a few levels") from error


def parse_settings(settings: Iterable[str]) -> Layer:
    """The layer of `section.key=value` words; later words win.

    A value is a number, a boolean, a quoted string, a list or a table in TOML. Any other text is a string.

    >>> parse_settings(["train.lr=1e-3", "judge.model=llama3"])
    {'train': {'lr': 0.001}, 'judge': {'model': 'llama3'}}

    Raises:
        ConfigError: a word is not of this form.
    """
    layer: Layer = {}
    for setting in settings:
        path, sign, text = setting.partition("=")
        if not sign or not all(key.strip() for key in path.split(".")):
            raise ConfigError(f"--set {setting!r}: expected section.key=value, for instance train.lr=1e-4")
        layer = merge(layer, nested(path, _toml_value(text.strip())))
    return layer


def nested(key: str, value: Any) -> Layer:
    """A layer with one key.

    >>> nested("train.lr", 0.1)
    {'train': {'lr': 0.1}}
    """
    *sections, last = (part.strip() for part in key.split("."))
    layer: Layer = {last: value}
    for section in reversed(sections):
        layer = {section: layer}
    return layer


def flattened(layer: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The full keys and values of a layer.

    >>> dict(flattened({"seed": 1, "train": {"lr": 0.1}}))
    {'seed': 1, 'train.lr': 0.1}
    """
    for key, value in layer.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """Settings in words, as the names of arms show them.

    >>> settings_in_words({"collate.name": "prompt-weight", "collate.weight": 0.1})
    'prompt-weight · weight 0.1'
    """
    return " · ".join(
        str(value) if key.endswith(".name") else f"{key.rpartition('.')[2]} {value}" for key, value in settings.items()
    )


def _toml_value(text: str) -> Any:
    try:
        value, *others = tomllib.loads(f"value = {text}").values()
    except (ValueError, RecursionError):  # not TOML, or too large to read
        return text
    # text of several lines could add values; 2024-05-17 is rather a model's name, since no option is a date
    return text if others or isinstance(value, date | time) else value


def merge(*layers: Mapping[str, Any]) -> Layer:
    """Merge nested mappings; later ones win. If a component's name changes, its old options are dropped.

    >>> merge({"judge": {"name": "ollama", "model": "llama3"}}, {"judge": "reference"})
    {'judge': {'name': 'reference'}}

    Raises:
        ConfigError: one layer sets a single value where a stronger one has a table.
    """
    merged: Layer = {}
    for layer in layers:
        for key, value in layer.items():
            under = merged.get(key)
            if key in SEAMS:
                value = {"name": value} if isinstance(value, str) else value
                under = None if _is_switched(under, value) else under
            try:
                merged[key] = _laid_over(under, value, key)
            except RecursionError:
                raise ConfigError(f"{brief(key)}: nested too deeply, expected settings of a few levels") from None
    return merged


def _is_switched(under: Any, over: Any) -> bool:
    """Whether the layer names another component than before."""
    if not isinstance(under, Mapping) or not isinstance(over, Mapping) or "name" not in under:
        return False
    return bool(over.get("name", under["name"]) != under["name"])


def _laid_over(under: Any, over: Any, path: str) -> Any:
    if isinstance(over, str) and "\0" in over:
        raise ConfigError(f"{path}: expected text without the character U+0000, found {brief(over)}")
    if not isinstance(over, Mapping):
        return over
    if under is not None and not isinstance(under, Mapping):
        raise ConfigError(
            f"{path}: expected a section with keys, found {brief(under)} (and {path}.{next(iter(over), '')})"
        )
    base = under or {}
    return {**base, **{key: _laid_over(base.get(key), value, f"{path}.{key}") for key, value in over.items()}}
