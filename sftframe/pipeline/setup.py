"""What a run is made of: resolved settings, components, data; and all checks before the first step."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from sftframe.config import Choice, ChosenComponent, Layer, RunConfig, merge, option_fields, validate
from sftframe.data import Dataset, Split, load_examples, split
from sftframe.device import ProcessSetup, check_compiler, choose_device
from sftframe.distributed import Place
from sftframe.errors import ConfigError, DataError, ModelError, PluginError, SftframeError, TrainingError
from sftframe.inference import generation_settings
from sftframe.plugins import RUN_SEAMS, CausalLM, CollateStrategy, Judge, ModelBackend, PromptStyle, Tokenizer
from sftframe.plugins.decoding import check_fits
from sftframe.progress import Observer
from sftframe.prompts import OWN, OwnTemplate, prompt_file
from sftframe.prompts.tokens import (
    LengthReport,
    TokenStore,
    UnwrittenError,
    encode_prompts,
    tokenize,
    what_helps_over_long,
    writes,
)
from sftframe.records import Example
from sftframe.registry import Registry, Seam

if TYPE_CHECKING:
    from sftframe.distributed.ranks import Ranks


def resolve(layer: Layer, registry: Registry) -> RunConfig:
    """The configuration of merged layers, on top of the defaults that the chosen model backend proposes.

    Its values are checked once, here.

    Raises:
        ConfigError: an unknown key, component or option, a bad value, or a prompt style's file that is not valid.
        PluginError: the backend's defaults are no valid configuration.
    """
    named = with_own_defaults(layer, registry)
    backend = _backend(named, registry)
    try:
        config = validate(merge(_proposed(backend), named))
    except ConfigError:
        _check_proposed(backend)
        raise
    return _with_kept_prompt(_with_own_prompt(config, registry, is_chosen=chooses_prompt(layer)), registry)


def with_own_defaults(layer: Layer, registry: Registry) -> Layer:
    """The layer with every component named; one that nobody chose is sftframe's own, even if another plugin offers its
    name. Values are not checked.
    """
    named = merge(layer)
    for seam in RUN_SEAMS:
        chosen = named.get(seam.value)
        if chosen is None or (isinstance(chosen, Mapping) and "name" not in chosen):
            default = RunConfig.model_fields[seam.value].get_default(call_default_factory=True).name
            named = merge({seam.value: {"name": registry.default(seam, default)}}, named)
    return named


def _backend(named: Layer, registry: Registry) -> type[ModelBackend]:
    """The class of the chosen model backend; where its name is wrong, an error in the settings is told first."""
    chosen = named[Seam.MODEL.value]
    name = chosen.get("name") if isinstance(chosen, Mapping) else None
    try:
        backend = registry.find(Seam.MODEL, name if isinstance(name, str) else validate(named).model.name)
    except (ConfigError, PluginError):
        validate(named)
        raise
    assert issubclass(backend, ModelBackend)
    return backend


def _proposed(backend: type[ModelBackend]) -> Layer:
    return {section: dict(values) for section, values in backend.defaults.items()}


def _check_proposed(backend: type[ModelBackend]) -> None:
    try:
        validate(_proposed(backend))
    except ConfigError as error:
        raise PluginError(f"model backend {backend.name!r} proposes a default that is not valid: {error}") from error


def chooses_prompt(layer: Layer) -> bool:
    """Whether a layer names a prompt style."""
    chosen = layer.get(Seam.PROMPT.value)
    return chosen is not None and (not isinstance(chosen, Mapping) or "name" in chosen)


def _with_own_prompt(config: RunConfig, registry: Registry, *, is_chosen: bool) -> RunConfig:
    """Take the model's own chat template if it has one and no other style is chosen."""
    if (is_chosen and config.prompt.name != OWN) or "content" in config.prompt.options:
        return config
    content = _own_template(config, registry)
    if content is not None:
        return config.model_copy(update={"prompt": Choice(name=OWN, **{**config.prompt.options, "content": content})})
    if is_chosen:
        raise ConfigError(
            f"--prompt {OWN}: model {config.model.name} has no chat template of its own; choose another style with "
            "--prompt, for instance alpaca"
        )
    return config


def _own_template(config: RunConfig, registry: Registry) -> str | None:
    """The model's own chat template as a run keeps it; None if the model has none."""
    backend = registry.find(Seam.MODEL, config.model.name)
    assert issubclass(backend, ModelBackend)
    if backend.tokenizer_folder is ModelBackend.tokenizer_folder:
        return None  # most backends: none is made, since that may take time
    folder = registry.model_backend(config.model.name, config.model.options).tokenizer_folder()
    return None if folder is None else OwnTemplate.text_in(folder)


