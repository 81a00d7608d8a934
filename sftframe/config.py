"""A run's configuration: what can be set, how the layers are merged, and what is said about a bad value.

Layers, the strongest first: command-line flag, `--set section.key=value`, TOML file, the model backend's own
defaults, the defaults here. pydantic does the checking; this module turns its findings into one line that names the
key and the nearest known one. It knows no component: a component's options are checked against its own `Options`.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from sftframe.errors import ConfigError, suggestion

Layer = dict[str, Any]
"""A nested mapping of what one source sets, and nothing else."""


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Choice(Section):
    """A component's name; all other keys of its table are the component's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> Layer:
        """What is set for the component, not yet checked against its `Options`."""
        return dict(self.model_extra or {})


class DataConfig(Section):
    """Where the examples come from and how they are split."""

    source: str = "starter"
    """`starter` (bundled), `ch07` (downloaded), or a file: .json, .jsonl, .csv, .parquet"""
    fields: dict[Literal["instruction", "input", "output"], str] = Field(default_factory=dict)
    """names that the file uses for the three fields"""
    limit: int | None = Field(default=None, ge=1)
    """use the first N examples only"""
    shuffle_split: int | None = None
    """seed of a random split; without it the split is in file order"""


class TokensConfig(Section):
    """How rendered examples become tokens."""

    max_length: int | None = Field(default=None, ge=2)
    """longest example in tokens, end token included; without it the model's context length"""
    over_long: Literal["error", "drop", "truncate-prompt", "truncate-end"] = "error"
    """what happens to longer examples"""
    boundary: Literal["whole", "split"] = "whole"
    """`whole`: one tokenisation of prompt and answer; `split`: the two sides apart, at training and at inference"""


class TrainConfig(Section):
    """Fine-tuning. The defaults are the chapter's."""

    epochs: float = Field(default=2, gt=0)
    """passes over the training examples"""
    max_steps: int | None = Field(default=None, ge=1)
    """stop after this many optimizer steps, whatever `epochs` says"""
    batch_size: int = Field(default=8, ge=1)
    """examples per forward pass"""
    accumulate: int = Field(default=1, ge=1)
    """forward passes per optimizer step"""
    lr: float = Field(default=5e-5, gt=0)
    """AdamW's peak learning rate"""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's decoupled weight decay, on all parameters as in the chapter"""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay rates of the two moments"""
    eps: float = Field(default=1e-8, gt=0)
    """AdamW's term for numerical stability"""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """course of the learning rate after warm-up; linear and cosine end at 0"""
    warmup_steps: int = Field(default=0, ge=0)
    """steps in which the learning rate rises linearly"""
    clip_norm: float | None = Field(default=None, gt=0)
    """largest L2 norm of the gradients"""
    shuffle: bool = True
    """a new order in every epoch, a function of seed and epoch alone"""
    drop_last: bool = False
    """leave out an epoch's last batch when it is not full"""
    eval_every: int | None = Field(default=None, ge=1)
    """optimizer steps between evaluations; by default a tenth of the run"""
    eval_examples: int = Field(default=64, ge=1)
    """examples per evaluation, at most"""
    checkpoint_every: int | None = Field(default=None, ge=1)
    """optimizer steps between checkpoints; by default once an epoch"""
    keep_checkpoints: int = Field(default=1, ge=1)
    """how many checkpoints are kept"""


class GenerateConfig(Section):
    """How answers are written. The defaults are greedy."""

    max_new_tokens: int = Field(default=256, ge=1)
    """longest answer in tokens"""
    temperature: float = Field(default=0.0, ge=0)
    """0 = greedy"""
    top_k: int | None = Field(default=None, ge=1)
    """sample among the k most likely tokens"""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """sample among the most likely tokens that together reach this probability"""
    batch_size: int = Field(default=32, ge=1)
    """prompts that are written to at the same time"""
    on_overflow: Literal["error", "slide"] = "error"
    """`error`, or `slide`: forget the oldest tokens when the context is full"""


