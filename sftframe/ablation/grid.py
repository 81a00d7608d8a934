"""An ablation's grid: its settings, the values that vary, the arms that they give, and the seeds."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictInt, ValidationError

from sftframe.analysis import COMPARED
from sftframe.config import (
    Layer,
    Section,
    explain,
    merge,
    nested,
    parse_settings,
    settings_in_words,
    settings_of_every_component,
)
from sftframe.errors import ConfigError
from sftframe.plugins import SEAMS

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
        """The seam of the component with this option; None for a component's name and for all other settings."""
        section, _, option = self.key.partition(".")
        return section if section in SEAMS and option not in settings_of_every_component(section) else None


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
    notes: tuple[str, ...] = ()
    """Which arms a setting that was given once applies to, where it does not apply to all."""

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
    An option that is given once, where the component's name varies, is set in all arms whose component has it.

    Args:
        base: what all arms share.
        with_option: `with_option(seam, option)`: names of all components with the option, for a message.

    Raises:
        ConfigError: fewer than two arms, a value or seed twice, or an option that no arm's component has.
    """
    _check_distinct(axes, seeds)
    base, once = _options_given_once(base, axes)
    components = _product([axis for axis in axes if axis.seam is None])
    chosen: list[dict[str, Any]] = []
    for settings in components:
        layer = _layer(base, settings)
        applying = [axis for axis in axes if axis.seam is None or option_applies(axis, layer, has_option)]
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
    arms: list[Arm] = []
    taken: dict[tuple[str, str], list[str]] = {(option.seam, option.name): [] for option in once}
    for settings, slug in zip(ordered, slugs, strict=True):
        layer = _layer(base, settings)
        own = [option for option in once if has_option(option.seam, layer[option.seam]["name"], option.name)]
        for option in own:
            taken[option.seam, option.name].append(layer[option.seam]["name"])
        given = merge(layer, *({option.seam: {option.name: option.value}} for option in own))
        arms.append(Arm(name=settings_in_words(settings), slug=slug, settings=settings, layer=_layer(given, settings)))
    notes = [note for option in once if (note := _applies_to(option, taken[option.seam, option.name], len(arms)))]
    return Grid(axes=tuple(axes), arms=tuple(arms), seeds=tuple(seeds), notes=tuple(notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    """An option that is given once, of components whose name varies."""

    seam: str
    name: str
    value: Any
    is_for_a_named_component: bool
    """The settings name a component too: if no arm has that component, its option is left out."""


def _options_given_once(base: Layer, axes: Sequence[Axis]) -> tuple[Layer, list[_Option]]:
    """The layer without the options of components whose name varies, and these options."""
    once: list[_Option] = []
    rest = dict(base)
    for seam in SEAMS:
        section = base.get(seam)
        if isinstance(section, Mapping) and any(axis.key == f"{seam}.name" for axis in axes):
            is_named = "name" in section
            once += [
                _Option(seam=seam, name=name, value=value, is_for_a_named_component=is_named)
                for name, value in section.items()
                if name not in settings_of_every_component(seam)
            ]
            rest[seam] = {key: value for key, value in section.items() if key in settings_of_every_component(seam)}
    return rest, once


def _applies_to(option: _Option, components: Sequence[str], num_arms: int) -> str | None:
    """A note if an option does not apply to all arms.

    Raises:
        ConfigError: it applies to none.
    """
    key = f"{option.seam}.{option.name}"
    if not components and not option.is_for_a_named_component:
        raise ConfigError(f"{key} is set, but no arm's --{option.seam} has such an option: leave it out")
    if not components or len(components) == num_arms:
        return None
    return f"{key}={option.value} applies to {', '.join(dict.fromkeys(components))} only: the other arms have no {key}"


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


def option_applies(axis: Axis, layer: Layer, has_option: HasOption) -> bool:
    """Whether the layer's component has the option of this axis."""
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


if TYPE_CHECKING:
    YardstickKey = str
else:
    YardstickKey = Literal[tuple(yardstick.key for yardstick in COMPARED)]


DEFAULT_LOOKS = (3, 5, 8, 12, 20)
"""Numbers of seeds; fewer looks cost less of the chance to find a difference, more looks fewer seeds."""


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
    tune: dict[str, Any] = Field(default_factory=dict)
    """settings that every arm chooses for itself on the validation part: tune.train.lr = [1e-4, 3e-4, 1e-3]"""
    tune_seeds: Annotated[StrictInt, Field(ge=1)] = 2
    """runs of every value that is tuned, with seeds that the comparison does not use"""
    seeds: Annotated[StrictInt, Field(ge=1)] | tuple[Annotated[StrictInt, Field(ge=0)], ...] = 3
    """number of seeds, counted from `seed`, or a list of seeds"""
    until_decided: bool = False
    """add seeds until every comparison has a verdict"""
    looks: tuple[Annotated[StrictInt, Field(ge=2)], ...] = DEFAULT_LOOKS
    """with `until_decided`: numbers of seeds at which the arms are compared"""
    max_seeds: Annotated[StrictInt, Field(ge=2)] | None = None
    """with `until_decided`: the largest number of seeds; by default that of the last look"""
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

    @property
    def planned_looks(self) -> tuple[int, ...]:
        """Numbers of seeds of all looks; empty without `until_decided`.

        >>> AblateConfig(until_decided=True, max_seeds=10).planned_looks
        (3, 5, 8, 10)
        """
        if not self.until_decided:
            return ()
        most = max(self.looks) if self.max_seeds is None else self.max_seeds
        return (*sorted({number for number in self.looks if number < most}), most)


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
    table = [*(axis for axis in named if axis.values), *flat_axes(config.set)]
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


def flat_axes(table: Mapping[str, Any], prefix: str = "", *, of: str = "set") -> list[Axis]:
    """The axes of a nested table with a list of values under each key.

    Args:
        of: name of the table, for messages.
    """
    axes: list[Axis] = []
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            axes += flat_axes(value, f"{name}.", of=of)
        elif isinstance(value, list) and value:
            axes.append(Axis(key=full_key(name), values=tuple(value)))
        else:
            raise ConfigError(
                f"ablate.{of}.{name}: expected a list of values, found {value!r}; "
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
