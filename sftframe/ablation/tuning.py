"""Every arm chooses its own values of some settings, such as the learning rate, before the arms are compared.

The choice is by response NLL per byte on the validation part: the training loss and its counterpart on the validation
part are about other tokens as soon as a mask or its weight varies. The test part is not looked at, and the seeds are
none of those that the comparison uses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftframe.ablation.grid import Arm, Axis
from sftframe.config import Layer, merge, nested, settings_in_words
from sftframe.errors import ConfigError
from sftframe.formatting import duration

SEEDS_FROM = 1_000_000
"""Distance of the first seed for tuning from the first of the comparison; seeds in between can still be added to it."""
ALL_EXAMPLES = 1_000_000
"""More than any validation part has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedValue:
    """One candidate of an arm."""

    settings: dict[str, Any]
    """Value by key, `train.lr`."""
    losses: tuple[float | None, ...]
    """Response NLL per byte on the validation part, one per seed; None = this run failed."""
    seconds: float
    """Of training, over all seeds."""
    error: str = ""
    """Why a run failed; empty if none did."""

    @property
    def loss(self) -> float:
        """The mean over the seeds; infinite if one of them failed."""
        known = [loss for loss in self.losses if loss is not None]
        return sum(known) / len(known) if known and len(known) == len(self.losses) else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedArm:
    """An arm with all that it tried."""

    arm: str
    """Its name."""
    slug: str
    values: tuple[TriedValue, ...]

    @property
    def chosen(self) -> TriedValue:
        """The one with the lowest loss; of equal ones the first."""
        return min(self.values, key=lambda value: value.loss)

    @property
    def num_ties(self) -> int:
        """How many others have exactly the chosen one's loss."""
        return sum(value.loss == self.chosen.loss for value in self.values) - 1

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Keys whose chosen value is the smallest or the largest that was tried, with that word.

        >>> tried = [TriedValue(settings={"train.lr": lr}, losses=(loss,), seconds=1.0)
        ...          for lr, loss in ((1e-4, 3.0), (3e-4, 2.0), (1e-3, 1.0))]
        >>> TunedArm(arm="a", slug="a", values=tuple(tried)).edges
        [('train.lr', 'largest')]
        """
        found = []
        for key, value in self.chosen.settings.items():
            tried = {one.settings[key] for one in self.values}
            if len(tried) > 1 and value in (min(tried), max(tried)):
                found.append((key, "smallest" if value == min(tried) else "largest"))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What `tuning.json` contains."""

    seeds: tuple[int, ...] = ()
    arms: tuple[TunedArm, ...] = ()

    def of(self, slug: str) -> TunedArm | None:
        """The arm of this slug; None if it has not chosen."""
        return next((arm for arm in self.arms if arm.slug == slug), None)

    def applied(self, arm: Arm) -> Arm:
        """The arm with the values that it chose."""
        found = self.of(arm.slug)
        return arm if found is None else with_settings(arm, found.chosen.settings)

    @property
    def notes(self) -> tuple[str, ...]:
        """A line per arm: the choice, the other values, and what is doubtful about it; then the cost."""
        if not self.arms:
            return ()
        seconds = sum(value.seconds for arm in self.arms for value in arm.values)
        num_runs = sum(len(value.losses) for arm in self.arms for value in arm.values)
        return (
            *(_note(arm) for arm in self.arms),
            f"tuning took {num_runs} runs with seeds of their own, {duration(seconds)} of training, and no test item",
        )


def _note(arm: TunedArm) -> str:
    others = "; ".join(
        f"{settings_in_words(value.settings)}: {f'{value.loss:.4g}' if value.loss < math.inf else 'failed'}"
        for value in arm.values
        if value is not arm.chosen
    )
    told = (
        f"{arm.arm} was tuned on the validation part and takes {settings_in_words(arm.chosen.settings)} (response NLL "
        f"per byte {arm.chosen.loss:.4g}; {others})"
    )
    for key, word in arm.edges:
        told += f"; {key} is the {word} value that was tried, so one beyond it may be better"
    if arm.num_ties:
        told += f"; {arm.num_ties} other value{'s' * (arm.num_ties != 1)} did exactly as well, the first is taken"
    return told


def with_settings(arm: Arm, settings: Mapping[str, Any]) -> Arm:
    """The same arm with other values in its configuration."""
    layer: Layer = merge(arm.layer, *(nested(key, value) for key, value in settings.items()))
    return Arm(name=arm.name, slug=arm.slug, settings=arm.settings, layer=layer)


def candidates(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Every combination of values, the last axis fastest.

    >>> axes = [Axis(key="train.lr", values=(1e-4, 1e-3)), Axis(key="train.epochs", values=(1, 2))]
    >>> [*candidates(axes)][:2]
    [{'train.lr': 0.0001, 'train.epochs': 1}, {'train.lr': 0.0001, 'train.epochs': 2}]
    """
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip((axis.key for axis in axes), values, strict=True))


def check_tunable(axes: Sequence[Axis], varied: Sequence[Axis], base: Layer) -> None:
    """Check that every key can be chosen by validation loss, and that nothing else sets it.

    Raises:
        ConfigError: a key that cannot be tuned, a value that is no number, or fewer than two values.
    """
    for axis in axes:
        section, _, option = axis.key.partition(".")
        if section not in ("train", "collate") or option == "name":
            raise ConfigError(
                f"{axis.key} cannot be tuned: arms choose among settings of training and options of the collate "
                "strategy (train.lr, collate.weight); vary it as an axis instead"
            )
        wrong = next((value for value in axis.values if not isinstance(value, int | float)), None)
        if wrong is not None:
            raise ConfigError(f"{axis.key} cannot be tuned over {wrong!r}: expected numbers")
        if len(set(axis.values)) < 2 or len(set(axis.values)) < len(axis.values):
            raise ConfigError(f"{axis.key}: expected several different values to tune, found {list(axis.values)}")
        if any(other.key == axis.key for other in varied):
            raise ConfigError(f"{axis.key} is varied and tuned: it is either what arms differ in, or what each chooses")
        if _value(base, axis.key) is not None:
            raise ConfigError(f"{axis.key} is set to {_value(base, axis.key)!r} and tuned: leave one of the two out")


def _value(layer: Any, key: str) -> Any:
    for part in key.split("."):
        layer = layer.get(part) if isinstance(layer, Mapping) else None
    return layer