def _with_kept_prompt(config: RunConfig, registry: Registry) -> RunConfig:
    """Add the text of a prompt style's file to the options, so that the run does not need the file again."""
    if prompt_file(config.prompt.name) is None and config.prompt.name != OWN:
        return config
    style = registry.prompt_style(config.prompt.name, config.prompt.options)
    return config.model_copy(update={"prompt": Choice(name=style.name, **asdict(style.options))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The chosen pieces, with their options checked."""

    style: PromptStyle
    strategy: CollateStrategy
    backend: ModelBackend
    judge: Judge
    tokenizer: Tokenizer
    registry: Registry | None = None
    """Where they were chosen from; with it a message can name others."""

    @classmethod
    def choose(cls, config: RunConfig, registry: Registry, *, saved: Path | None = None) -> Components:
        """Make the pieces that the configuration names.

        Args:
            saved: a run's `model/`; its tokenizer is used.

        Raises:
            ConfigError: a component or option that does not exist.
            ModelError: no tokenizer.
        """
        style = registry.prompt_style(config.prompt.name, config.prompt.options)
        backend = registry.model_backend(config.model.name, config.model.options)
        judge = registry.judge(config.judge.name, config.judge.options)
        registry.find(Seam.COLLATE, config.collate.name)  # a wrong name is reported before a vocabulary is fetched
        tokenizer = backend.tokenizer(saved)
        strategy = registry.collate_strategy(config.collate.name, config.collate.options, pad_id=tokenizer.end_id)
        return cls(style=style, strategy=strategy, backend=backend, judge=judge, tokenizer=tokenizer, registry=registry)

    def styles_that_write(self, example: Example) -> list[str]:
        """Names of the installed prompt styles that write all that an example has, with their default options."""
        names = [] if self.registry is None else self.registry.names(Seam.PROMPT)
        found = []
        for name in names:
            with suppress(SftframeError):
                assert self.registry is not None
                found += [name] if writes(self.registry.prompt_style(name), example) else []
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """The data of a run: examples, their split and their tokens."""

    dataset: Dataset
    split: Split
    lengths: LengthReport
    train: TokenStore
    validation: TokenStore
    test: TokenStore
    shortened: Mapping[int, Example] = field(default_factory=dict)
    """By index the examples whose input was shortened because they were too long."""

    def asked(self, examples: Iterable[Example]) -> list[Example]:
        """The examples as the model sees them, in training and when it answers."""
        return [self.shortened.get(example.index, example) for example in examples]

    def test_examples(self) -> list[Example]:
        """The test examples that were not dropped for their length."""
        kept = set(self.test.indices)
        return [example for example in self.split.test if example.index in kept]

    def sample_example(self) -> Example:
        """The validation example that is answered at every evaluation: the first one that was not dropped."""
        kept = set(self.validation.indices)
        return next(example for example in self.split.validation if example.index in kept)

    def references(self) -> Mapping[int, str]:
        """The data's own outputs by example index."""
        return {example.index: example.output for example in self.dataset.examples}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A checked configuration with all that it names."""

    config: RunConfig
    registry: Registry
    components: Components
    prepared: PreparedData
    device: str
    """A torch device."""
    process: ProcessSetup
    """Changes to the process's threads, and other processes that use the cores."""
    ranks: Ranks | None = None
    """The other processes that train together with this one; None = it is alone."""


def prepare_data(
    config: RunConfig,
    components: Components,
    observer: Observer,
    *,
    saved: Path | None = None,
    is_begun: bool = False,
    unread: Collection[str] = (),
    cuts_beginning: bool = False,
    loaded: tuple[Dataset, Split] | None = None,
) -> PreparedData:
    """Load, split and tokenise.

    Args:
        saved: a run's `model/`; its tokenizer and context are used.
        is_begun: a run was started with these data; see `load_examples`.
        unread: as in `load_examples`.
        cuts_beginning: the run was started when `truncate-prompt` still cut the beginning of a prompt.
        loaded: the result of `load_parts`, if there is one.

    Raises:
        DataError: a file, an entry or a length that cannot be used.
    """
    dataset, parts = loaded or load_parts(config, observer, is_begun=is_begun, unread=unread)
    used = (*parts.train, *parts.test, *parts.validation)
    context_length = components.backend.context_length(saved)
    shortened: dict[int, Example] = {}
    observer.begin("tokens", len(used), "examples")
    with naming_other_styles(components):
        store, lengths = tokenize(
            sorted(used, key=lambda example: example.index),
            components.style,
            components.tokenizer,
            config.tokens,
            context_length=context_length,
            on_examples=observer.advance,
            on_shortened=lambda example: shortened.update({example.index: example}),
            cuts_beginning=cuts_beginning,
            counted_turns=config.collate.turns,
        )
    observer.end()
    kept = {
        label: store.select([example.index for example in part])
        for label, part in (("train", parts.train), ("test", parts.test), ("validation", parts.validation))
    }
    for label, examples in kept.items():
        if not len(examples):
            ways = what_helps_over_long(
                lengths.max_length,
                context_length,
                config.tokens.over_long,
                has_conversations=any(example.turns for example in used),
            )
            raise DataError(
                f"{dataset.source}: no {label} example is left, all of them are over {lengths.max_length} tokens and "
                f"were dropped: {ways}"
            )
    return PreparedData(dataset=dataset, split=parts, lengths=lengths, shortened=shortened, **kept)


@contextmanager
def naming_other_styles(components: Components) -> Iterator[None]:
    """Tell, where the style does not write all that the data have, which installed ones do."""
    try:
        yield
    except DataError as error:
        cause = error.__cause__
        if not isinstance(cause, UnwrittenError):
            raise
        names = components.styles_that_write(cause.example)
        can = f"these write all of it: {', '.join(names)}" if names else "no installed style writes all of it"
        raise DataError(f"{error}; {can}; {cause.way_out}") from error


def load_parts(
    config: RunConfig, observer: Observer, *, is_begun: bool = False, unread: Collection[str] = ()
) -> tuple[Dataset, Split]:
    """Load and split; nothing is tokenised. See `prepare_data`.

    Raises:
        DataError: a file or an entry that cannot be used.
    """
    observer.begin("data", None, "bytes")
    dataset = load_examples(
        config.data,
        report=observer.note,
        on_bytes=lambda done, _total: observer.advance(0, bytes=done),
        on_lost_inputs=observer.warn if is_begun else None,
        unread=unread,
    )
    parts = split(dataset, config.data)
    observer.end()
    return dataset, parts


def place_of(ranks: Ranks | None) -> Place:
    """The place of this process among all that work on a run."""
    return Place() if ranks is None else ranks.place


def with_global_batch(config: RunConfig, place: Place) -> RunConfig:
    """The configuration with the batch size of all processes together, which the run keeps if their number changes."""
    settings = config.train
    if not settings.per_rank:
        return config
    changes = {"batch_size": settings.batch_size * place.world_size, "per_rank": False}
    return config.model_copy(update={"train": settings.model_copy(update=changes)})


def check_answers_fit(config: RunConfig, components: Components, prepared: PreparedData, context_length: int) -> None:
    """Check early that every prompt leaves room for its answer.

    Raises:
        ModelError: one does not, and the context may not slide.
    """
    asked = [*prepared.test_examples(), prepared.sample_example()]
    prompts = encode_prompts(
        prepared.asked(asked), components.style, components.tokenizer, boundary=config.tokens.boundary
    )
    settings = generation_settings(config.generate, components.style, components.tokenizer, seed=config.seed)
    labels = [f"the prompt of example {example.index}" for example in asked]
    try:
        check_fits(prompts, settings, context_length, labels=labels)
    except ModelError as error:
        room = context_length - settings.max_new_tokens
        if room < 2 or not all(prompts):
            raise
        raise ModelError(
            f"{error}, or cut long inputs with --set tokens.over_long=truncate-prompt --max-length {room}"
        ) from error


def check_first_step(config: RunConfig, components: Components, prepared: PreparedData) -> None:
    """Check early, on the first step's rows, that the collate strategy makes what it promises.

    Raises:
        DataError: a row in which nothing counts.
        PluginError: the strategy broke a promise.
    """
    from sftframe.training import StepLoader, check_promise  # imports torch

    check_last_answers(config, components, prepared)
    loader = StepLoader(prepared.train, components.strategy, config.train, seed=config.seed)
    next(loader.steps())
    check_promise(components.strategy, loader.counts)


def check_last_answers(config: RunConfig, components: Components, prepared: PreparedData) -> None:
    """Check early that `collate.turns=last` leaves something to train on where the last answer has the weight 0.

    Raises:
        DataError: it does not.
    """
    if config.collate.turns != "last":
        return
    from sftframe.training import collate  # imports torch

    unweighted = {example.index: example for example in prepared.dataset.examples if not example.weight}
    stores = (prepared.train, prepared.test, prepared.validation)
    found = sorted(index for store in stores for index in store.indices if index in unweighted)
    if not found:
        return
    example = unweighted[found[0]]
    rows = [row for store in stores for row in store.select(found[:1])]
    try:
        collate(components.strategy, rows)
    except DataError as error:
        weights = ", ".join(f"{weight:g}" for weight in (*(turn.weight for turn in example.turns), example.weight))
        raise DataError(
            f"{prepared.dataset.source}: {len(found):,} of {sum(map(len, stores)):,} examples end in an answer with "
            f"the weight 0 (the first is example {example.index}; weights of its answers: {weights}): with "
            f"collate.turns=last and collate strategy {components.strategy.name!r} nothing of them counts. Set "
            "collate.turns=all, or end these conversations with their last answer that counts, or read the last "
            "exchanges alone without these with data.turns=last and data.invalid=drop"
        ) from error


def check_resources(config: RunConfig, components: Components, *, needs_judge: bool) -> str:
    """Check early that device, packages, weights and, if needed, the judge are there.

    Returns:
        The torch device.
    """
    device = choose_device(config.device)
    if config.train.lora is not None:
        from sftframe.training import check_lora_package  # imports torch

        check_lora_package()
    if config.train.compile:
        check_compiler(device)
    components.backend.check()
    if needs_judge:
        components.judge.check()
    return device


def check_memory(
    config: RunConfig, backend: ModelBackend, *, longest: int, device: str, place: Place | None = None
) -> None:
    """Check that weights, gradients, AdamW's moments and activations fit.

    Args:
        longest: tokens of the longest training example.
        place: of this process among several; each has a part of weights, gradients and moments, and of the rows.

    Raises:
        TrainingError: they do not, by the backend's own estimate.
    """
    settings, place = config.train, place or Place()
    num_rows = math.ceil(settings.batch_size / place.world_size)
    needed = needed_memory(config, backend, num_rows * longest)
    free = free_memory(device, place)
    if needed is not None and not place.is_alone:
        needed -= (needed_memory(config, backend, 0) or 0) * (place.world_size - 1) // place.world_size
    if needed is None or needed <= free:
        return
    raise TrainingError(
        f"{config.model.name} in float32 with AdamW and batches of {num_rows} x {longest} tokens needs "
        f"about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free: lower --batch-size (and raise "
        "train.accumulate), set train.gradient_checkpointing=true or train.lora.rank=16, choose a smaller model, or "
        "continue with --skip-memory-check"
    )


def disk_bytes(model: CausalLM, config: RunConfig) -> int:
    """Disk that a run takes for its model and its checkpoints; all else is small."""
    num_bytes = sum(p.numel() * p.element_size() for p in model.module.parameters())
    # a checkpoint has weights and both of AdamW's moments; a new one is written before an old one is deleted
    kept = config.train.keep_checkpoints
    num_checkpoints = kept + 1 if kept else 0
    num_copies = 1 + 3 * num_checkpoints + (num_checkpoints or 2 if config.train.keeps_best else 0)
    return num_bytes * num_copies


def needed_memory(config: RunConfig, backend: ModelBackend, num_positions: int) -> int | None:
    """About how much memory a training step takes in one process; None = not known.

    Args:
        num_positions: rows times positions of a batch.
    """
    return backend.training_bytes(
        num_positions,
        trains_all=config.train.lora is None,
        is_recomputing=config.train.gradient_checkpointing,
    )


def free_memory(device: str, place: Place | None = None) -> int:
    """Bytes that a program may still take on a device; of the CPU's memory its share, where several run."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available) // (place or Place()).local_world_size


def chosen_components(layer: Layer, registry: Registry) -> dict[str, ChosenComponent]:
    """By seam the component that a configuration chooses, with its options and its rivals.

    Raises:
        ConfigError: a name that no plugin offers.
    """
    config = validate(with_own_defaults(layer, registry))
    found = {}
    for seam in RUN_SEAMS:
        name = getattr(config, seam.value).name
        component = registry.find(seam, name)
        found[seam.value] = ChosenComponent(
            name=name,
            summary=component.summary,
            others=tuple(other for other in registry.names(seam) if other != name),
            options=option_fields(component.Options),
        )
    return found


def backend_defaults(layer: Layer, registry: Registry) -> Mapping[str, Mapping[str, Any]]:
    """What the chosen model backend proposes, by section and key. Raises as `chosen_components`."""
    return _backend(with_own_defaults(layer, registry), registry).defaults
