"""Models of transformers as `CachingNetwork`: with a cache of our own, with the model's own cache, or without one.

Shapes: B rows, T positions, N positions of all rows, V vocabulary.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache
from transformers.pytorch_utils import Conv1D

from sftframe_plugins.hf.row_cache import ATTENTION, Holder, Pass, RowCache, connect
from sftframe_plugins.writing.loop import CachingNetwork
from sftframe_plugins.writing.packed import PackedLinear, has_kernels


def twin_of(module: nn.Module) -> nn.Module:
    """A copy of the structure alone, in evaluation mode; it has the module's own parameters and buffers."""
    own = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    twin: nn.Module = copy.deepcopy(module, own)
    return twin.eval()


class ModelNetwork(CachingNetwork):
    """What the ways of computing a model have in common: packing, and texts without a cache.

    Args:
        module: a causal language model of transformers. It stays as it is.
        cached_length: the longest text for which the cache is right.
    """

    def __init__(self, module: nn.Module, cached_length: int) -> None:
        self._model = twin_of(module)
        self._cached_length = cached_length
        self._takes = frozenset(inspect.signature(module.forward).parameters)

    @property
    def device(self) -> torch.device:
        return next(self._model.parameters()).device

    @property
    def cached_length(self) -> int:
        return self._cached_length

    @property
    def packed_bytes(self) -> int | None:
        packable = [linear for _, _, linear in _plain_linears(self._model)]
        if not packable or not has_kernels():
            return None
        sizes: list[int] = [linear.weight.numel() * linear.weight.element_size() for linear in packable]
        return sum(sizes)

    def pack(self) -> None:
        with torch.no_grad():
            for owner, name, linear in list(_plain_linears(self._model)):
                weight = linear.weight.t() if type(linear) is Conv1D else linear.weight
                owner.add_module(name, PackedLinear(weight, linear.bias))

    def window_logits(self, windows: Sequence[Sequence[int]]) -> Tensor:
        ids = torch.tensor(windows, device=self.device)  # (B, T)
        logits: Tensor = self._last_logits(ids, use_cache=False).logits[:, -1]
        return logits

    def _last_logits(self, ids: Tensor, **inputs: Any) -> Any:
        """The model's output with logits at least for last positions: (B, 1 or T, V)."""
        if "logits_to_keep" in self._takes:
            inputs["logits_to_keep"] = 1
        return self._model(input_ids=ids, **inputs)


def _plain_linears(model: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """Linear maps that can be packed: the module around each, its name there, and itself."""
    for owner in model.modules():
        for name, layer in owner.named_children():
            is_alone = type(layer) in (nn.Linear, Conv1D) and not (layer._forward_hooks or layer._forward_pre_hooks)
            if is_alone and layer.weight.device.type == "cpu" and layer.weight.dtype == torch.float32:
                yield owner, name, layer


class RowNetwork(ModelNetwork):
    """A model that attends to our own cache: rows of any lengths without padding."""

    def __init__(self, module: nn.Module, cached_length: int, attention: str = ATTENTION) -> None:
        super().__init__(module, cached_length)
        self._bare = self._model  # for windows: its attention is its own
        self._model = twin_of(module)
        self._holder: Holder = connect(self._model, attention)
        self._position_bytes = 0

    @property
    def _cache(self) -> RowCache:
        assert self._holder.cache is not None, "`open` comes first"
        return self._holder.cache

    def row_bytes(self, num_positions: int) -> int:
        if not self._position_bytes:
            self._measure()
        return num_positions * self._position_bytes

    @torch.inference_mode()
    def _measure(self) -> None:
        """Learn from one position what the layers keep."""
        self.open([], 1, 1)
        self.read([[0]])
        blocks = [block for kept in self._cache.kept.values() for block in kept.blocks]
        self._position_bytes = sum(block.numel() * block.element_size() for block in blocks)
        self.close()

    def open(self, shared: Sequence[int], num_rows: int, capacity: int) -> None:
        cache = RowCache(num_rows, capacity)
        if shared:
            self._holder.cache = RowCache(1, len(shared))
            self.read([shared])
            cache.share(self._cache)
        self._holder.cache = cache

    def close(self) -> None:
        self._holder.cache = None

    def read(self, texts: Sequence[Sequence[int]]) -> Tensor:
        lengths = [len(text) for text in texts]
        new = Pass(self._cache, len(self._cache.lengths), [0] * len(texts), lengths, self.device)
        logits = self._logits(texts, new, new.last)
        self._cache.lengths += lengths
        return logits

    def write(self, inputs: Sequence[Sequence[int]]) -> Tensor:
        new = Pass(self._cache, 0, self._cache.lengths, [len(tokens) for tokens in inputs], self.device)
        return self._logits(inputs, new, None)

    def _logits(self, texts: Sequence[Sequence[int]], new: Pass, keep: Tensor | None) -> Tensor:
        """The logits of a pass, at the kept ones of its N positions or at all of them."""
        self._cache.begin(new)
        ids = torch.tensor([[token_id for text in texts for token_id in text]], device=self.device)  # (1, N)
        inputs: dict[str, Any] = {"position_ids": new.positions[None]} if "position_ids" in self._takes else {}
        if keep is not None and "logits_to_keep" in self._takes:
            inputs["logits_to_keep"], keep = keep, None
        logits: Tensor = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True, **inputs).logits[0]
        return logits if keep is None else logits[keep]

    def advance(self, num_kept: Sequence[int]) -> None:
        self._cache.advance(num_kept)

    def drop(self, place: int) -> None:
        self._cache.drop(place)

    def window_logits(self, windows: Sequence[Sequence[int]]) -> Tensor:
        model, self._model = self._model, self._bare
        try:
            return super().window_logits(windows)
        finally:
            self._model = model


