"""The base classes of prompt styles, collate strategies and judges, of tokenizers, and of components in general."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from sftframe.errors import JudgeError, ModelError, PluginError
from sftframe.records import Batch, Example, JudgeItem, JudgePair, Preference, Role, Segment, TokenizedExample, Verdict

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from sftframe.records import Integers


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoOptions:
    """For components that have nothing to set."""


def option(
    default: Any,
    description: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
    examples: Sequence[Any] = (),
) -> Any:
    """A field of an `Options` dataclass: its default, one line of help, and the range of its values.

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Options:
    ...     weight: float = option(0.1, "weight of prompt targets in the loss", ge=0, le=1)
    >>> Options().weight
    0.1
    """
    limits = {"ge": ge, "le": le, "gt": gt, "lt": lt}
    metadata: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    metadata["description"] = description
    if examples:
        metadata["examples"] = list(examples)
    if isinstance(default, list | dict | set):
        made = default
        return dataclasses.field(default_factory=lambda: type(made)(made), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Component(ABC):
    """Base of prompt styles, collate strategies, model backends and judges."""

    name: ClassVar[str]
    """What users type: lower case letters, digits, `-`, `_` and `.`."""
    summary: ClassVar[str]
    """One line for `sftframe plugins`."""
    Options: ClassVar[type[Any]] = NoOptions
    """Dataclass (or pydantic model) of what can be set with `--set SEAM.key=value`; every field has a default."""
    argument: ClassVar[str | None] = None
    """The text option that a colon after the name sets: with `argument = "repo"`, `--model NAME:TEXT` means NAME with
    `repo=TEXT`. None = nothing may follow the name."""

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options


class Tokenizer(ABC):
    """Text to ids and back. The joined bytes of the ids are the text in UTF-8.

    Text is always encoded without special tokens: `<|endoftext|>` in the data is text.
    """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, the end token included."""

    @property
    @abstractmethod
    def end_id(self) -> int:
        """The id that ends a text (50256 for GPT-2). It also pads rows; padding is masked by length."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary, hexadecimal."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text."""

    @abstractmethod
    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token; empty for a control token."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what is needed to load the same tokenizer again."""

    @property
    def control_tokens(self) -> Mapping[str, int]:
        """Ids that no text is encoded to, by the name that other programs use, such as `<|endoftext|>`.

        If a prompt style writes such a name, sftframe trains ordinary tokens, but other programs read one control
        token. With these names the core can warn about that. By default there are none.
        """
        return {}

    @property
    def reads_control_names(self) -> bool:
        """Whether `encode_segments` makes control ids of the names in `control_tokens`; by default they are text."""
        return False

    @property
    def begin_ids(self) -> tuple[int, ...]:
        """Control ids that the model expects before every text, such as that of `<s>`; by default none.

        Only a tokenizer that `reads_control_names` may have them; `control_tokens` has their names.
        """
        return ()

    def encode_segments(self, texts: Sequence[Sequence[Segment]]) -> Sequence[tuple[list[int], Integers]]:
        """Ids of each text, and for each id the number of the segment that it belongs to.

        A text is its segments' texts joined. It is tokenised once, as a whole, and an id belongs to the segment that
        has its first character. This body finds it with `token_bytes`. Override it if the joined bytes of a text's ids
        are not always that text, or if names of control tokens become control ids: only where `TEMPLATE` or `END`
        segments write them, since a name in the data is text.

        Raises:
            ModelError: the joined bytes of the ids are not the text.
        """
        import numpy as np

        found: list[tuple[list[int], Integers]] = []
        encoded = self.encode_batch(["".join(segment.text for segment in segments) for segments in texts])
        for segments, ids in zip(texts, encoded, strict=True):
            taken = self._widths[np.asarray(ids, dtype=np.int64)]
            ends = np.cumsum([len(segment.text.encode()) for segment in segments], dtype=np.int64)
            num_bytes = int(ends[-1]) if len(ends) else 0
            if int(taken.sum()) != num_bytes or not taken.all():
                raise ModelError(
                    f"the model's tokenizer makes {int(taken.sum())} bytes of a text of {num_bytes}: "
                    "token_bytes() of a text's ids, joined, must be the text, and no control token may come from text"
                )
            found.append((ids, np.searchsorted(ends, np.cumsum(taken) - taken, side="right")))
        return found

    @cached_property
    def _widths(self) -> NDArray[np.int64]:
        """Bytes of every token, (V,)."""
        import numpy as np

        return np.array([len(self.token_bytes(i)) for i in range(self.vocab_size)], dtype=np.int64)

    def encode(self, text: str) -> list[int]:
        """Ids of one text."""
        return self.encode_batch([text])[0]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; bytes that are not UTF-8 (a cut character) become U+FFFD."""
        return b"".join(self.token_bytes(i) for i in ids).decode("utf-8", errors="replace")


class PromptStyle(Component):
    """How an example is written out for the model; training, generation, chat and judging all use the same object.

    A complete style:

        class Vicuna(PromptStyle):
            name = "vicuna"
            summary = "USER and ASSISTANT on one line, as in Vicuna 1.1"

            def segments(self, example):
                yield Segment(Role.TEMPLATE, "USER: ")
                yield Segment(Role.INSTRUCTION, example.instruction)
                if example.input:
                    yield Segment(Role.TEMPLATE, "\\n")
                    yield Segment(Role.INPUT, example.input)
                yield Segment(Role.TEMPLATE, " ASSISTANT:")
                yield Segment(Role.RESPONSE, " " + example.output)

    The *prompt* is all that comes before the first `RESPONSE` segment. It must not depend on `example.output`. The
    tokenizer's end token is appended by the core; a style adds an `END` segment only for its own closing tag.

    A style that can write conversations sets `joins_turns`, or has its own `conversation`. It writes the system message
    as `SYSTEM`, and an instruction of the speaker `tool` as `TOOL`; what it cannot write is refused with its data.
    """

    joins_turns: ClassVar[bool] = False
    """A conversation is written as its exchanges one after the other; the core calls `segments` once for each."""
    turn_separator: ClassVar[str] = ""
    """What stands between two exchanges, after the closing tag; it belongs to the prompt of the later one."""

    @abstractmethod
    def segments(self, example: Example) -> Iterable[Segment]:
        """The example's text in order, each piece with its role; exactly one of them is the `RESPONSE`.

        Of a conversation this is one exchange: `example.turns` is empty.
        """

    def conversation(self, example: Example) -> Iterable[Segment]:
        """The text of a whole conversation, with one `RESPONSE` per exchange.

        By default the exchanges follow each other, if the style `joins_turns`. The tokenizer's end token follows every
        `RESPONSE` that is not closed by an `END`.

        Raises:
            PluginError: the style writes single exchanges only.
        """
        if not self.joins_turns:
            raise PluginError(f"prompt style {self.name!r} writes single exchanges only, and no conversations")
        for number, exchange in enumerate(example.exchanges):
            if number:
                yield Segment(Role.TEMPLATE, self.turn_separator)
            yield from self.segments(exchange)

    @property
    def can_converse(self) -> bool:
        """Whether it writes conversations: it joins turns, or has its own `conversation`."""
        return self.joins_turns or type(self).conversation is not PromptStyle.conversation

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Texts that end an answer, in addition to the end token; by default the style's own closing tags."""
        return ()

    @property
    def chat_template(self) -> str | None:
        """The Jinja chat template that writes the same, for exports; None = sftframe makes one from the style."""
        return None

    @property
    def is_trimming(self) -> bool:
        """Whether the style drops white space around instruction and input on purpose; all other characters stay."""
        return False

    def extract(self, text: str) -> str:
        """The answer in what the model wrote: everything before the first stop string, white space stripped."""
        for stop in self.stop_strings:
            text = text.partition(stop)[0]
        return text.strip()

    @final
    def render(self, example: Example) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        """Prompt segments and answer segments; empty pieces left out, except that an answer always has its response.

        In a conversation the prompt is all that comes before the last answer.
        """
        *earlier, (prompt, answer) = self.render_turns(example)
        return (*(piece for turn in earlier for part in turn for piece in part), *prompt), answer

    @final
    def render_turns(self, example: Example) -> tuple[tuple[tuple[Segment, ...], tuple[Segment, ...]], ...]:
        """Prompt and answer of every exchange, as `render` gives them; an answer ends with its closing tag."""
        pieces = tuple(self.conversation(example) if example.turns else self.segments(example))
        borders = [i for i, piece in enumerate(pieces) if piece.role == Role.RESPONSE] or [len(pieces)]
        starts = [0]
        for border in borders[: len(example.turns)]:
            closed = (i for i in range(border + 1, len(pieces)) if pieces[i].role != Role.END)
            starts.append(next(closed, len(pieces)))
        turns = []
        for start, end, border in zip(starts, [*starts[1:], len(pieces)], borders, strict=False):
            answer = tuple(p for p in pieces[border:end] if p.text or p.role == Role.RESPONSE)
            turns.append((tuple(p for p in pieces[start:border] if p.text), answer))
        return tuple(turns)

    @final
    def prompt_text(self, example: Example) -> str:
        """The text that the model is given at inference."""
        return "".join(piece.text for piece in self.render(example)[0])


