"""Frozen records that stages exchange and files hold: examples, batches, answers, verdicts, results, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Integers = Sequence[int] | NDArray[np.integer[Any]]


class Role(IntEnum):
    """What a piece of a rendered example is; also the code of a token's role in `TokenizedExample.roles`."""

    TEMPLATE = 0
    """Constant words of the prompt style."""
    INSTRUCTION = 1
    INPUT = 2
    RESPONSE = 3
    END = 4
    """A closing tag of the style, and the tokenizer's end token."""
    SYSTEM = 5
    """The system message, and the tools that may be called. Collate strategies get it as `INSTRUCTION`, unless they
    know all roles."""
    TOOL = 6
    """What a tool gave back. Collate strategies get it as `INPUT`, unless they know all roles."""

    @property
    def label(self) -> str:
        """The role's name as it is shown and written to files: lower case."""
        return self.name.lower()


Speaker = Literal["user", "tool"]
"""Who asks in an exchange: a person, or a tool that gives back what was called for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One earlier exchange of a conversation: what was asked, and the assistant's answer."""

    instruction: str
    input: str = ""
    output: str
    weight: float = 1.0
    """Multiplies the weights of the answer's counted targets; 0 = the answer does not count."""
    speaker: Speaker = "user"
    """`tool`: the instruction is the result of a tool."""
    is_call: bool = False
    """Whether the answer is a call of a tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One entry of instruction data. In a conversation, instruction, input and output are its last exchange."""

    instruction: str
    input: str = ""
    """May be empty: many instructions need no further input."""
    output: str
    index: int
    """Position in the source file, counted from 0."""
    system: str = ""
    """What the assistant is told before the conversation; empty = nothing."""
    turns: tuple[Turn, ...] = ()
    """The exchanges before the last one, oldest first."""
    weight: float = 1.0
    """As `Turn.weight`, for the last answer."""
    speaker: Speaker = "user"
    """As `Turn.speaker`, for the last exchange."""
    is_call: bool = False
    """As `Turn.is_call`, for the last answer."""
    tools: str = ""
    """The tools that the assistant may call, as JSON; empty = none."""
    group: str = ""
    """Examples of one group are one unit in intervals, and are not torn apart; empty = a unit of its own."""
    references: tuple[str, ...] = ()
    """Outputs that are as good as `output`. Training does not use them; judges accept them."""

    @property
    def exchanges(self) -> tuple[Example, ...]:
        """Every exchange as an example of its own, oldest first, as a style that joins turns gets them.

        System message and tools are in the first one.

        >>> turn = Turn(instruction="Hi.", output="Hello.")
        >>> example = Example(index=0, system="Be kind.", turns=(turn,), instruction="Bye.", output="See you.")
        >>> first, last = example.exchanges
        >>> first.system, first.output, last.system, last.output
        ('Be kind.', 'Hello.', '', 'See you.')
        """
        if not self.turns:
            return (self,)
        earlier = (
            Example(
                index=self.index,
                instruction=turn.instruction,
                input=turn.input,
                output=turn.output,
                weight=turn.weight,
                speaker=turn.speaker,
                is_call=turn.is_call,
            )
            for turn in self.turns
        )
        first, *others = (*earlier, replace(self, turns=(), system="", tools=""))
        return replace(first, system=self.system, tools=self.tools), *others


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of rendered text with one role."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedExample:
    """A rendered example as token ids, the end token included."""

    ids: Integers
    roles: Integers
    """One `Role` per id."""
    index: int
    """`Example.index`."""
    num_truncated: int = 0
    """Tokens that were cut to fit the maximum length; 0 for most."""
    turn_starts: tuple[int, ...] = (0,)
    """Position of the first token of each exchange; the first exchange begins at 0. One that was cut off has none."""
    turn_weights: tuple[float, ...] = (1.0,)
    """By exchange, what the weights of its answer's targets are multiplied with, after the collate strategy."""

    @property
    def turns(self) -> NDArray[np.int64]:
        """The number of the exchange that each token belongs to, counted from 0: one number per id."""
        import numpy as np

        return np.searchsorted(self.turn_starts, np.arange(len(self.ids)), side="right") - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded rows, ready for a model: `targets[:, t]` is what has to be predicted after `inputs[:, :t + 1]`."""

    inputs: torch.Tensor
    """int64 (B, T)."""
    targets: torch.Tensor
    """int64 (B, T); -100 = does not count."""
    weights: torch.Tensor | None = None
    """float32 (B, T), the weight of each counted target; None = all 1."""
    indices: tuple[int, ...] = ()
    """`Example.index` of each row, for messages; may be left empty."""
    host: Batch | None = None
    """The same batch in the CPU's memory, if this one is on another device: index arithmetic need not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepData:
    """The data of one optimizer step."""

    number: int
    """Counted from 1."""
    epoch: float
    """Epochs done after it."""
    micro_batches: tuple[Batch, ...]
    """One forward and backward pass each."""
    weight: float
    """Sum of the weights of all counted targets; the loss of the step is divided by it."""
    num_tokens: int
    """Unpadded tokens."""
    num_examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalBatch:
    """Held-out examples, ready to be measured in one forward pass."""

    own: Batch
    """The batch as the run's collate strategy makes it."""
    full: Batch
    """The same rows with every target but padding counted."""
    roles: torch.Tensor
    """uint8 (B, T): the `Role` of every target; a code above all roles after a row's end. Answers before the last one
    are `INPUT`: they are a part of what the last answer is asked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """How answers are decoded. The defaults are greedy."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    """0 = greedy; else logits are divided by it before sampling."""
    top_k: int | None = None
    """Sample among the k most likely tokens only."""
    top_p: float | None = None
    """Sample among the most likely tokens that together reach this probability."""
    seed: int = 0
    """Prompt i draws from a generator seeded with `seed + i`, whatever it is batched with."""
    numbers: tuple[int, ...] = ()
    """The i of each prompt where it is not its position: the rest of an interrupted job draws the same numbers as the
    whole.
    """
    stop_strings: tuple[str, ...] = ()
    end_ids: tuple[int, ...] = ()
    """Ids that end an answer as the tokenizer's end token does, such as that of `<|im_end|>`."""
    batch_size: int | None = None
    """The most prompts in one batch; None = the fastest number within `max_cache_bytes`."""
    max_cache_bytes: int = 2 * 2**30
    """Memory for the key-value cache if all answers reach their limit; at least one row always runs."""
    on_overflow: Literal["error", "slide"] = "error"
    """When prompt and new tokens exceed the context: raise before starting, or drop the oldest tokens while writing."""
    lookup: Literal["auto", "on", "off"] = "auto"
    """Whether a model may guess tokens from the text so far and check several at once; the tokens stay the same."""