class PaddedNetwork(ModelNetwork):
    """A model with its own cache: a batch is padded on the left, read once, and ends as a whole."""

    can_join: ClassVar[bool] = False
    can_guess: ClassVar[bool] = False
    can_share: ClassVar[bool] = False
    read_at_once: ClassVar[int] = 8192

    def __init__(self, module: nn.Module, cached_length: int) -> None:
        super().__init__(module, cached_length)
        self._state: Any = None
        self._state_name = ""
        self._rows: list[int] = []  # the cache's row of each place
        self._mask = torch.empty(0, 0)  # (B, T)
        self._bytes = (0, 0)

    def row_bytes(self, num_positions: int) -> int:
        if self._bytes == (0, 0):
            self._measure()
        fixed, each = self._bytes
        return fixed + each * num_positions

    @torch.inference_mode()
    def _measure(self) -> None:
        """Learn from two lengths what a row keeps in any case, and what for each position."""
        sizes = []
        for length in (2, 6):
            self.read([[0] * length])
            sizes.append(_num_bytes(self._state))
            self.close()
        each = max(0, (sizes[1] - sizes[0]) // 4)
        self._bytes = max(1, sizes[0] - 2 * each), each

    def open(self, shared: Sequence[int], num_rows: int, capacity: int) -> None:
        assert not shared, "rows share nothing"

    def close(self) -> None:
        self._state, self._rows = None, []

    def read(self, texts: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, texts))
        gaps = [longest - len(text) for text in texts]
        ids = torch.tensor([[0] * gap + list(text) for gap, text in zip(gaps, texts, strict=True)], device=self.device)
        columns = torch.arange(longest, device=self.device)
        self._mask = (columns >= torch.tensor(gaps, device=self.device)[:, None]).long()  # (B, T)
        self._rows = list(range(len(texts)))
        self._state = None
        return self._logits(ids)

    def write(self, inputs: Sequence[Sequence[int]]) -> Tensor:
        if self._rows != list(range(len(self._mask))):
            chosen = torch.tensor(self._rows, device=self.device)
            self._state.reorder_cache(chosen)
            self._mask = self._mask[chosen]
            self._rows = list(range(len(self._rows)))
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(inputs), 1)], dim=1)
        return self._logits(torch.tensor(inputs, device=self.device))

    def _logits(self, ids: Tensor) -> Tensor:
        """Logits after the new positions, and the model's state with them: (B, T) to (B, V)."""
        inputs: dict[str, Any] = {"use_cache": True}
        if not self.needs_equal_lengths:
            inputs["attention_mask"] = self._mask
        if "position_ids" in self._takes:
            inputs["position_ids"] = (self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if self._state is not None:
            inputs[self._state_name] = self._state
        output = self._last_logits(ids, **inputs)
        self._state_name, self._state = next((key, x) for key, x in output.items() if isinstance(x, Cache))
        logits: Tensor = output.logits[:, -1]
        return logits

    def advance(self, num_kept: Sequence[int]) -> None:
        assert set(num_kept) == {1}, "nothing is guessed"

    def drop(self, place: int) -> None:
        self._rows[place] = self._rows[-1]
        self._rows.pop()


class EqualNetwork(PaddedNetwork):
    """A model with its own cache that cannot be padded: only prompts of one length are read together."""

    needs_equal_lengths: ClassVar[bool] = True


class PlainNetwork(ModelNetwork):
    """A model whose cache is not used: every token is computed from the whole text."""

    can_join: ClassVar[bool] = False
    can_guess: ClassVar[bool] = False
    can_share: ClassVar[bool] = False

    def __init__(self, module: nn.Module, cached_length: int = 0) -> None:
        super().__init__(module, 0)

    @property
    def packed_bytes(self) -> int | None:
        return None

    def row_bytes(self, num_positions: int) -> int:
        return 1

    def window_logits(self, windows: Sequence[Sequence[int]]) -> Tensor:
        return torch.cat([super(PlainNetwork, self).window_logits([window]) for window in windows])

    def _has_no_cache(self) -> Any:
        raise AssertionError("no text is short enough for a cache")

    def open(self, shared: Sequence[int], num_rows: int, capacity: int) -> None:
        self._has_no_cache()

    def close(self) -> None:
        self._has_no_cache()

    def read(self, texts: Sequence[Sequence[int]]) -> Tensor:
        return self._has_no_cache()  # type: ignore[no-any-return]

    def write(self, inputs: Sequence[Sequence[int]]) -> Tensor:
        return self._has_no_cache()  # type: ignore[no-any-return]

    def advance(self, num_kept: Sequence[int]) -> None:
        self._has_no_cache()

    def drop(self, place: int) -> None:
        self._has_no_cache()


def _num_bytes(state: Any) -> int:
    """Memory of all tensors in a cache's layers."""
    tensors = [x for layer in state.layers for x in _tensors(vars(layer))]
    return sum(x.numel() * x.element_size() for x in tensors)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
