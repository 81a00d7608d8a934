"""Writes GPT-2's answers in batches with a key-value cache; the tokens are the same as for one prompt at a time without
a cache.

The rest of the prompts is read without padding, and the head is computed for last positions only.

Shapes: B rows, T positions, N positions of all rows, C width, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from sftframe import Completion, GenerationSettings, Tokenizer
from sftframe_plugins.gpt2.network import GPT2, Attention, Block, FeedForward
from sftframe_plugins.gpt2.passes import KeyValueCache, Reading, Step, bytes_per_position, read_shared
from sftframe_plugins.writing import loop
from sftframe_plugins.writing.loop import CachingNetwork, Loop
from sftframe_plugins.writing.packed import PackedLinear, has_kernels


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
    if network.training or weight.device.type != "cpu" or weight.dtype != torch.float32 or not has_kernels():
        return None
    num_weights = 12 * network.config.num_layers * network.config.width**2 + weight.numel()
    return num_weights * weight.element_size()


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


def _packed_linear(linear: nn.Module) -> nn.Module:
    return PackedLinear(linear.weight, linear.bias) if type(linear) is nn.Linear else linear


def _is_plain(layer: nn.Module) -> bool:
    return type(layer) is FeedForward and type(layer.c_fc) is type(layer.c_proj) is nn.Linear


def generate(
    network: GPT2, tokenizer: Tokenizer, prompts: Sequence[Sequence[int]], settings: GenerationSettings
) -> Iterator[Completion]:
    """One completion per prompt, as they are finished; see `CausalLM.generate`.

    The memory is freed when the iterator ends or is closed.

    Raises:
        ModelError: a prompt is empty, or does not fit and no tokens may be dropped. It is raised before anything is
            computed.
    """
    return Loop(Caching(network), tokenizer, prompts, settings, network.config.context_length).completions()


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
    return loop.stream(Loop(Caching(network), tokenizer, [prompt], settings, network.config.context_length), on_text)


class Caching(CachingNetwork):
    """A network with its key-value cache."""

    def __init__(self, network: GPT2) -> None:
        self._network = network
        self._cache: KeyValueCache | None = None

    @property
    def device(self) -> torch.device:
        return self._network.wte.weight.device

    @property
    def cached_length(self) -> int:
        return self._network.config.context_length

    def row_bytes(self, num_positions: int) -> int:
        return num_positions * bytes_per_position(self._network.config, self._network.wte.weight.element_size())

    @property
    def packed_bytes(self) -> int | None:
        return packed_bytes(self._network)

    def pack(self) -> None:
        self._network = packed(self._network)

    def open(self, shared: Sequence[int], num_rows: int, capacity: int) -> None:
        self._cache = KeyValueCache(read_shared(self._network, shared), num_rows, capacity)

    def close(self) -> None:
        self._cache = None

    def read(self, texts: Sequence[Sequence[int]]) -> Tensor:
        cache = self._open_cache
        ids = torch.tensor([token_id for text in texts for token_id in text], device=self.device)  # (N,)
        lengths = [len(text) for text in texts]
        reading = Reading(cache, lengths)
        hidden = self._network.hidden(
            ids, positions=reading.positions, attend=reading, keep=lambda x: x[reading.last]
        )  # (B, C)
        cache.join(lengths)
        return self._network.logits(hidden)

    def write(self, inputs: Sequence[Sequence[int]]) -> Tensor:
        num_new = max(map(len, inputs))
        padded = [[*tokens, *[0] * (num_new - len(tokens))] for tokens in inputs]
        step = Step(self._open_cache, num_new)
        ids = torch.tensor(padded, device=self.device)  # (B, T)
        hidden = self._network.hidden(ids, positions=step.positions, attend=step).flatten(0, 1)  # (B * T, C)
        if num_new > 1:
            hidden = hidden[[row * num_new + at for row, tokens in enumerate(inputs) for at in range(len(tokens))]]
        return self._network.logits(hidden)

    def advance(self, num_kept: Sequence[int]) -> None:
        self._open_cache.advance(num_kept)

    def drop(self, place: int) -> None:
        self._open_cache.drop(place)

    def window_logits(self, windows: Sequence[Sequence[int]]) -> Tensor:
        ids = torch.tensor(windows, device=self.device)  # (B, T)
        return self._network.logits(self._network.hidden(ids, keep=lambda x: x[:, -1]))

    @property
    def _open_cache(self) -> KeyValueCache:
        assert self._cache is not None, "`open` comes first"
        return self._cache