StopReason = Literal["end", "stop-string", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model wrote after one prompt."""

    position: int
    """Position of the prompt among those given to `generate`."""
    ids: tuple[int, ...]
    """New token ids, the end token not included."""
    text: str
    """The ids decoded, cut before the stop string if one ended it."""
    stop_reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A model's answer to one example: `Completion` after the style's `extract`."""

    index: int
    text: str
    ids: tuple[int, ...]
    stop_reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How a model is written out for other programs."""

    target: str
    """Which form: one of the model's `export_targets`."""
    dtype: Literal["float32", "float16"] = "float32"
    """The number type of the matrices."""
    chat_template: str
    """A Jinja template made from the prompt style: it turns a message into the prompt that the model was tuned with."""
    max_new_tokens: int
    """Longest answer in tokens, as a default for the program that takes over."""
    name: str
    """The model's name."""
    end_ids: tuple[int, ...] = ()
    """Ids that end an answer as the tokenizer's end token does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeItem:
    """What a judge sees of one answered example."""

    index: int
    instruction: str
    input: str
    reference: str
    """The data's own output."""
    answer: str
    """The model's response."""
    references: tuple[str, ...] = ()
    """Further references, each as good as `reference`; most data has none."""
    system: str = ""
    """What the assistant was told before; empty = nothing."""
    turns: tuple[Turn, ...] = ()
    """The exchanges before the question, oldest first; empty for a single question."""
    speaker: Speaker = "user"
    """`tool`: the instruction is the result of a tool."""
    tools: str = ""
    """The tools that could be called, as JSON; empty = none."""

    @property
    def before(self) -> tuple[tuple[str, str], ...]:
        """Who said what before the question, oldest first; empty for a single question.

        >>> turn = Turn(instruction="Hi.", output="Hello!")
        >>> JudgeItem(index=0, turns=(turn,), instruction="Bye.", input="", reference="", answer="").before
        (('User', 'Hi.'), ('Assistant', 'Hello!'))
        """
        return _said_before(self)

    @property
    def accepted(self) -> tuple[str, ...]:
        """All references; an answer that agrees with any of them is right."""
        return (self.reference, *self.references)


VerdictStatus = Literal["ok", "unparsable", "timeout", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judge's verdict on one item. A status other than `ok` has no score; it is counted, never dropped."""

    index: int
    status: VerdictStatus
    score: float | None
    """0-100, or None unless `status` is `ok`."""
    reason: str = ""
    raw: str = ""
    """The judge's own words, for the record."""
    judge: str = ""
    """Which judge, its model and digest where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePair:
    """Two answers to one example, in the order in which a judge of pairs sees them."""

    index: int
    instruction: str
    input: str
    reference: str
    """The data's own output."""
    first: str
    second: str
    references: tuple[str, ...] = ()
    """As `JudgeItem.references`."""
    system: str = ""
    """As `JudgeItem.system`."""
    turns: tuple[Turn, ...] = ()
    """As `JudgeItem.turns`."""
    speaker: Speaker = "user"
    """As `JudgeItem.speaker`."""
    tools: str = ""
    """As `JudgeItem.tools`."""

    @property
    def before(self) -> tuple[tuple[str, str], ...]:
        """As `JudgeItem.before`."""
        return _said_before(self)


def _said_before(item: JudgeItem | JudgePair) -> tuple[tuple[str, str], ...]:
    found = [(label, text) for label, text in (("System", item.system), ("Tools", item.tools)) if text]
    for turn in item.turns:
        asked = "\n".join(part for part in (turn.instruction, turn.input) if part)
        found += [("Tool" if turn.speaker == "tool" else "User", asked), ("Assistant", turn.output)]
    return tuple(found)


Winner = Literal["first", "second", "tie"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A judge's verdict on one pair, in the order that was shown. A status other than `ok` has no winner."""

    index: int
    status: VerdictStatus
    winner: Winner | None
    """The better answer, or `tie`; None unless `status` is `ok`."""
    reason: str = ""
    raw: str = ""
    """The judge's own words, for the record."""
    judge: str = ""
    """Which judge, its model and digest where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredItem(JudgeItem):
    """An answered test item with all that is known of it: a line of `items.jsonl`, which comparisons read."""

    stop_reason: StopReason | None
    """None where it is not known how the answer ended."""
    response_nll: float | None
    """Nats of the reference's response and end tokens; None where no model was measured."""
    num_response_bytes: int
    """UTF-8 bytes of the reference."""
    score: float | None
    """The judge's score, 0-100; None where it gave none."""
    verdict: VerdictStatus | None
    """None where the item was not judged."""
    reason: str
    """The judge's."""
    group: str = ""
    """`Example.group`."""

    def for_judge(self, answer: str | None = None) -> JudgeItem:
        """The question for a judge, with this answer or another one."""
        return JudgeItem(
            index=self.index,
            instruction=self.instruction,
            input=self.input,
            reference=self.reference,
            answer=self.answer if answer is None else answer,
            references=self.references,
            system=self.system,
            turns=self.turns,
            speaker=self.speaker,
            tools=self.tools,
        )

    @property
    def is_exact(self) -> bool:
        """The answer equals the reference, or one of several, after stripping white space."""
        return self.answer.strip() in [reference.strip() for reference in self.accepted]

    @property
    def has_stopped(self) -> bool | None:
        """The answer ended by itself; None where that is not known."""
        return None if self.stop_reason is None else self.stop_reason != "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSummary:
    """A judge's verdicts in one line."""

    name: str
    mean: float | None
    """Mean score of the scored items, 0-100; None where nothing could be scored."""
    ci95: tuple[float, float] | None
    """Items of one group are one unit; None with fewer than two units."""
    num_scored: int
    num_items: int
    num_groups: int | None = None
    """Groups of the scored items; None = every item is a unit of its own."""
    effective_items: float | None = None
    """So many independent items would say as much about the mean; None without groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardsticks:
    """Held-out measurements that can be compared between runs with different prompt styles or collate strategies."""

    response_nll_per_token: float
    """Nats per token of response and end."""
    response_nll_per_byte: float
    """The same nats per UTF-8 byte of the reference responses, to compare tokenizers and templates."""
    prompt_nll_per_token: float
    """Nats per token of the prompt."""
    exact_match: float | None = None
    """Share of answers equal to the reference after stripping white space, 0-1."""
    stop_rate: float | None = None
    """Share of answers that end by themselves, 0-1."""
    length_ratio: float | None = None
    """Characters of all answers over characters of all references."""
    judge: JudgeSummary | None = None
    others: Mapping[str, float | None] = field(default_factory=dict)
    """Further yardsticks by key; in `summary.json` they stand beside the ones above."""

    def figure(self, key: str) -> float | None:
        """The figure of a yardstick; of the judge its mean score."""
        if key == "judge":
            return self.judge.mean if self.judge else None
        found: float | None = self.others[key] if key in self.others else getattr(self, key, None)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSummary:
    """What training cost, and which targets counted."""

    steps: int
    examples_seen: int
    tokens_seen: int
    seconds: float
    tokens_per_s: float
    peak_memory_bytes: int
    counted_share: Mapping[str, float]
    """Per role (and `padding`): the share of target positions that counted in the loss, 0-1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run's last table shows; written as `summary.json`."""

    run: str
    prompt: str
    collate: str
    model: str
    data: str
    seed: int
    before: Yardsticks | None
    after: Yardsticks | None
    train: TrainSummary | None
    length_report: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One optimizer step, as a line of `metrics.jsonl`."""

    step: int
    """Counted from 1."""
    epoch: float
    """Epochs done after this step."""
    loss: float
    """Weighted mean token loss of the step, nats."""
    lr: float
    grad_norm: float
    """L2 norm of all gradients before clipping."""
    tokens_seen: int
    """Unpadded tokens since the start, the prompts included."""
    examples_seen: int
    seconds: float
    """Training time since the start, without evaluation and waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """A measurement of the validation examples during training, as a line of `metrics.jsonl`; NLL in nats."""

    step: int
    """Optimizer steps done; 0 = before training."""
    tokens_seen: int
    validation_loss: float
    """With the run's own collate strategy; compare it with `StepRecord.loss`, not with runs of other strategies."""
    response_nll_per_token: float
    response_nll_per_byte: float
    prompt_nll_per_token: float
    sample_index: int
    """`Example.index` of the validation example that was answered."""
    sample_text: str
    """The answer, or the beginning of a long one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """Negative log-likelihood of one held-out example, nats; a line of `likelihoods.jsonl`."""

    index: int
    response_nll: float
    """Sum over the tokens of response and end."""
    num_response_tokens: int
    prompt_nll: float
    """Sum over the tokens of the prompt without the first one, which nothing predicts."""
    num_prompt_tokens: int
    num_response_bytes: int
    """UTF-8 bytes of the reference response, without the words that the style adds."""
