"""Examples to tokens with roles: one tokenisation of the whole text, boundaries by byte offset.

Takes examples, a prompt style and a tokenizer; gives a `TokenStore` and a `LengthReport`. Generation starts from the
prompt tokenised alone, so the prompt's own ids have to be the first ids of the whole text; that is checked for every
example. Knows nothing of which tokens count in a loss.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sftframe.config import TokensConfig
from sftframe.errors import DataError
from sftframe.interfaces import PromptStyle, Tokenizer
from sftframe.records import Example, Role, Segment, TokenizedExample

FIXED_EXAMPLES = (
    Example(index=0, instruction="Name a primary colour.", output="Red is a primary colour."),
    Example(index=1, instruction="Translate into French.", input="good morning", output="bonjour"),
    Example(
        index=2, instruction="Tell both lines:\n- naïve\n- 東京", input="first\n\nsecond", output="« naïve »\n東京"
    ),
)
"""What a prompt style is fingerprinted by: without input, with input, with line breaks and other scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthReport:
    """How long the examples are, in tokens with the end token, and what was done to those over the maximum."""

    num_examples: int
    """Before anything was dropped."""
    num_tokens: int
    """Of all examples kept, after cutting."""
    longest: int
    mean: float
    max_length: int
    over_long: tuple[int, ...]
    """Indices of the examples over the maximum."""
    num_dropped: int
    num_truncated: int
    num_tokens_cut: int


class TokenStore(Sequence[TokenizedExample]):
    """Many tokenised examples in flat arrays: about 3 bytes a token and 16 an example, where lists take 40."""

    def __init__(
        self,
        *,
        ids: NDArray[Any],
        roles: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        indices: NDArray[np.int64],
        truncated: NDArray[np.int32],
    ) -> None:
        self._ids = ids  # (num_tokens,) uint16 or int32
        self._roles = roles  # (num_tokens,)
        self._offsets = offsets  # (num_examples + 1,)
        self._indices = indices  # (num_examples,)
        self._truncated = truncated  # (num_examples,)

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, key: int) -> TokenizedExample: ...
    @overload
    def __getitem__(self, key: slice) -> list[TokenizedExample]: ...
    def __getitem__(self, key: int | slice) -> TokenizedExample | list[TokenizedExample]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        if not -len(self) <= key < len(self):
            raise IndexError(key)
        key %= len(self)
        start, stop = self._offsets[key], self._offsets[key + 1]
        return TokenizedExample(
            ids=self._ids[start:stop].astype(np.int64),
            roles=self._roles[start:stop],
            index=int(self._indices[key]),
            num_truncated=int(self._truncated[key]),
        )

    def select(self, indices: Collection[int]) -> TokenStore:
        """The examples whose `Example.index` is among `indices`, in the order of the store."""
        rows = np.flatnonzero(np.isin(self._indices, np.fromiter(indices, dtype=np.int64)))
        lengths = self.lengths
        is_kept = np.repeat(np.isin(np.arange(len(self)), rows), lengths)  # (num_tokens,)
        return TokenStore(
            ids=self._ids[is_kept],
            roles=self._roles[is_kept],
            offsets=np.concatenate([[0], np.cumsum(lengths[rows])]),
            indices=self._indices[rows],
            truncated=self._truncated[rows],
        )

    @property
    def indices(self) -> list[int]:
        """`Example.index` of every example."""
        return [int(index) for index in self._indices]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example."""
        return np.diff(self._offsets)

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self._ids, self._roles, self._offsets, self._indices, self._truncated)
        return sum(array.nbytes for array in arrays)


def tokenize(
    examples: Sequence[Example],
    style: PromptStyle,
    tokenizer: Tokenizer,
    config: TokensConfig,
    *,
    context_length: int,
    on_examples: Callable[[int], None] | None = None,
) -> tuple[TokenStore, LengthReport]:
    """Tokenise the examples for training.

    Args:
        context_length: the longest example when the configuration names none, and the most it may name.
        on_examples: told how many more examples are done.

    Raises:
        DataError: a boundary that is not stable, or examples over the maximum length when `over_long` is `error`.
    """
    max_length = min(config.max_length or context_length, context_length)
    widths = byte_lengths(tokenizer)
    builder = _Builder(max_length, config.over_long, tokenizer.vocab_size)
    for chunk in _chunks(examples, 4096):
        for example, ids, roles in _encode(chunk, style, tokenizer, widths, config.boundary):
            builder.add(example.index, [*ids, tokenizer.end_id], np.append(roles, np.uint8(Role.END)))
        if on_examples is not None:
            on_examples(len(chunk))
    return builder.finish()


def encode_prompts(examples: Sequence[Example], style: PromptStyle, tokenizer: Tokenizer) -> list[list[int]]:
    """What the model is given at inference: each prompt tokenised alone."""
    return tokenizer.encode_batch([style.prompt_text(example) for example in examples])


def style_fingerprint(style: PromptStyle) -> str:
    """SHA-256 of the rendering of `FIXED_EXAMPLES`, hexadecimal; styles that write the same have the same."""
    rendered = [[(p.role.label, p.text) for part in style.render(example) for p in part] for example in FIXED_EXAMPLES]
    return hashlib.sha256(json.dumps(rendered).encode()).hexdigest()


def byte_lengths(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Bytes of every token id, (V,)."""
    return np.array([len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size)], dtype=np.int64)


