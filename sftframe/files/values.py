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

    A number that is not finite becomes null, because JSON has no NaN.

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
        # a lone surrogate, which a judge's answer may contain: only its escape can be written
        return json.dumps(made, allow_nan=False, indent=indent).encode()


def decoded(data: bytes) -> Any:
    """The JSON value in bytes of UTF-8; all its numbers are finite and of at most 64 bits.

    Raises:
        ValueError: it is no JSON, or nested too deeply, or a number is not finite or has more than 64 bits.
    """
    try:
        return _DECODER.decode(data.decode().removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def decoded_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None if it contains anything else, see `decoded`."""
    try:
        value = decoded(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is not finite")
    return value


def _of_64_bits(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= 2**64:
        raise ValueError(f"the number {text[:20]}… has more than 64 bits")
    return int(text)


_DECODER = json.JSONDecoder(parse_float=_finite, parse_int=_of_64_bits, parse_constant=_finite)
