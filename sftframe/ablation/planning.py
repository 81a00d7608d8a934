"""Plans an ablation from a request: its arms are checked before the first run, and their time is estimated."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Protocol

from sftframe.ablation.grid import (
    AblateConfig,
    Arm,
    Axis,
    Grid,
    HasOption,
    Request,
    flat_axes,
    make_grid,
    option_applies,
    read_request,
    seeds_from,
)
from sftframe.ablation.tuning import SEEDS_FROM, candidates, check_tunable, with_settings
from sftframe.config import Layer, option_fields
from sftframe.data import absolute_source, load_examples, split
from sftframe.device import choose_device, set_up_threads
from sftframe.errors import ConfigError, suggestion
from sftframe.pipeline import Components, about_turns, check_resources, chooses_prompt, prepare_data, resolve
from sftframe.plugins import SEAMS
from sftframe.progress import Observer
from sftframe.prompts import OWN, file_style, prompt_file
from sftframe.registry import Registry, Seam
from sftframe.training import training_parts

_UNVARIED = {
    "data": "arms are compared on the same items, so all arms use the same data",
    "seed": "seeds are not arms: every arm is run with all seeds, see --seeds",
    "judge": "scores of different judges cannot be compared, so an ablation has one judge",
    "out": "every run has its own folder inside the ablation's folder",
    "before": "it does not change the fine-tuned model",
    "max_failures": "it does not change the fine-tuned model",
}
"""Keys that no axis may vary, and why."""
_CHANGES_WEIGHTS = ("model.",)
_CHANGES_ORDER = tuple(
    f"train.{key}" for key in ("batch_size", "accumulate", "epochs", "max_steps", "shuffle", "drop_last", "patience")
)


class HasError(Protocol):
    """A cell's state."""

    @property
    def error(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A grid in which every arm can be run."""

    config: AblateConfig
    base: Layer
    grid: Grid
    tried: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    """By slug of an arm the settings among which it chooses; arms that choose nothing are left out."""
    tune_seeds: tuple[int, ...] = ()
    """Seeds for that choice."""

    @property
    def num_seeds(self) -> tuple[int, int]:
        """The smallest and the largest number of seeds that it may take; both the same without `until_decided`."""
        now = len(self.grid.seeds)
        return now, max(now, *self.config.planned_looks, 0)

    @property
    def designed_differences(self) -> Mapping[str, str]:
        """Pairing hashes that an axis changes on purpose, with the axis."""
        differing = {}
        for axis in (*self.grid.axes, *flat_axes(self.config.tune, of="tune")):
            if axis.key.startswith(_CHANGES_WEIGHTS):
                differing["initial_weights"] = axis.label
            if axis.key in _CHANGES_ORDER:
                differing["order"] = axis.label
        return differing

    def document(self) -> dict[str, Any]:
        """The plan as a configuration file, for `read_plan`."""
        values = {axis.key: list(axis.values) for axis in self.grid.axes}
        named = {key.removesuffix(".name"): listed for key, listed in values.items() if key.endswith(".name")}
        other = {key: listed for key, listed in values.items() if not key.endswith(".name")}
        table = self.config.model_dump(mode="json", exclude_none=True, exclude={"prompt", "collate", "model", "set"})
        base = _toml_value(self.base)
        for key in ("source", "test", "validation"):
            if key in base.get("data", {}):
                base["data"][key] = absolute_source(base["data"][key])
        return {**base, "ablate": {**table, **named, "seeds": list(self.grid.seeds), "set": other}}


def make_plan(request: Request, registry: Registry, *, is_run: bool = True) -> Plan:
    """Check everything that can be checked cheaply.

    Args:
        is_run: whether its cells will be run. A report needs neither data nor judge.

    Raises:
        ConfigError: a setting cannot be varied, an arm's configuration is wrong, or there is nothing to compare.
        SftframeError: a component, the device, a weight file or the judge is not there.
    """
    for axis in request.axes:
        section = axis.key.partition(".")[0]
        if section in _UNVARIED:
            raise ConfigError(f"{axis.label} cannot be varied: {_UNVARIED[section]}")

    def has_option(seam: str, component: str, option: str) -> bool:
        return option in option_fields(registry.find(Seam(seam), component).Options)

    varied = {axis.key.removesuffix(".name") for axis in request.axes if axis.key.endswith(".name")}
    base = _with_named_components(request.base, registry, varied)
    seeds = seeds_from(_first_seeds(request.config), resolve(base, registry).seed)
    grid = make_grid(
        base, request.axes, seeds, has_option, lambda seam, option: registry.names_with_option(Seam(seam), option)
    )
    baseline, names = request.config.baseline, [arm.name for arm in grid.arms]
    if baseline is not None and baseline not in names:
        raise ConfigError(f"ablate.baseline: no arm {baseline!r}{suggestion(baseline, names)}")
    texts = _prompt_texts(request)
    grid = replace(grid, arms=tuple(_with_prompt_text(arm, texts) for arm in grid.arms))
    if is_run:
        is_open = "model" in varied and "prompt" not in varied and not chooses_prompt(request.base)
        grid = replace(grid, arms=tuple(_with_own_prompt(arm, registry, is_open=is_open) for arm in grid.arms))
    tuned = flat_axes(request.config.tune, of="tune")
    check_tunable(tuned, request.axes, base)
    tried = _tried(grid, tuned, has_option)
    if is_run:
        grid = replace(grid, notes=(*grid.notes, *_check_arms(grid.arms, registry)))
        for arm in grid.arms:
            for settings in tried.get(arm.slug, ()):
                resolve(with_settings(arm, settings).layer, registry)
    return Plan(
        config=request.config.model_copy(update={"prompt_texts": texts}),
        base=base,
        grid=grid,
        tried=tried,
        tune_seeds=_tune_seeds(request.config, resolve(base, registry).seed, seeds) if tried else (),
    )


def _tried(grid: Grid, tuned: Sequence[Axis], has_option: HasOption) -> dict[str, tuple[dict[str, Any], ...]]:
    """What each arm chooses among: options that its components do not have are left out.

    Raises:
        ConfigError: a key that no arm has.
    """
    own = {
        arm.slug: [axis for axis in tuned if axis.seam is None or option_applies(axis, arm.layer, has_option)]
        for arm in grid.arms
    }
    unused = next((axis.key for axis in tuned if not any(axis in axes for axes in own.values())), None)
    if unused is not None:
        raise ConfigError(f"{unused} is tuned, but no arm's component has such an option: leave it out")
    return {slug: tuple(candidates(axes)) for slug, axes in own.items() if axes}


def _tune_seeds(config: AblateConfig, base_seed: int, seeds: Sequence[int]) -> tuple[int, ...]:
    found = tuple(base_seed + SEEDS_FROM + number for number in range(config.tune_seeds))
    twice = next((seed for seed in found if seed in seeds), None)
    if twice is not None:
        raise ConfigError(f"seed {twice} is used for tuning, so the comparison cannot use it: choose another seed")
    return found


def _first_seeds(config: AblateConfig) -> int | tuple[int, ...]:
    """The seeds of the plan; where seeds are added until it is decided, those of the first look."""
    if not config.until_decided:
        return config.seeds
    if "seeds" not in config.model_fields_set:
        return config.planned_looks[0]
    if isinstance(config.seeds, int):
        raise ConfigError(
            f"seeds: {config.seeds} seeds and until_decided contradict each other: leave one of them out; looks and "
            "max_seeds say how many seeds there are at first and at most"
        )
    return config.seeds  # of an ablation that exists


def read_plan(document: Mapping[str, Any], registry: Registry, *, is_run: bool = True) -> Plan:
    """The plan in a `Plan.document`. Raises as `make_plan`."""
    return make_plan(read_request(dict(document)), registry, is_run=is_run)


def _with_named_components(base: Layer, registry: Registry, varied: Collection[str]) -> Layer:
    """The layer with its components' names written out, so that an option is always that of a named component.

    Args:
        varied: seams whose component is another one in each arm; they get no name here.
    """
    config = resolve(base, registry)
    named = {seam: {"name": getattr(config, seam).name} for seam in SEAMS if seam not in varied}
    whole = {**base, **{seam: {**name, **base.get(seam, {})} for seam, name in named.items()}}
    return {**whole, "prompt": config.prompt.model_dump(mode="json")} if _has_text(config.prompt.name) else whole


def _has_text(prompt: str) -> bool:
    """Whether a prompt style is a text that a run keeps."""
    return prompt == OWN or prompt_file(prompt) is not None


def _prompt_texts(request: Request) -> dict[str, str]:
    """By name the text of every prompt style's file, as it was when the ablation started; all arms use this text."""
    known, texts = request.config.prompt_texts, {}
    for name in (value for axis in request.axes if axis.key == "prompt.name" for value in axis.values):
        file = prompt_file(name)
        if file is not None:
            texts[name] = known.get(name) or file_style(file).read()
    return texts


def _with_prompt_text(arm: Arm, texts: Mapping[str, str]) -> Arm:
    style = arm.layer["prompt"]
    if style["name"] not in texts:
        return arm
    return replace(arm, layer={**arm.layer, "prompt": {**style, "content": texts[style["name"]]}})


def _with_own_prompt(arm: Arm, registry: Registry, *, is_open: bool) -> Arm:
    """The arm with the text of its model's own chat template, if that is its prompt style.

    Args:
        is_open: no style is chosen, so each model takes its own template if it has one.
    """
    style = arm.layer["prompt"]
    if not is_open and (style["name"] != OWN or "content" in style):
        return arm
    given = {key: value for key, value in style.items() if key != "name" or not is_open}
    config = resolve({**arm.layer, "prompt": given}, registry)
    if config.prompt.name != OWN:
        return arm
    return replace(arm, layer={**arm.layer, "prompt": config.prompt.model_dump(mode="json")})


def _check_arms(arms: tuple[Arm, ...], registry: Registry) -> list[str]:
    """Check that every arm can be run; what is to be said about the data of all."""
    configs = []
    checked: set[tuple[str, str]] = set()
    for arm in arms:
        try:
            config = resolve(arm.layer, registry)
            configs.append(config)
            components = Components.choose(config, registry)
            asked = (str(config.model), str(config.judge))
            if asked not in checked:
                check_resources(config, components, needs_judge=True)
            checked.add(asked)
        except ConfigError as error:
            raise ConfigError(f"arm {arm.name}: {error}") from error
    data = configs[0].data  # the same for all arms
    dataset = load_examples(data)
    split(dataset, data)
    is_varied = len({config.collate.turns for config in configs}) > 1
    return [] if is_varied else list(about_turns(configs[0], dataset, strategy="every arm's strategy"))


def _toml_value(layer: Any) -> Any:
    """A layer in TOML's types."""
    if isinstance(layer, Mapping):
        return {key: _toml_value(value) for key, value in layer.items() if value is not None}
    if isinstance(layer, list | tuple):
        return [_toml_value(value) for value in layer]
    return layer if isinstance(layer, str | int | float | bool) else str(layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What is left to run; two figures each: with the smallest and with the largest number of seeds."""

    num_arms: int
    num_seeds: tuple[int, int]
    num_runs: tuple[int, int]
    """Without those that are complete."""
    num_tuning_runs: int
    """With which every arm chooses its settings; those that were run are counted too."""
    training_s: tuple[float, float]
    """Judging by the first steps of the first arm; answers and verdicts come on top."""


def cost(plan: Plan, registry: Registry, cells: Sequence[HasError] = ()) -> Cost:
    """What a plan costs; a few steps are trained, and nothing is written.

    Args:
        cells: of an ablation that exists; those without an error are complete.

    Raises:
        SftframeError: the first arm's run could not be started.
    """
    num_done = sum(not one.error for one in cells)
    fewest, most = (len(plan.grid.arms) * number - num_done for number in plan.num_seeds)
    num_tuning = sum(len(tried) for tried in plan.tried.values()) * len(plan.tune_seeds)
    seconds = estimated_training_s(plan.grid.arms[0].layer, registry) if most or num_tuning else 0.0
    return Cost(
        num_arms=len(plan.grid.arms),
        num_seeds=plan.num_seeds,
        num_runs=(fewest, most),
        num_tuning_runs=num_tuning,
        training_s=((num_tuning + fewest) * seconds, (num_tuning + most) * seconds),
    )


NUM_STEPS = 4
"""Number of steps; the first one is slower and does not count."""


def estimated_training_s(layer: Layer, registry: Registry) -> float:
    """Seconds that the training of a run would take; nothing is written.

    Raises:
        SftframeError: the run could not be started.
    """
    config = resolve(layer, registry)
    components = Components.choose(config, registry)
    set_up_threads(config.threads)
    prepared = prepare_data(config, components, Observer())
    model = components.backend.load(device=choose_device(config.device), dtype="float32", seed=config.seed)
    parts = training_parts(model, prepared.train, components.strategy, config)
    trainer = parts.trainer
    seconds = []
    for data in itertools.islice(parts.steps(), NUM_STEPS):
        before = trainer.last.seconds if trainer.last else 0.0
        seconds.append(trainer.step(data).seconds - before)
    return median(seconds[1:] or seconds) * parts.loader.num_steps