def token_roles(ids: Sequence[int], segments: Sequence[Segment], widths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The role of the segment that each token's first byte falls in, (num_tokens,).

    Args:
        widths: `byte_lengths` of the tokenizer.
    """
    taken = widths[np.asarray(ids, dtype=np.int64)]
    starts = np.cumsum(taken) - taken
    ends = np.cumsum([len(segment.text.encode()) for segment in segments])
    codes = np.array([segment.role for segment in segments], dtype=np.uint8)
    return codes[np.searchsorted(ends, starts, side="right")]


def _chunks(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), size):
        yield examples[start : start + size]


def _encode(
    examples: Sequence[Example],
    style: PromptStyle,
    tokenizer: Tokenizer,
    widths: NDArray[np.int64],
    boundary: str,
) -> Iterator[tuple[Example, list[int], NDArray[np.uint8]]]:
    """Ids and roles of each example, without the end token."""
    rendered = [style.render(example) for example in examples]
    prompts = ["".join(p.text for p in prompt) for prompt, _ in rendered]
    answers = ["".join(p.text for p in answer) for _, answer in rendered]
    prompt_ids = tokenizer.encode_batch(prompts)
    if boundary == "split":
        answer_ids = tokenizer.encode_batch(answers)
        whole_ids = [[*prompt, *answer] for prompt, answer in zip(prompt_ids, answer_ids, strict=True)]
    else:
        whole_ids = tokenizer.encode_batch([p + a for p, a in zip(prompts, answers, strict=True)])
    for example, alone, whole, (prompt, answer) in zip(examples, prompt_ids, whole_ids, rendered, strict=True):
        if whole[: len(alone)] != alone:
            raise DataError(_boundary_message(example, style, tokenizer, alone, whole))
        yield example, whole, token_roles(whole, (*prompt, *answer), widths)


def _boundary_message(
    example: Example, style: PromptStyle, tokenizer: Tokenizer, alone: Sequence[int], whole: Sequence[int]
) -> str:
    same = next((i for i, (a, b) in enumerate(zip(alone, whole, strict=False)) if a != b), min(len(alone), len(whole)))

    def show(ids: Sequence[int]) -> str:
        return " ".join(f"{tokenizer.decode([i])!r}({i})" for i in ids)

    return (
        f"example {example.index}: with prompt style {style.name!r} a token crosses the border between prompt and "
        f"answer: the prompt alone ends in {show(alone[same:])}, the whole text goes on with "
        f"{show(whole[same : same + len(alone) - same + 1])}. Let the prompt end in another character, or set "
        "tokens.boundary=split to tokenise the two sides apart"
    )


class _Builder:
    """Collects examples, cuts or drops the long ones, and counts."""

    def __init__(self, max_length: int, over_long: str, vocab_size: int) -> None:
        self._max_length = max_length
        self._mode = over_long
        self._dtype = np.uint16 if vocab_size <= 2**16 else np.int32
        self._ids: list[NDArray[Any]] = []
        self._roles: list[NDArray[np.uint8]] = []
        self._indices: list[int] = []
        self._cuts: list[int] = []
        self._over: list[int] = []
        self._lengths: list[int] = []

    def add(self, index: int, ids: Sequence[int], roles: NDArray[np.uint8]) -> None:
        """One example with its end token."""
        self._lengths.append(len(ids))
        excess = len(ids) - self._max_length
        if excess > 0:
            self._over.append(index)
            keep = self._kept(roles)
            if keep is None:
                return
            ids, roles = ids[keep], roles[keep]
        self._ids.append(np.asarray(ids, dtype=self._dtype))
        self._roles.append(roles)
        self._indices.append(index)
        self._cuts.append(max(excess, 0))

    def _kept(self, roles: NDArray[np.uint8]) -> slice | None:
        """Which tokens of an over-long example stay; None = it cannot be used."""
        num_prompt = int((roles < Role.RESPONSE).sum())
        if self._mode == "truncate-prompt" and len(roles) - num_prompt < self._max_length:
            return slice(len(roles) - self._max_length, None)
        if self._mode == "truncate-end" and num_prompt < self._max_length:
            return slice(None, self._max_length)
        return None

    def finish(self) -> tuple[TokenStore, LengthReport]:
        """The store and the report."""
        if self._over and self._mode == "error":
            raise DataError(self._over_long_message())
        if not self._ids:
            raise DataError(
                f"none of the {len(self._lengths)} examples fits {self._max_length} tokens: raise --max-length"
            )
        kept = np.array([len(ids) for ids in self._ids], dtype=np.int64)
        store = TokenStore(
            ids=np.concatenate(self._ids),
            roles=np.concatenate(self._roles),
            offsets=np.concatenate([[0], np.cumsum(kept)]),
            indices=np.array(self._indices, dtype=np.int64),
            truncated=np.array(self._cuts, dtype=np.int32),
        )
        return store, LengthReport(
            num_examples=len(self._lengths),
            num_tokens=int(kept.sum()),
            longest=max(self._lengths),
            mean=float(np.mean(self._lengths)),
            max_length=self._max_length,
            over_long=tuple(self._over),
            num_dropped=len(self._lengths) - len(self._ids),
            num_truncated=int(np.count_nonzero(self._cuts)),
            num_tokens_cut=int(np.sum(self._cuts)),
        )

    def _over_long_message(self) -> str:
        shown = ", ".join(str(index) for index in self._over[:5]) + (", …" if len(self._over) > 5 else "")
        return (
            f"{len(self._over)} of {len(self._lengths)} examples have more than {self._max_length} tokens "
            f"(index {shown}; the longest has {max(self._lengths)}): raise --max-length up to the context, or set "
            "tokens.over_long to drop, truncate-prompt or truncate-end"
        )
