"""All that a run can be told, section by section, with types, ranges, defaults and a line of help each.

pydantic does the checking. Knows no component: what a component's own table may hold is for its `Options` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sftframe.config.layers import SEAMS, Layer

Decay = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base of all sections: immutable, an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _one_as_list(cls, values: Any) -> Any:
        """A single text where a list of texts belongs is the list's only member."""
        if not isinstance(values, Mapping):
            return values
        single = [name for name, value in values.items() if isinstance(value, str) and name in cls.model_fields]
        listed = [name for name in single if cls.model_fields[name].annotation in (tuple[str, ...], list[str])]
        return {**values, **{name: (values[name],) for name in listed}}


class Choice(Section):
    """A component's name; all other keys of its table are the component's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> Layer:
        """What is set for the component, not yet checked against its `Options`."""
        return dict(self.model_extra or {})


class JudgeChoice(Choice):
    """The judge's name, and what holds for every judge."""

    cache: bool = True
    """keep verdicts for later, and do not ask again for those that are kept"""


def _name_or_false(value: Any) -> Any:
    if value is not False and not isinstance(value, str):
        raise ValueError("the name of a field in the file, or false where there is no input")
    return value


FieldName = Annotated[str | Literal[False], BeforeValidator(_name_or_false)]


class DataConfig(Section):
    """Where the examples come from and how they are split."""

    source: str = "starter"
    """`starter` (bundled), `ch07` (downloaded), or a file: .json, .jsonl, .csv, .parquet"""
    fields: dict[Literal["instruction", "input", "output", "response"], FieldName] = Field(default_factory=dict)
    """names that the file uses for the three fields (`input = false`: there is no input), and in `judge FILE` for the
    answers: `model_response`"""
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


class LoraConfig(Section):
    """Low-rank adapters instead of all weights; merged before the model is saved."""

    rank: int = Field(default=16, ge=1)
    """width of the adapters"""
    alpha: int | None = Field(default=None, ge=1)
    """scale times rank; by default twice the rank"""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """dropout before the adapters"""
    targets: tuple[str, ...] = ()
    """last names of the linear maps that get one, for instance c_attn; by default all"""


class TrainConfig(Section):
    """Fine-tuning. The defaults are the chapter's."""

    epochs: float = Field(default=2, gt=0, le=1e6)
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
    betas: tuple[Decay, Decay] = (0.9, 0.999)
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
    patience: int | None = Field(default=None, ge=1)
    """stop after this many evaluations without a lower response NLL"""
    select: Literal["last", "best"] | None = None
    """the model gets the `last` weights, or the `best`: with the lowest response NLL; by default best with patience"""
    keep_best: bool = False
    """keep the weights of the best evaluation beside the checkpoints, whichever become the model"""
    lora: LoraConfig | None = None
    """train low-rank adapters only: train.lora.rank=16"""
    gradient_checkpointing: bool = False
    """compute activations again in the backward pass: less memory, about a third more time"""
    compact: bool = True
    """leave out what cannot matter in a batch; the loss and its gradients stay the same"""
    log_every: int | None = Field(default=None, ge=1)
    """optimizer steps whose losses are read from the device together; by default 10 on a CUDA device, else 1"""
    compile: bool = False
    """let torch compile the layers, for any lengths; takes a minute or so at the start, needs a C++ compiler"""
    eval_every: int | None = Field(default=None, ge=1)
    """optimizer steps between evaluations; by default a tenth of the run"""
    eval_examples: int = Field(default=64, ge=1)
    """examples per evaluation, at most"""
    checkpoint_every: int | None = Field(default=None, ge=1)
    """optimizer steps between checkpoints; by default once an epoch, at most ten in a run"""
    keep_checkpoints: int = Field(default=2, ge=1)
    """how many checkpoints are kept; with two, the one before is there when the last is damaged"""

    @property
    def selects_best(self) -> bool:
        """Whether the best weights become the model, not the last."""
        return self.select == "best" or (self.select is None and self.patience is not None)

    @property
    def keeps_best(self) -> bool:
        """Whether the best weights are kept as training goes on."""
        return self.keep_best or self.selects_best


def _workable(temperature: float) -> float:
    if 0 < temperature < 0.001:
        raise ValueError("0, or 0.001 or more: logits divided by less are no longer finite")
    return temperature


class GenerateConfig(Section):
    """How answers are written. The defaults are greedy."""

    max_new_tokens: int = Field(default=256, ge=1)
    """longest answer in tokens"""
    temperature: Annotated[float, AfterValidator(_workable)] = Field(default=0.0, ge=0)
    """0 = greedy; else 0.001 or more"""
    top_k: int | None = Field(default=None, ge=1)
    """sample among the k most likely tokens"""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """sample among the most likely tokens that together reach this probability"""
    batch_size: int | None = Field(default=None, ge=1)
    """prompts that are written to at the same time; by default what is fastest within `max_cache_bytes`"""
    max_cache_bytes: int = Field(default=2 * 2**30, ge=1)
    """memory for keys and values of the tokens before; lower it when answering runs out of memory"""
    on_overflow: Literal["error", "slide"] = "error"
    """`error`, or `slide`: forget the oldest tokens when the context is full"""
    lookup: Literal["auto", "on", "off"] = "auto"
    """guess tokens from the text so far and check several at once, greedy only; `auto` = where an answer is alone"""


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
    judge: JudgeChoice = JudgeChoice(name="reference")
    """judge"""
    data: DataConfig = DataConfig()
    tokens: TokensConfig = TokensConfig()
    train: TrainConfig = TrainConfig()
    generate: GenerateConfig = GenerateConfig()
    before: bool = True
    """measure the untuned model too"""
    max_failures: float = Field(default=0.05, ge=0, le=1)
    """largest share of items that a judge may fail on"""
    seed: int = Field(default=123, ge=0, lt=2**63)
    """of the data order, of random weights and of sampling"""
    out: Path | None = None
    """the run's folder; by default a new one under `runs/`"""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1` or `mps`"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """of the computation; bfloat16 is autocast over float32 weights"""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads; by default the physical cores"""

    @field_validator(*SEAMS, mode="before")
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
        for seam in SEAMS:
            chosen = filled.get(seam)
            if isinstance(chosen, Mapping) and "name" not in chosen:
                filled[seam] = {"name": cls.model_fields[seam].default.name, **chosen}
        return filled