class RunConfig(Section):
    """All that a run can be told.

    >>> config = RunConfig(prompt="phi3", train={"epochs": 1})
    >>> config.prompt.name, config.train.lr
    ('phi3', 5e-05)
    """

    prompt: Choice = Choice(name="alpaca")
    """prompt style"""
    collate: Choice = Choice(name="mask-pad")
    """collate strategy"""
    model: Choice = Choice(name="gpt2-nano")
    """model backend"""
    judge: Choice = Choice(name="reference")
    """judge"""
    data: DataConfig = DataConfig()
    tokens: TokensConfig = TokensConfig()
    train: TrainConfig = TrainConfig()
    generate: GenerateConfig = GenerateConfig()
    before: bool = True
    """measure the untuned model too"""
    max_failures: float = Field(default=0.05, ge=0, le=1)
    """largest share of items that a judge may fail on"""
    seed: int = 123
    """of the data order, of random weights and of sampling"""
    out: Path | None = None
    """the run's folder; by default a new one under `runs/`"""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1` or `mps`"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """of the computation; bfloat16 is autocast over float32 weights"""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; by default the physical cores"""

    @field_validator("prompt", "collate", "model", "judge", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _partial_choices(cls, values: Any) -> Any:
        """A component's table may leave out the name: the default component is meant."""
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        for seam in ("prompt", "collate", "model", "judge"):
            chosen = filled.get(seam)
            if isinstance(chosen, Mapping) and "name" not in chosen:
                filled[seam] = {"name": cls.model_fields[seam].default.name, **chosen}
        return filled


def read_toml(path: Path) -> Layer:
    """The layer that a TOML file sets."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def parse_settings(settings: Iterable[str]) -> Layer:
    """The layer of `section.key=value` words; a value is read as TOML, or else taken as a string.

    >>> parse_settings(["train.lr=1e-3", "judge.model=llama3"])
    {'train': {'lr': 0.001}, 'judge': {'model': 'llama3'}}
    """
    layer: Layer = {}
    for setting in settings:
        path, sign, text = setting.partition("=")
        if not sign or not all(key.strip() for key in path.split(".")):
            raise ConfigError(f"--set {setting!r}: expected section.key=value, for instance train.lr=1e-4")
        layer = merge(layer, nested(path, _toml_value(text.strip())))
    return layer


def nested(key: str, value: Any) -> Layer:
    """The layer that sets one key.

    >>> nested("train.lr", 0.1)
    {'train': {'lr': 0.1}}
    """
    *sections, last = (part.strip() for part in key.split("."))
    layer: Layer = {last: value}
    for section in reversed(sections):
        layer = {section: layer}
    return layer


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def merge(*layers: Mapping[str, Any]) -> Layer:
    """Nested mappings laid over each other, the later the stronger. A component's other name drops its options.

    >>> merge({"judge": {"name": "ollama", "model": "llama3"}}, {"judge": "reference"})
    {'judge': {'name': 'reference'}}
    """
    merged: Layer = {}
    for layer in layers:
        for key, value in layer.items():
            value = {"name": value} if isinstance(merged.get(key), dict) and isinstance(value, str) else value
            under = merged.get(key)
            if isinstance(under, dict) and isinstance(value, Mapping):
                is_other = "name" in value and value["name"] != under.get("name", value["name"])
                merged[key] = dict(value) if is_other else merge(under, value)
            else:
                merged[key] = merge(value) if isinstance(value, Mapping) else value
    return merged


def validate(layer: Layer) -> RunConfig:
    """The configuration that the merged layers describe.

    Raises:
        ConfigError: an unknown key or a bad value, with the key's full name.
    """
    try:
        return RunConfig.model_validate(layer)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig)) from error


def build_options(owner: type[Any], values: Layer, section: str) -> Any:
    """A component's options from what a configuration sets for it.

    Args:
        owner: the component's class; its `Options` is a dataclass or a pydantic model.
        section: the seam's name, for messages.

    Raises:
        ConfigError: an unknown key or a bad value.
    """
    options = owner.Options
    known = option_fields(options)
    for key in values:
        if key not in known:
            raise ConfigError(f"{section}.{key}: {owner.name!r} has no option {key!r}{suggestion(key, known)}")
    try:
        return TypeAdapter(options).validate_python(values)
    except ValidationError as error:
        raise ConfigError(explain(error, options, prefix=(section,))) from error


def option_fields(options: type[Any]) -> dict[str, dict[str, Any]]:
    """Per option: its JSON schema (type, default, description, limits), in order of declaration."""
    properties: dict[str, dict[str, Any]] = TypeAdapter(options).json_schema().get("properties", {})
    return properties


def explain(error: ValidationError, model: type[Any], prefix: tuple[str, ...] = ()) -> str:
    """pydantic's first finding as one line: the key's full name, what was found, what was expected."""
    finding = error.errors(include_url=False)[0]
    path = (*prefix, *(str(part) for part in finding["loc"]))
    name = ".".join(path) or "configuration"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if finding["type"] == "extra_forbidden":
        known = _fields_at(model, path[len(prefix) : -1])
        return f"no configuration key {name!r}{suggestion(path[-1], known)}{more}"
    found = finding.get("input")
    expected = finding["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{name}: expected {expected}, found {found!r}{more}"


def _fields_at(model: type[Any], path: Iterable[str]) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    if dataclasses.is_dataclass(model):
        return [field.name for field in dataclasses.fields(model)]
    return list(model.model_fields)
