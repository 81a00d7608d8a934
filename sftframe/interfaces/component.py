"""What every component has, whichever seam it serves: a name, a summary and options.

Options are a plain frozen dataclass, so that a plugin imports without pydantic; `sftframe.config` validates them with
pydantic when a component is made from a configuration. A pydantic model works as well.
"""

from __future__ import annotations

import dataclasses
from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoOptions:
    """For components that have nothing to set."""


def option(
    default: Any,
    description: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
    examples: Sequence[Any] = (),
) -> Any:
    """A field of an `Options` dataclass: its default, one line of help, and the range of its values.

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Options:
    ...     weight: float = option(0.1, "weight of prompt targets in the loss", ge=0, le=1)
    >>> Options().weight
    0.1
    """
    limits = {"ge": ge, "le": le, "gt": gt, "lt": lt}
    metadata: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    metadata["description"] = description
    if examples:
        metadata["examples"] = list(examples)
    if isinstance(default, list | dict | set):
        made = default
        return dataclasses.field(default_factory=lambda: type(made)(made), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Component(ABC):
    """Base of prompt styles, collate strategies, model backends and judges."""

    name: ClassVar[str]
    """What users type: lower case letters, digits, `-`, `_` and `.`."""
    summary: ClassVar[str]
    """One line for `sftframe plugins`."""
    Options: ClassVar[type[Any]] = NoOptions
    """Dataclass (or pydantic model) of what can be set with `--set SEAM.key=value`; every field has a default."""

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options
