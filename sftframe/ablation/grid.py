"""What an ablation varies: axes with their values, the arms made of them, and the cells, one per arm and seed.

Pure functions; the caller tells which options a component has.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftframe.config import SEAMS, Layer, merge, nested, parse_settings, settings_in_words
from sftframe.errors import ConfigError

HasOption = Callable[[str, str, str], bool]
"""`has_option(seam, component, option)`: whether the component of this name has such an option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One configuration key and its values.

    >>> Axis(key="collate.name", values=("mask-pad", "mask-instruction")).label
    'collate'
    """

    key: str
    values: tuple[Any, ...]

    @property
    def label(self) -> str:
        """The key as people write it."""
        return self.key.removesuffix(".name")

    @property
    def seam(self) -> str | None:
        """The seam of the component with this option; None for a component's name and for all other keys."""
        section, _, option = self.key.partition(".")
        return section if section in SEAMS and option != "name" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One choice on every axis that applies to it."""

    name: str
    """Its values, for people: `alpaca · mask-pad`."""
    slug: str
    """The same as the name of a folder, unique in its grid."""
    settings: Mapping[str, Any]
    """Value by axis key, in the order of the axes."""
    layer: Layer
    """The whole configuration, seed and folder aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run of the grid."""

    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """Arm and seed, for people."""
        return f"{self.arm.name} · seed {self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All arms by all seeds."""

    axes: tuple[Axis, ...]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]

    def cells(self) -> Iterator[Cell]:
        """Seed by seed, so that a grid that is stopped early has whole pairs."""
        return (Cell(arm=arm, seed=seed) for seed in self.seeds for arm in self.arms)


def make_grid(
    base: Layer,
    axes: Sequence[Axis],
    seeds: Sequence[int],
    has_option: HasOption,
    with_option: Callable[[str, str], Sequence[str]] = lambda seam, option: (),
) -> Grid:
    """The grid of all combinations of the axes' values.

    An option of a component (`collate.weight`) varies only the arms whose component has it; the other arms occur once.

    Args:
        base: what all arms share.
        with_option: `with_option(seam, option)`: names of all components with the option, for a message.

    Raises:
        ConfigError: fewer than two arms, a value or seed twice, or an option that no arm's component has.
    """
    _check_distinct(axes, seeds)
    components = _product([axis for axis in axes if axis.seam is None])
    chosen: list[dict[str, Any]] = []
    for settings in components:
        layer = _layer(base, settings)
        applying = [axis for axis in axes if axis.seam is None or _applies(axis, layer, has_option)]
        chosen += [
            {**settings, **options} for options in _product([axis for axis in applying if axis.seam is not None])
        ]
    for axis in axes:
        if not any(axis.key in settings for settings in chosen):
            owners = with_option(str(axis.seam), axis.key.split(".")[1])
            instead = f"; {', '.join(owners)} {'has' if len(owners) == 1 else 'have'} it" if owners else ""
            raise ConfigError(f"{axis.key} has several values, but no arm's --{axis.seam} has such an option{instead}")
    ordered = [{axis.key: settings[axis.key] for axis in axes if axis.key in settings} for settings in chosen]
    if len(ordered) < 2:
        raise ConfigError(
            "nothing to compare: give a setting at least two values, for instance --collate mask-pad,mask-instruction"
        )
    slugs = _slugs(ordered)
    arms = tuple(
        Arm(name=settings_in_words(settings), slug=slug, settings=settings, layer=_layer(base, settings))
        for settings, slug in zip(ordered, slugs, strict=True)
    )
    return Grid(axes=tuple(axes), arms=arms, seeds=tuple(seeds))