_OLD_ROLES = {Role.SYSTEM: Role.INSTRUCTION, Role.TOOL: Role.INPUT}

IGNORED = -100
"""The target that does not count; `torch.nn.functional.cross_entropy` ignores it by default."""


class CollateStrategy(Component):
    """A PyTorch `collate_fn`: a sequence of `TokenizedExample` to a padded, shifted `Batch`.

    A strategy says how much each role of target weighs; the base class does the rest:

        class ResponseOnly(CollateStrategy):
            name = "response-only"
            summary = "only the response and its end count"

            def role_weight(self, role):
                return 1.0 if role in (Role.RESPONSE, Role.END) else 0.0

    For rules that need more than the role, override `target_weights`; for other layouts, `__call__`.
    Rows keep the order of the examples.
    """

    def __init__(self, options: Any = None, *, pad_id: int = 0) -> None:
        super().__init__(options)
        self.pad_id = pad_id

    knows_all_roles: ClassVar[bool] = False
    """It is given system messages as `Role.SYSTEM` and what tools gave back as `Role.TOOL`. Otherwise they are
    `INSTRUCTION` and `INPUT` to it, and count as these do."""

    def role_weight(self, role: Role) -> float:
        """The weight of a target of this role, 0 or more; 0 = it does not count."""
        return 1.0

    @final
    def known_role(self, role: Role) -> Role:
        """As which role the strategy is given a token of this role."""
        return role if self.knows_all_roles else _OLD_ROLES.get(role, role)

    @property
    def padding_weight(self) -> float:
        """The weight of a padding target; 0 for every strategy that is meant to be used."""
        return 0.0

    def target_weights(self, example: TokenizedExample) -> Sequence[float] | torch.Tensor:
        """One weight per id of the example, as a target; the first is never a target and is ignored."""
        import torch

        table = torch.tensor([self.role_weight(self.known_role(role)) for role in Role], dtype=torch.float32)
        return table[torch.as_tensor(example.roles, dtype=torch.int64)]

    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        """Pad to the longest example and shift by one; T = longest - 1. Row lengths decide what is padding, not ids."""
        import torch

        shape = len(examples), max(len(example.ids) for example in examples) - 1
        inputs = torch.full(shape, self.pad_id, dtype=torch.int64)  # (B, T)
        targets = torch.full(shape, self.pad_id, dtype=torch.int64)  # (B, T)
        weights = torch.full(shape, self.padding_weight, dtype=torch.float32)  # (B, T)
        for row, example in enumerate(examples):
            ids = torch.as_tensor(example.ids, dtype=torch.int64)
            inputs[row, : len(ids) - 1] = ids[:-1]
            targets[row, : len(ids) - 1] = ids[1:]
            row_weights = torch.as_tensor(self.target_weights(example), dtype=torch.float32)
            weights[row, : len(ids) - 1] = row_weights[1:]
        targets[weights == 0] = IGNORED
        is_plain = bool(((weights == 0) | (weights == 1)).all())
        return Batch(
            inputs=inputs,
            targets=targets,
            weights=None if is_plain else weights,
            indices=tuple(example.index for example in examples),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A server that a judge sends questions and answers to.

    >>> Contact(url="https://api.example.com/v1", key_variable="EXAMPLE_API_KEY").url
    'https://api.example.com/v1'
    """

    url: str
    """Its address, with scheme, host and port."""
    key_variable: str = ""
    """The environment variable whose value goes to this server as the key; empty where there is none."""


class Judge(Component):
    """Grades answers from 0 (useless) to 100 (perfect). Some judges also say which of two answers is better.

    A complete judge:

        class LengthJudge(Judge):
            name = "length"
            summary = "100 for an answer of the reference's length"

            def score(self, items):
                for item in items:
                    gap = abs(len(item.answer) - len(item.reference))
                    yield Verdict(index=item.index, status="ok", score=max(0.0, 100.0 - gap), judge=self.identity)
    """

    is_deterministic: ClassVar[bool] = False
    """The same item always gets the same verdict; so the noise of this judge is never measured by asking twice."""
    is_cacheable: ClassVar[bool] = True
    """Verdicts are cached and reused; False where asking again costs nothing."""

    @property
    def identity(self) -> str:
        """Which judge exactly, for the record: name, model and digest, and a hash over the options that matter.

        Two judges with the same identity share cached verdicts, so they must give the same ones. By default every
        option counts: the identity is `NAME`, or `NAME#HASH` if an option differs from its default.
        """
        options = repr(self.options)
        if options == repr(self.Options()):
            return self.name
        return f"{self.name}#{hashlib.sha256(options.encode(errors='backslashreplace')).hexdigest()[:8]}"

    @property
    def contacts(self) -> Sequence[Contact] | None:
        """The servers that the judge sends requests to; empty = none, it works on this machine alone.

        Somebody else's run or configuration may name a judge. sftframe asks the user before such a judge sends anything
        to a server that the user has not named. It does not ask about a judge without servers. None (the default) means
        that the servers are not known: then the user is asked about the judge and all its text options.
        """
        return None

    @property
    def can_prefer(self) -> bool:
        """Whether it compares pairs: it has its own `prefer`."""
        return type(self).prefer is not Judge.prefer

    def caution(self, first: Sequence[JudgeItem], second: Sequence[JudgeItem]) -> str:
        """Why this judge should not decide between two sets of answers, with the figure; empty if nothing is known.

        Comparisons show it in their notes. By default there is no reason.

        Args:
            first: the answers of one side.
            second: the answers of the other side to the same questions, in the same order.
        """
        return ""

    def check(self) -> None:
        """Check that the judge can do its work, before training starts.

        Raises:
            JudgeError: it cannot; the message says what to do.
        """
        return

    @abstractmethod
    def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """One verdict per item, in the items' order, as they become available.

        An item that could not be judged gets a verdict of another status than `ok`, without a score.
        """

    def score_as_ready(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """The same verdicts as `score`, one per item, each as soon as it is ready, in any order.

        Runs call this and write down every verdict when it comes, so that a slow item delays no other. A judge that
        asks about several items at once overrides it.
        """
        return self.score(items)

    def prefer(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        """Which answer of each pair is better: one preference per pair, in order, as they become available.

        Each pair is judged in the given order. The caller also asks with the two answers swapped, and combines both
        results. A pair that could not be judged gets another status than `ok`, without a winner.

        Raises:
            JudgeError: this judge grades single answers only.
        """
        raise JudgeError(
            f"judge {self.name!r} grades single answers only: compare scores instead, or choose one that compares pairs"
        )

    def prefer_as_ready(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        """The same preferences as `prefer`, each as soon as it is ready, in any order."""
        return self.prefer(pairs)
