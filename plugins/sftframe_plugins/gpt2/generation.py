"""Writes answers in batches with a key-value cache; the tokens are the same as for one prompt at a time without a
cache.

Prompts of any lengths share a batch, and their shared beginning is computed once. Finished rows leave the batch at
once, and waiting prompts take their places. The head is computed for last positions only. The core chooses the next
token and ends answers (`Sampler`, `Answer`).

Shapes: B rows, T positions, N positions of all rows, C width, V vocabulary.
"""

from __future__ import annotations

import copy
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sftframe import Answer, Completion, GenerationSettings, Sampler, Tokenizer, check_fits
from sftframe_plugins.gpt2.network import GPT2, Attention, Block, FeedForward
from sftframe_plugins.gpt2.passes import KeyValueCache, Reading, Step, bytes_per_position, read_shared

MIN_ROWS = 4
"""Fewer rows are multiplied without packing: then only reading the weights takes time."""

LAID_OUT_FOR = 64
"""The number of rows that oneDNN prepares for; layouts for 32, 64 and 110 rows were equally fast for 4 to 110 rows."""


def packed(network: GPT2) -> GPT2:
    """A copy for inference. It shares the network's embeddings and norms; later changes of other weights do not reach
    it.

    Adapters and other layers that are not plain linear maps stay as they are.
    """
    own = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    twin = copy.deepcopy(network, own)  # the structure alone
    with torch.no_grad():
        for layer in list(twin.modules()):
            if type(layer) is Attention:
                for name in ("c_attn", "c_proj"):
                    layer.add_module(name, _packed_linear(getattr(layer, name)))
            elif type(layer) is Block and _is_plain(layer.mlp):
                layer.add_module("mlp", PackedFeedForward(layer.mlp))
        twin.head = PackedLinear(twin.wte.weight)
    return twin


def packed_bytes(network: GPT2) -> int | None:
    """Memory of the copy, in addition to the network; None = the network cannot be packed here."""
    weight = network.wte.weight
    if network.training or weight.device.type != "cpu" or weight.dtype != torch.float32 or not _has_kernels():
        return None
    num_weights = 12 * network.config.num_layers * network.config.width**2 + weight.numel()
    return num_weights * weight.element_size()


class PackedLinear(nn.Module):
    """A linear map with its weights in oneDNN's order, and GELU after it if wanted."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, has_gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), LAID_OUT_FOR)
        self.has_gelu = has_gelu

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) to (…, outputs)."""
        if x[..., 0].numel() < MIN_ROWS:
            x = F.linear(x, self.weight, self.bias)
            return F.gelu(x, approximate="tanh") if self.has_gelu else x
        after = ("gelu", "tanh") if self.has_gelu else ("none", "")
        mapped: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, after[0], [], after[1])
        return mapped