def split_axes(settings: Iterable[str]) -> tuple[Layer, list[Axis]]:
    """Parse `section.key=value` words: those with one value become a layer, those with several become axes.

    Commas outside brackets, braces and quotes separate values.

    >>> split_axes(["train.lr=1e-4,5e-5", "train.betas=[0.9, 0.95]"])
    ({'train': {'betas': [0.9, 0.95]}}, [Axis(key='train.lr', values=(0.0001, 5e-05))])

    Raises:
        ConfigError: a word is not of this form, or a value is empty.
    """
    layer: Layer = {}
    axes: list[Axis] = []
    for setting in settings:
        key, sign, text = setting.partition("=")
        values = split_values(text)
        if not sign or len(values) < 2:
            layer = merge(layer, parse_settings([setting]))
            continue
        if not all(values):
            raise ConfigError(f"--set {setting!r}: a value is empty; expected section.key=value,value,…")
        name = full_key(key.strip())
        parsed = tuple(_value_at(parse_settings([f"{name}={value}"]), name) for value in values)
        axes.append(Axis(key=name, values=parsed))
    return layer, axes


def full_key(key: str) -> str:
    """The full key; a seam alone means the name of its component.

    >>> full_key("collate"), full_key("train.lr")
    ('collate.name', 'train.lr')
    """
    return f"{key}.name" if key in SEAMS else key


def split_values(text: str) -> list[str]:
    """The values in a flag's list, each still as text.

    >>> split_values('a, [1, 2], {x = 1, y = 2}, "b, c"')
    ['a', '[1, 2]', '{x = 1, y = 2}', '"b, c"']
    """
    parts, depth, quote, start = [], 0, "", 0
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def seeds_from(count_or_list: int | Sequence[int], base_seed: int) -> tuple[int, ...]:
    """The seeds of a grid: a count, starting at the base seed, or a list.

    >>> seeds_from(3, 123), seeds_from([7, 1], 123)
    ((123, 124, 125), (7, 1))

    Raises:
        ConfigError: none.
    """
    seeds = range(base_seed, base_seed + count_or_list) if isinstance(count_or_list, int) else count_or_list
    if not seeds:
        raise ConfigError(f"seeds: expected at least one, found {count_or_list!r}; for instance --seeds 5")
    return tuple(seeds)


def _check_distinct(axes: Sequence[Axis], seeds: Sequence[int]) -> None:
    named = [(axis.label, axis.values) for axis in axes]
    for label, values in [*named, ("seeds", tuple(seeds))]:
        repeated = next((value for i, value in enumerate(values) if value in values[:i]), None)
        if repeated is not None:
            raise ConfigError(f"{label}: {repeated} occurs twice; give every value once")
    keys = [axis.key for axis in axes]
    twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
    if twice is not None:
        raise ConfigError(f"{twice} is varied twice: give all of its values in one place")


def _product(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Every combination of values, the last axis fastest; one empty combination of no axes."""
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip((axis.key for axis in axes), values, strict=True))


def _applies(axis: Axis, layer: Layer, has_option: HasOption) -> bool:
    assert axis.seam is not None, "only called for a component's options"
    component = layer.get(axis.seam, {}).get("name", "")
    option = axis.key.partition(".")[2].partition(".")[0]
    return has_option(axis.seam, component, option)


def _layer(base: Layer, settings: Mapping[str, Any]) -> Layer:
    # names first: a new name drops the options of the old component
    ordered = sorted(settings.items(), key=lambda pair: not pair[0].endswith(".name"))
    return merge(base, *(nested(key, value) for key, value in ordered))


def _value_at(layer: Layer, key: str) -> Any:
    value: Any = layer
    for part in key.split("."):
        value = value[part.strip()]
    return value


def _slugs(chosen: Sequence[Mapping[str, Any]]) -> list[str]:
    slugs: list[str] = []
    for settings in chosen:
        words = [re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-.") for word in settings_in_words(settings).split(" · ")]
        slug = "_".join(words)[:80]
        is_taken = slug.casefold() in map(str.casefold, slugs)
        slugs.append(f"{slug}-{len(slugs)}" if is_taken else slug)
    return slugs
