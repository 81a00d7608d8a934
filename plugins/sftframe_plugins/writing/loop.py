"""Decides which rows are computed together while answers are written: who reads, who goes on, who leaves.

Prompts of any lengths share a batch, and their shared beginning is computed once. Finished rows leave the batch at
once, and waiting prompts take their places. The core chooses the next token and ends answers (`Sampler`, `Answer`).

Shapes: B rows, N positions of all rows, V vocabulary.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import ClassVar

import torch
from torch import Tensor

from sftframe import Answer, Completion, GenerationSettings, Sampler, Tokenizer, check_fits
from sftframe_plugins.writing.lookup import MAX_GUESSES, Lookup
from sftframe_plugins.writing.packed import MIN_ROWS

REFILL_SHARE = 4
"""Waiting prompts join when a quarter of the batch is free: reading a prompt costs about as much as a step of all rows.
"""

MIN_SHARED = 8
"""A shorter common beginning is not shared: sharing costs further products in every layer."""

MAX_ROWS = 256
"""Default rows of a batch: more gain nothing on a CPU, and answers would come in larger groups."""


class CachingNetwork(ABC):
    """A network that keeps what it has computed of some rows, and goes on from there.

    Rows have places 0 … B - 1; new ones come last. All ids are those of texts after the shared beginning.
    """

    can_join: ClassVar[bool] = True
    """Whether rows may be read while others are being written; else a batch is read once and ends as a whole."""
    can_guess: ClassVar[bool] = True
    """Whether a row may go on by several tokens in one pass, of which only some are kept."""
    can_share: ClassVar[bool] = True
    """Whether a shared beginning can be kept once for all rows."""
    needs_equal_lengths: ClassVar[bool] = False
    """Whether only prompts of one length may be read together."""
    read_at_once: ClassVar[int] = 2048
    """Positions of a reading pass: enough for matrix products at full speed, with limited memory."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where token ids go."""

    @property
    @abstractmethod
    def cached_length(self) -> int:
        """The longest text for which the cache is right; for longer ones the last positions are computed again."""

    @abstractmethod
    def row_bytes(self, num_positions: int) -> int:
        """Memory of one row with that many kept positions."""

    @property
    @abstractmethod
    def packed_bytes(self) -> int | None:
        """Memory that `pack` takes; None = it is of no use here."""

    @abstractmethod
    def pack(self) -> None:
        """Prepare for many passes over several rows."""

    @abstractmethod
    def open(self, shared: Sequence[int], num_rows: int, capacity: int) -> None:
        """Make room, and read the shared beginning.

        Args:
            shared: ids; may be empty.
            num_rows: the most rows at a time.
            capacity: positions of a row, without the shared beginning.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the room."""

    @abstractmethod
    def read(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Take new rows: the logits after each, (B, V)."""

    @abstractmethod
    def write(self, inputs: Sequence[Sequence[int]]) -> Tensor:
        """Continue every row by its tokens: the logits after each token, row by row, (N, V)."""

    @abstractmethod
    def advance(self, num_kept: Sequence[int]) -> None:
        """Say how many of the last `inputs` each row keeps."""

    @abstractmethod
    def drop(self, place: int) -> None:
        """Remove a row; the last row takes its place."""

    @abstractmethod
    def window_logits(self, windows: Sequence[Sequence[int]]) -> Tensor:
        """The logits after texts of one length, computed without the cache, (B, V)."""


class Row:
    """A prompt and its growing answer."""

    def __init__(self, prompt: Sequence[int], answer: Answer) -> None:
        self.ids = list(prompt)
        self.answer = answer
        self._lookup = Lookup()

    def add(self, token_ids: Sequence[int]) -> bool:
        """Add tokens until the answer ends; True if it has ended."""
        for token_id in token_ids:
            self.ids.append(token_id)
            if self.answer.add(token_id):
                return True
        return False

    def guesses(self, num_most: int) -> list[int]:
        """Guesses at the answer's next tokens."""
        return self._lookup.guesses(self.ids, num_most)


class Loop:
    """The state of one `generate`: waiting prompts, rows in the cache, and rows that are too long for it.

    Args:
        network: has no rows yet.
        context_length: the most positions that the network may see.

    Raises:
        ModelError: a prompt is empty, or does not fit and no tokens may be dropped.
    """

    def __init__(
        self,
        network: CachingNetwork,
        tokenizer: Tokenizer,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        context_length: int,
    ) -> None:
        check_fits(prompts, settings, context_length)
        self._network = network
        self._sampler = Sampler(settings)
        self._most_guessing = _most_guessing(settings) if network.can_guess else 0
        rows = [Row(ids, Answer(position, tokenizer, settings)) for position, ids in enumerate(prompts)]
        self.answers = tuple(row.answer for row in rows)
        # the longest first: similar lengths need the least padding, and missing memory shows at once
        rows.sort(key=lambda row: len(row.ids), reverse=True)
        self._context, self._cacheable = context_length, min(network.cached_length, context_length)
        self._waiting = deque(row for row in rows if len(row.ids) < self._cacheable)
        self._sliding = [row for row in rows if len(row.ids) >= self._cacheable]
        self._cached: list[Row] = []  # in the order of the cache's rows
        self._shared = _common_beginning([row.ids for row in self._waiting]) if network.can_share else []
        longest = max((len(row.ids) for row in self._waiting), default=0)
        self._capacity = min(longest + settings.max_new_tokens, self._cacheable) - len(self._shared)
        self._set_batch_size(settings)

    def _set_batch_size(self, settings: GenerationSettings) -> None:
        wanted = min(len(self.answers), settings.batch_size or MAX_ROWS)
        size = self._network.packed_bytes if wanted >= MIN_ROWS else None
        self._is_packed = size is not None and 2 * size <= settings.max_cache_bytes
        available = settings.max_cache_bytes - (size or 0) * self._is_packed
        self._batch_size = max(1, min(wanted, available // self._network.row_bytes(max(self._capacity, 1))))

    def completions(self) -> Iterator[Completion]:
        """Write until every prompt has its answer."""
        for completions in self.steps():
            yield from completions

    def steps(self) -> Iterator[list[Completion]]:
        """The answers that end with each forward pass; most passes end none. Memory is freed at the end."""
        if self._waiting:
            try:
                yield from self._cached_steps()
            finally:
                self._network.close()
        while self._sliding:
            yield self._slide()

    def _cached_steps(self) -> Iterator[list[Completion]]:
        self._open()
        while self._waiting or self._cached:
            while self._may_read():
                yield self._read()
                while self._waiting and self._network.can_join and len(self._cached) < self._batch_size:
                    yield self._read()
            if self._cached:
                yield self._write()

    @torch.inference_mode()
    def _open(self) -> None:
        if self._is_packed:
            self._network.pack()
        self._network.open(self._shared, self._batch_size, self._capacity)

    def _may_read(self) -> bool:
        """Whether waiting prompts are read now."""
        if not self._waiting:
            return False
        num_free = self._batch_size - len(self._cached)
        return not self._cached or (self._network.can_join and num_free >= self._batch_size / REFILL_SHARE)

    @torch.inference_mode()
    def _read(self) -> list[Completion]:
        """Read waiting prompts into the cache and pick the first token of each."""
        rows = self._next_rows()
        logits = self._network.read([row.ids[len(self._shared) :] for row in rows])  # (B, V)
        self._cached += rows
        return self._take(rows, self._pick(rows, logits))

    def _next_rows(self) -> list[Row]:
        """Waiting rows for one pass: as many as fit into the cache and the pass."""
        longest = len(self._waiting[0].ids) - len(self._shared)
        num_free = self._batch_size - len(self._cached)
        num_rows = max(1, min(num_free, len(self._waiting), self._network.read_at_once // longest))
        if self._network.needs_equal_lengths:
            length = len(self._waiting[0].ids)
            num_rows = min(num_rows, sum(1 for _ in takewhile(lambda row: len(row.ids) == length, self._waiting)))
        return [self._waiting.popleft() for _ in range(num_rows)]

    @torch.inference_mode()
    def _write(self) -> list[Completion]:
        """One more token for every row in the cache, and the correct guesses before it."""
        rows = self._cached
        inputs = [[row.ids[-1], *guess] for row, guess in zip(rows, self._guesses(), strict=True)]
        logits = self._network.write(inputs)  # (N, V)
        owners = [row for row, tokens in zip(rows, inputs, strict=True) for _ in tokens]
        each = iter(self._pick(owners, logits))
        picked = [_confirmed([next(each)[0] for _ in tokens], tokens[1:]) for tokens in inputs]
        self._network.advance([len(token_ids) for token_ids in picked])
        return self._take(rows, picked)

    def _guesses(self) -> list[list[int]]:
        """The guesses for each row in the cache; the free places of the cache limit them."""
        longest = max(len(row.ids) for row in self._cached) - len(self._shared)
        num_free = self._capacity - longest
        if len(self._cached) > self._most_guessing or num_free < 1:
            return [[] for _ in self._cached]
        return [row.guesses(min(MAX_GUESSES, num_free)) for row in self._cached]

    @torch.inference_mode()
    def _slide(self) -> list[Completion]:
        """One more token for rows that are too long: their last positions are computed without a cache."""
        length = min(len(self._sliding[0].ids), self._context)
        alike = [row for row in self._sliding if min(len(row.ids), self._context) == length]
        rows = alike[: self._batch_size]
        return self._take(rows, self._pick(rows, self._network.window_logits([row.ids[-length:] for row in rows])))

    def _pick(self, rows: list[Row], logits: Tensor) -> list[list[int]]:
        """A token for each of the rows from (B, V)."""
        return self._sampler.pick(logits, [row.answer.position for row in rows])[:, None].tolist()

    def _take(self, rows: list[Row], picked: list[list[int]]) -> list[Completion]:
        """Give each of the rows its tokens; return the finished answers."""
        over = [row for row, token_ids in zip(rows, picked, strict=True) if row.add(token_ids)]
        for row in over:
            self._leave(row)
        for row in [row for row in self._cached if len(row.ids) > self._cacheable]:
            self._leave(row)
            self._sliding.append(row)
        return [row.answer.completion() for row in over]

    def _leave(self, row: Row) -> None:
        """Take a row out of the batch; as in the cache, the last row takes its place."""
        if row in self._sliding:
            self._sliding.remove(row)
            return
        place = self._cached.index(row)
        self._network.drop(place)
        self._cached[place] = self._cached[-1]
        self._cached.pop()


def stream(loop: Loop, on_text: Callable[[str], None]) -> Completion:
    """The completion of a loop's only prompt, reported piece by piece; see `CausalLM.stream`."""
    (answer,) = loop.answers
    for _ in loop.steps():
        text = answer.new_text()
        if text:
            on_text(text)
    return answer.completion()


def _most_guessing(settings: GenerationSettings) -> int:
    """The most rows for which tokens are guessed; guessing needs greedy decoding."""
    if settings.temperature > 0 or settings.lookup == "off":
        return 0
    return 1 if settings.lookup == "auto" else sys.maxsize


def _confirmed(picked: list[int], guesses: list[int]) -> list[int]:
    """The tokens that the model picked, up to the first that was not guessed."""
    num_right = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(picked, guesses, strict=False)))
    return picked[: num_right + 1]


def _common_beginning(prompts: list[list[int]]) -> list[int]:
    """The shared beginning of all prompts; every prompt has at least one token after it."""
    if len(prompts) < 2:
        return []
    columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)  # as many as the shortest has
    common = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
    return common if len(common) >= MIN_SHARED else []
