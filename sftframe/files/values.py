"""Values as JSON: records, paths and enumerations in, JSON's own types and UTF-8 out."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """A value in JSON's own types: records become objects, paths text, enumerations their name in lower case.

    A number that is not finite becomes null, which JSON has and NaN it has not.

    >>> plain({"path": Path("a") / "b", "loss": float("nan"), "shape": (8, 74)})
    {'path': 'a/b', 'loss': None, 'shape': [8, 74]}
    """
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {plain(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.as_posix() if isinstance(value, Path) else value


def encoded(value: object, indent: int | None = None) -> bytes:
    """A value as JSON in UTF-8, in one line unless `indent` says otherwise."""
    made = plain(value)
    try:
        return json.dumps(made, ensure_ascii=False, allow_nan=False, indent=indent).encode()
    except UnicodeEncodeError:
        # a lone surrogate, as a judge's answer may hold: only its escape can be written
        return json.dumps(made, allow_nan=False, indent=indent).encode()


def decoded_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None where it holds anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
