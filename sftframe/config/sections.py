"""All settings of a run by section, with types, ranges, defaults and a line of help. pydantic checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sftframe.config.layers import Layer
from sftframe.plugins import SEAMS

Decay = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base of all sections: immutable; unknown keys and numbers that are not finite are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _one_as_list(cls, values: Any) -> Any:
        """Make a single text the only item of a list of texts."""
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
        """The component's options, not yet checked against its `Options`."""
        return dict(self.model_extra or {})


class CollateChoice(Choice):
    """The collate strategy's name, and the setting of every strategy."""

    turns: Literal["all", "last"] = "all"
    """which answers of a conversation count as the strategy says: all of them, or the last one alone"""


class JudgeChoice(Choice):
    """The judge's name, and the settings of every judge."""

    cache: bool = True
    """keep verdicts and use them again, instead of asking the judge again"""


def _name_or_false(value: Any) -> Any:
    if value is not False and not isinstance(value, str):
        raise ValueError("the name of a field in the file, or false where there is no input")
    return value


FieldName = Annotated[str | Literal[False], BeforeValidator(_name_or_false)]
DataField = Literal[
    "instruction", "input", "output", "response", "system", "history", "tools", "messages", "role", "content"
]


def _checked_shares(value: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?(/\d+(\.\d+)?){2}", value, re.ASCII):
        raise ValueError("three percentages for training, test and validation, as 85/10/5")
    shares = [Fraction(part) for part in value.split("/")]
    if not all(shares) or sum(shares) != 100:
        raise ValueError("three percentages above 0 that add up to 100, as 85/10/5")
    return value


class DataConfig(Section):
    """Where the examples come from and how they are split."""

    source: str = "starter"
    """`starter` (bundled), `ch07` (downloaded), or a file, a folder, or a pattern as `data/*.jsonl`: .json, .jsonl,
    .csv, .tsv, .parquet, each also .gz or .zst; or `hf:OWNER/NAME` from the Hugging Face hub"""
    shape: Literal["instruction", "prompt-completion", "messages", "sharegpt"] | None = None
    """how an entry is written: instruction, input and output (also with system and history); prompt and completion;
    OpenAI messages; ShareGPT conversations; default: recognised"""
    fields: dict[DataField, FieldName] = Field(default_factory=dict)
    """the file's names of the three fields (`input = false`: there is no input), of `system`, `history` and `tools`
    (false: not read), of the list of `messages` with the `role` and `content` of each, and for `judge FILE` of the
    answers: `model_response`"""
    roles: dict[str, Literal["system", "user", "assistant", "call", "tool"]] = Field(default_factory=dict)
    """further names of the speakers of a conversation: `roles.customer = "user"`; `call` is the assistant that calls a
    tool, `tool` the tool that answers"""
    invalid: Literal["error", "drop"] = "error"
    """rows that cannot be used: an error that counts them, or left out, counted and listed in the run's folder"""
    mend: bool = False
    """conversations in no order: join messages of one speaker in a row; leave out what the assistant says before the
    first question, what is said after the last answer, and exchanges with an empty text; each is counted"""
    turns: Literal["last", "first", "each"] | None = None
    """one exchange of every conversation, or each one as an example, without the others; default: all as one example"""
    group: FieldName | None = None
    """a field of the file: entries with the same value are one group, which counts as one unit in intervals;
    `starter` has its families without it; false = no groups"""
    keep_groups_together: bool = False
    """split between groups, so that no group is in two parts; the parts' sizes are as near as groups allow"""
    test: str | None = None
    """a file (folder, pattern, hf:) with the test part, read as the source is; nothing of the source is tested then"""
    validation: str | None = None
    """the same for the validation part"""
    part: str | None = None
    """a field of the file that names each entry's part: train, test or validation (also valid, val, dev)"""
    split: Annotated[str, AfterValidator(_checked_shares)] = "85/10/5"
    """percentages for training, test and validation; parts that have a file or entries of their own are not cut off"""
    limit: int | None = Field(default=None, ge=1)
    """use only the first N examples (of each file)"""
    shuffle_split: int | None = None
    """seed of a random split; default: split in file order"""


class TokensConfig(Section):
    """How rendered examples become tokens."""

    max_length: int | None = Field(default=None, ge=2)
    """longest example in tokens with its end token; default: the model's context length"""
    over_long: Literal["error", "drop", "truncate-prompt", "truncate-end"] = "error"
    """what happens to longer examples"""
    boundary: Literal["whole", "split"] = "whole"
    """`whole`: tokenise prompt and answer together; `split`: separately, in training and in inference"""


class LoraConfig(Section):
    """Trains low-rank adapters instead of all weights; they are merged before the model is saved."""

    rank: int = Field(default=16, ge=1)
    """width of the adapters"""
    alpha: int | None = Field(default=None, ge=1)
    """scale times rank; default: twice the rank"""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """dropout before the adapters"""
    targets: tuple[str, ...] = ()
    """last names of the linear layers that get an adapter, for example c_attn; default: all"""


class TrainConfig(Section):
    """Fine-tuning. The defaults are from the chapter."""

    epochs: float = Field(default=2, gt=0, le=1e6)
    """passes over the training examples"""
    max_steps: int | None = Field(default=None, ge=1)
    """stop after this many optimizer steps, whatever `epochs` says"""
    batch_size: int = Field(default=8, ge=1)
    """examples per forward pass, of all processes together"""
    per_rank: bool = False
    """on several processes: `batch_size` is that of each one; the run keeps their number times `batch_size`"""
    parallel: Literal["auto", "replicate", "shard"] = "auto"
    """on several processes: keep the weights whole on each while a step is computed, or only a part, and layer by layer
    whole: less memory, more to send; `auto`: whole where the memory suffices"""
    accumulate: int = Field(default=1, ge=1)
    """forward passes per optimizer step"""
    lr: float = Field(default=5e-5, gt=0)
    """AdamW's peak learning rate"""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's decoupled weight decay, on all parameters as in the chapter"""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """AdamW's decay rates for the two moments"""
    eps: float = Field(default=1e-8, gt=0)
    """AdamW's term for numerical stability"""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """how the learning rate changes after warm-up; linear and cosine end at 0"""
    warmup_steps: int = Field(default=0, ge=0)
    """steps in which the learning rate rises linearly"""
    clip_norm: float | None = Field(default=None, gt=0)
    """largest L2 norm of the gradients"""
    shuffle: bool = True
    """use a new order in every epoch; it depends only on seed and epoch"""
    drop_last: bool = False
    """leave out an epoch's last batch if it is not full"""
    patience: int | None = Field(default=None, ge=1)
    """stop after this many evaluations without a lower response NLL"""
    select: Literal["last", "best"] | None = None
    """weights of the final model: `last`, or `best` (lowest response NLL); default: best with patience, else last"""
    keep_best: bool = False
    """keep the weights of the best evaluation next to the checkpoints, even if the model gets the last weights"""
    lora: LoraConfig | None = None
    """train low-rank adapters only: train.lora.rank=16"""
    gradient_checkpointing: bool = False
    """compute activations again in the backward pass: less memory, about a third more time"""
    compact: bool = True
    """skip computations that cannot change the loss; loss and gradients stay the same"""
    log_every: int | None = Field(default=None, ge=1)
    """read the losses of this many optimizer steps from the device together; default: 10 on CUDA, else 1"""
    compile: bool = False
    """compile the layers with torch, for all lengths; needs a C++ compiler and about a minute at the start"""
    eval_every: int | None = Field(default=None, ge=1)
    """optimizer steps between evaluations; default: a tenth of the run"""
    eval_examples: int = Field(default=64, ge=1)
    """most examples per evaluation"""
    checkpoint_every: int | None = Field(default=None, ge=1)
    """optimizer steps between checkpoints; default: one per epoch, at most ten per run"""
    keep_checkpoints: int = Field(default=2, ge=0)
    """number of checkpoints to keep during training; with two, an older one is left if the last is damaged; with none,
    a run that is stopped starts its training again"""
    keep_optimizer: bool = False
    """keep the last checkpoints with their optimizer states after training; each is three times the model's size"""

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
        raise ValueError("0, or 0.001 or more: a smaller number makes the logits infinite")
    return temperature


class GenerateConfig(Section):
    """Writing of answers; greedy by default."""

    max_new_tokens: int = Field(default=256, ge=1)
    """longest answer in tokens"""
    temperature: Annotated[float, AfterValidator(_workable)] = Field(default=0.0, ge=0)
    """0 = greedy; else 0.001 or more"""
    top_k: int | None = Field(default=None, ge=1)
    """sample from the k most likely tokens"""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """sample from the most likely tokens that together reach this probability"""
    batch_size: int | None = Field(default=None, ge=1)
    """prompts that are answered at the same time; default: the fastest number that fits in `max_cache_bytes`"""
    max_cache_bytes: int = Field(default=2 * 2**30, ge=1)
    """memory for keys and values of earlier tokens; lower it if answering runs out of memory"""
    on_overflow: Literal["error", "slide"] = "error"
    """`error`, or `slide`: forget the oldest tokens when the context is full"""
    lookup: Literal["auto", "on", "off"] = "auto"
    """guess tokens from the text so far and check several at once (greedy only); `auto`: only for single answers"""


class RunConfig(Section):
    """All settings of a run.

    >>> config = RunConfig(prompt="phi3", train={"epochs": 1})
    >>> config.prompt.name, config.train.lr
    ('phi3', 5e-05)
    """

    prompt: Choice = Choice(name="alpaca")
    """prompt style; `own` is the model's own chat template, and is the default for a model that has one"""
    collate: CollateChoice = CollateChoice(name="mask-pad")
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
    """largest share of items that may have no verdict"""
    seed: int = Field(default=123, ge=0, lt=2**63)
    """random seed for data order, weights and sampling"""
    out: Path | None = None
    """the run's folder; default: a new one under `runs/`"""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1` or `mps`"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """precision of the computation; bfloat16 is autocast over float32 weights"""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads; default: the number of physical cores"""

    @field_validator(*SEAMS, mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _partial_choices(cls, values: Any) -> Any:
        """Add the default component's name to a table without a name."""
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        for seam in SEAMS:
            chosen = filled.get(seam)
            if isinstance(chosen, Mapping) and "name" not in chosen:
                filled[seam] = {"name": cls.model_fields[seam].default.name, **chosen}
        return filled


def settings_of_every_component(seam: str) -> frozenset[str]:
    """The keys in the table of a seam that are settings of the run, and not options of the component.

    >>> sorted(settings_of_every_component("collate"))
    ['name', 'turns']
    """
    choice: type[Choice] = type(getattr(RunConfig(), seam))
    return frozenset(choice.model_fields)