class PackedFeedForward(nn.Module):
    """`FeedForward` without dropout."""

    def __init__(self, plain: FeedForward) -> None:
        super().__init__()
        self.c_fc = PackedLinear(plain.c_fc.weight, plain.c_fc.bias, has_gelu=True)
        self.c_proj = PackedLinear(plain.c_proj.weight, plain.c_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(…, C) to (…, C)."""
        mapped: Tensor = self.c_proj(self.c_fc(x))
        return mapped


def _has_kernels() -> bool:
    return bool(torch._C._has_mkldnn) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _packed_linear(linear: nn.Module) -> nn.Module:
    return PackedLinear(linear.weight, linear.bias) if type(linear) is nn.Linear else linear


def _is_plain(layer: nn.Module) -> bool:
    return type(layer) is FeedForward and type(layer.c_fc) is type(layer.c_proj) is nn.Linear


LENGTHS = (3, 2)
"""How many last tokens are looked up, the longest first; single tokens are found often, but mostly guess wrong."""

MAX_GUESSES = 2
"""Guesses at a time: a pass over three positions takes 1.2 times that over one, over four 1.7 times (124M, one row)."""


class Lookup:
    """The last place of each short run of tokens in one growing text.

    >>> lookup = Lookup()
    >>> lookup.guesses([7, 8, 1, 2, 3, 9, 7, 8], 2)
    [1, 2]
    >>> lookup.guesses([7, 8, 1, 2, 3, 9, 7, 8, 1], 2)
    [2, 3]
    """

    def __init__(self) -> None:
        self._followers: dict[tuple[int, ...], int] = {}  # from a run of tokens to the place after it
        self._num_seen = 0

    def guesses(self, ids: Sequence[int], num_most: int) -> list[int]:
        """Tokens that may come next; none if the end of the text is new.

        Args:
            ids: the text; it begins with the text of the call before.
            num_most: the most guesses.
        """
        self._see(ids)
        for length in LENGTHS:
            place = self._followers.get(tuple(ids[-length:]))
            if place is not None:
                return list(ids[place : place + num_most])
        return []

    def _see(self, ids: Sequence[int]) -> None:
        for place in range(self._num_seen, len(ids)):
            for length in LENGTHS:
                if place >= length:
                    self._followers[tuple(ids[place - length : place])] = place
        self._num_seen = len(ids)


REFILL_SHARE = 4
"""Waiting prompts join when a quarter of the batch is free: reading a prompt costs about as much as a step of all rows.
"""

MIN_SHARED = 8
"""A shorter common beginning is not shared: sharing costs further products in every layer."""

READ_AT_ONCE = 2048
"""Positions of a reading pass, with padding: enough for matrix products at full speed, with limited memory."""

MAX_ROWS = 256
"""Default rows of a batch: more gain nothing on a CPU, and answers would come in larger groups."""


def generate(
    network: GPT2, tokenizer: Tokenizer, prompts: Sequence[Sequence[int]], settings: GenerationSettings
) -> Iterator[Completion]:
    """One completion per prompt, as they are finished; see `CausalLM.generate`.

    The memory is freed when the iterator ends or is closed.

    Raises:
        ModelError: a prompt is empty, or does not fit and no tokens may be dropped. It is raised before anything is
            computed.
    """
    check_fits(prompts, settings, network.config.context_length)
    return Generation(network, tokenizer, prompts, settings).completions()


def stream(
    network: GPT2,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    settings: GenerationSettings,
    on_text: Callable[[str], None],
) -> Completion:
    """One completion, reported piece by piece; see `CausalLM.stream`.

    Raises:
        ModelError: as `generate`.
    """
    check_fits([prompt], settings, network.config.context_length)
    generation = Generation(network, tokenizer, [prompt], settings)
    (answer,) = generation.answers
    for _ in generation.steps():
        text = answer.new_text()
        if text:
            on_text(text)
    return answer.completion()


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


class Generation:
    """The state of one `generate`: waiting prompts, rows in the cache, and rows that are too long for it."""

    def __init__(
        self, network: GPT2, tokenizer: Tokenizer, prompts: Sequence[Sequence[int]], settings: GenerationSettings
    ) -> None:
        self._network = network
        self._sampler = Sampler(settings)
        self._most_guessing = _most_guessing(settings)
        rows = [Row(ids, Answer(position, tokenizer, settings)) for position, ids in enumerate(prompts)]
        self.answers = tuple(row.answer for row in rows)
        # the longest first: similar lengths need the least padding, and missing memory shows at once
        rows.sort(key=lambda row: len(row.ids), reverse=True)
        self._context = network.config.context_length
        self._waiting = deque(row for row in rows if len(row.ids) < self._context)
        self._sliding = [row for row in rows if len(row.ids) >= self._context]
        self._cached: list[Row] = []  # in the order of the cache's rows
        self._shared = _common_beginning([row.ids for row in self._waiting])
        longest = max((len(row.ids) for row in self._waiting), default=0)
        self._capacity = min(longest + settings.max_new_tokens, self._context) - len(self._shared)
        wanted = min(len(prompts), settings.batch_size or MAX_ROWS)
        size = packed_bytes(network) if wanted >= MIN_ROWS else None
        self._is_packed = size is not None and 2 * size <= settings.max_cache_bytes
        available = settings.max_cache_bytes - (size or 0) * self._is_packed
        self._batch_size = max(1, min(wanted, available // self._row_bytes()))

    def completions(self) -> Iterator[Completion]:
        """Write until every prompt has its answer."""
        for completions in self.steps():
            yield from completions

    def steps(self) -> Iterator[list[Completion]]:
        """The answers that end with each forward pass; most passes end none."""
        if self._waiting:
            if self._is_packed:
                self._network = packed(self._network)
            self._cache = self._empty_cache()
            while self._waiting or self._cached:
                num_free = self._batch_size - len(self._cached)
                if self._waiting and (not self._cached or num_free >= self._batch_size / REFILL_SHARE):
                    while self._waiting and len(self._cached) < self._batch_size:
                        yield self._read()
                if self._cached:
                    yield self._write()
            del self._cache
        while self._sliding:
            yield self._slide()

    def _row_bytes(self) -> int:
        """Memory of a row whose answer reaches its limit."""
        element_size = self._network.wte.weight.element_size()
        return max(self._capacity, 1) * bytes_per_position(self._network.config, element_size)

    @torch.inference_mode()
    def _empty_cache(self) -> KeyValueCache:
        shared = read_shared(self._network, self._shared)
        return KeyValueCache(shared, self._batch_size, self._capacity)

    @torch.inference_mode()
    def _read(self) -> list[Completion]:
        """Read waiting prompts into the cache and pick the first token of each."""
        rows = self._next_rows()
        rests = [row.ids[len(self._shared) :] for row in rows]
        ids = torch.tensor([token_id for rest in rests for token_id in rest], device=self._device)  # (N,)
        lengths = [len(rest) for rest in rests]
        reading = Reading(self._cache, lengths)
        hidden = self._network.hidden(
            ids, positions=reading.positions, attend=reading, keep=lambda x: x[reading.last]
        )  # (B, C)
        self._cache.join(lengths)
        self._cached += rows
        return self._take(rows, self._pick(rows, hidden))

    def _next_rows(self) -> list[Row]:
        """Waiting rows for one pass: as many as fit into the cache and the pass."""
        longest = len(self._waiting[0].ids) - len(self._shared)
        num_free = self._batch_size - len(self._cached)
        num_rows = max(1, min(num_free, len(self._waiting), READ_AT_ONCE // longest))
        return [self._waiting.popleft() for _ in range(num_rows)]

    @torch.inference_mode()
    def _write(self) -> list[Completion]:
        """One more token for every row in the cache, and the correct guesses before it."""
        rows, guesses = self._cached, self._guesses()
        num_new = 1 + max(map(len, guesses))
        inputs = [[row.ids[-1], *guess] for row, guess in zip(rows, guesses, strict=True)]
        padded = [[*tokens, *[0] * (num_new - len(tokens))] for tokens in inputs]
        step = Step(self._cache, num_new)
        hidden = self._network.hidden(
            torch.tensor(padded, device=self._device), positions=step.positions, attend=step
        )  # (B, T, C)
        picked = self._pick_all(inputs, hidden)
        self._cache.advance([len(token_ids) for token_ids in picked])
        return self._take(rows, picked)

    def _guesses(self) -> list[list[int]]:
        """The guesses for each row in the cache; the free places of the cache limit them."""
        num_free = self._capacity - max(self._cache.lengths) - 1
        if len(self._cached) > self._most_guessing or num_free < 1:
            return [[] for _ in self._cached]
        return [row.guesses(min(MAX_GUESSES, num_free)) for row in self._cached]

    def _pick_all(self, inputs: list[list[int]], hidden: Tensor) -> list[list[int]]:
        """The tokens after each row's inputs, up to the first wrong guess, from (B, T, C)."""
        if hidden.shape[1] == 1:
            return self._pick(self._cached, hidden[:, 0])
        slots = [row * hidden.shape[1] + at for row, tokens in enumerate(inputs) for at in range(len(tokens))]
        owners = [row for row, tokens in zip(self._cached, inputs, strict=True) for _ in tokens]
        picked = iter(self._pick(owners, hidden.flatten(0, 1)[slots]))
        return [_confirmed([next(picked)[0] for _ in tokens], tokens[1:]) for tokens in inputs]

    @torch.inference_mode()
    def _slide(self) -> list[Completion]:
        """One more token for rows with a full context: the last positions are computed again without a cache."""
        rows = self._sliding[: self._batch_size]
        windows = torch.tensor([row.ids[-self._context :] for row in rows], device=self._device)  # (B, T)
        return self._take(rows, self._pick(rows, self._network.hidden(windows, keep=lambda x: x[:, -1])))

    def _pick(self, rows: list[Row], hidden: Tensor) -> list[list[int]]:
        """A token for each of the rows from their hidden states (B, C)."""
        logits = self._network.logits(hidden)  # (B, V)
        return self._sampler.pick(logits, [row.answer.position for row in rows])[:, None].tolist()

    def _take(self, rows: list[Row], picked: list[list[int]]) -> list[Completion]:
        """Give each of the rows its tokens; return the finished answers."""
        over = [row for row, token_ids in zip(rows, picked, strict=True) if row.add(token_ids)]
        for row in over:
            self._leave(row)
        for row in [row for row in self._cached if len(row.ids) > self._context]:
            self._leave(row)
            self._sliding.append(row)
        return [row.answer.completion() for row in over]

    def _leave(self, row: Row) -> None:
        """Take a row out of the batch; as in the cache, the last row takes its place."""
        if row in self._sliding:
            self._sliding.remove(row)
            return
        place = self._cached.index(row)
        self._cache.drop(place)
        self._cached[place] = self._cached[-1]
        self._cached.pop()

    @property
    def _device(self) -> torch.device:
        return self._network.wte.weight.device


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
