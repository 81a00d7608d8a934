"""An ablation's settings: the table `[ablate]` of a configuration file, and the flags that change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, ValidationError

from sftframe.ablation.grid import Axis, full_key
from sftframe.config import Layer, Section, explain, merge, nested
from sftframe.errors import ConfigError

YardstickKey = Literal["judge", "response_nll_per_byte", "exact_match", "stop_rate", "length_ratio"]


class AblateConfig(Section):
    """The table `[ablate]`."""

    prompt: tuple[str, ...] = ()
    """prompt styles"""
    collate: tuple[str, ...] = ()
    """collate strategies"""
    model: tuple[str, ...] = ()
    """model backends"""
    prompt_texts: dict[str, str] = Field(default_factory=dict)
    """texts of the prompt styles from files, saved when an ablation starts"""
    set: dict[str, Any] = Field(default_factory=dict)
    """other settings with several values each: set.train.lr = [1e-4, 5e-5]"""
    seeds: Annotated[StrictInt, Field(ge=1)] | tuple[Annotated[StrictInt, Field(ge=0)], ...] = 3
    """number of seeds, counted from `seed`, or a list of seeds"""
    yardstick: YardstickKey = "judge"
    """the yardstick of the verdict"""
    margin: float | None = Field(default=None, gt=0)
    """differences up to this count as none, in the yardstick's unit; the default depends on the yardstick"""
    baseline: str | None = None
    """the arm that all others are compared with; by default the first"""
    jobs: int = Field(default=1, ge=1)
    """cells at the same time, each in its own process"""
    repeats: int = Field(default=1, ge=1)
    """how often the answers of one run are graded, to measure the judge's own noise"""
    before: bool = False
    """measure the untuned model in every cell too"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A requested ablation; its own settings are checked, those of its runs are not yet."""

    config: AblateConfig
    base: Layer
    """The settings that all arms share, as a run's configuration."""
    axes: tuple[Axis, ...]


def read_request(layer: Layer, axes: Sequence[Axis] = (), *, settings: Layer | None = None) -> Request:
    """The request in merged layers.

    Args:
        layer: a run's configuration with, possibly, the table `[ablate]`.
        axes: from flags; they replace those of the table with the same key.
        settings: from flags, with one value each; they replace axes of the table too.

    Raises:
        ConfigError: an unknown key of the table, or a bad value.
    """
    fixed = merge(settings or {})
    base = merge({key: value for key, value in layer.items() if key != "ablate"}, fixed)
    config = _validated(layer.get("ablate", {}))
    named = [Axis(key=f"{seam}.name", values=getattr(config, seam)) for seam in ("prompt", "collate", "model")]
    table = [*(axis for axis in named if axis.values), *_flat_axes(config.set)]
    found = [axis for axis in table if not _is_set(fixed, axis.key)]
    given = {axis.key: axis for axis in axes}
    merged = [given.pop(axis.key, axis) for axis in found] + list(given.values())
    for axis in merged:  # an axis of one value is a setting
        if len(axis.values) == 1:
            base = merge(base, nested(axis.key, axis.values[0]))
    return Request(config=config, base=base, axes=tuple(axis for axis in merged if len(axis.values) > 1))


def _validated(table: Any) -> AblateConfig:
    try:
        return AblateConfig.model_validate(table)
    except ValidationError as error:
        raise ConfigError(explain(error, AblateConfig, table, prefix=("ablate",))) from error


def _flat_axes(table: Mapping[str, Any], prefix: str = "") -> list[Axis]:
    axes: list[Axis] = []
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            axes += _flat_axes(value, f"{name}.")
        elif isinstance(value, list) and value:
            axes.append(Axis(key=full_key(name), values=tuple(value)))
        else:
            raise ConfigError(
                f"ablate.set.{name}: expected a list of values, found {value!r}; "
                f"a single one belongs to [{_section(name)}]"
            )
    return axes


def _section(name: str) -> str:
    return name.rpartition(".")[0] or "the top of the file"


def _is_set(layer: Layer, key: str) -> bool:
    found: Any = layer
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return False
        found = found[part]
    return True
