"""GPT-2's network: token ids in, hidden states and logits out.

Learned positions, pre-norm blocks, tanh GELU, biases everywhere, the head tied to the token embedding, LayerNorm with
epsilon 1e-5 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners").

Shapes: B rows, T positions, C width, H heads, D width of a head (C / H), V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sftframe import tied_embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """The sizes of one GPT-2."""

    vocab_size: int
    context_length: int
    width: int
    num_layers: int
    num_heads: int
    dropout: float = 0.0

    @property
    def num_parameters(self) -> int:
        """Number of trainable values, the tied head counted once."""
        block = 12 * self.width**2 + 13 * self.width
        return (self.vocab_size + self.context_length) * self.width + self.num_layers * block + 2 * self.width


class Attend(Protocol):
    """How positions see each other; everything else in the network computes each position alone.

    It maps the queries, keys and values of one layer, joined to (…, 3 C), to the mixed values, (…, C). `CausalRows` is
    the plain form; the key-value cache has another. Other layouts of positions are possible too.
    """

    def __call__(self, layer: int, joined: Tensor) -> Tensor: ...


FEW_ROWS = range(4, 65)
"""Up to this number of rows the head is faster in slices on a CPU: 16 instead of 20 ms for 32 rows of GPT-2 124M."""

SLICE_ROWS = 1024
"""Rows of the head that are multiplied at a time: as many as fit into the CPU's caches."""

Keep = Callable[[Tensor], Tensor]
"""Chooses positions: (N, C) to (M, C)."""


class CausalRows:
    """Plain causal attention: (B, T, C), each position sees itself and those before it in its row."""

    def __init__(self, num_heads: int, dropout: float = 0.0) -> None:
        self.num_heads = num_heads
        self.dropout = dropout

    def __call__(self, layer: int, joined: Tensor) -> Tensor:
        query, key, value = (split_heads(x, self.num_heads) for x in joined.chunk(3, dim=-1))  # each (B, H, T, D)
        return join_heads(F.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout, is_causal=True))


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, T, C) to (B, H, T, D)."""
    return x.view(*x.shape[:-1], num_heads, -1).transpose(-3, -2)


def join_heads(x: Tensor) -> Tensor:
    """(B, H, T, D) to (B, T, C)."""
    return x.transpose(-3, -2).flatten(-2)


class Attention(nn.Module):
    """Self-attention: one map to queries, keys and values, and one back."""

    def __init__(self, config: NetworkConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.width, 3 * config.width)
        self.c_proj = nn.Linear(config.width, config.width)

    def forward(self, mixed: Tensor) -> Tensor:
        """The way back: (…, C) to (…, C)."""
        return F.dropout(self.c_proj(mixed), self.dropout, training=self.training)


class FeedForward(nn.Module):
    """Two linear maps, four times the width between them."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.c_fc = nn.Linear(config.width, 4 * config.width)
        self.c_proj = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))  # (…, C)
        return F.dropout(x, self.dropout, training=self.training)


class Block(nn.Module):
    """Attention, then feed-forward, each after its own LayerNorm and added to what came in."""

    def __init__(self, config: NetworkConfig, layer: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width, eps=1e-5)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.width, eps=1e-5)
        self.mlp = FeedForward(config)
        self.halves = (before_attention, after_attention)  # or the same compiled, for training

    def forward(self, x: Tensor, attend: Attend, keep: Keep | None = None) -> Tensor:
        """One layer; with `keep`, the output has only the positions that it keeps, but attention sees all of them."""
        before, after = self.halves if self.training else (before_attention, after_attention)
        mixed = attend(self.attn.layer, before(self, x))  # (…, C)
        if keep is not None:
            x, mixed = keep(x), keep(mixed)
        return after(self, x, mixed)


def before_attention(block: Block, x: Tensor) -> Tensor:
    """A layer up to its attention: (…, C) to joined queries, keys and values, (…, 3 C)."""
    joined: Tensor = block.attn.c_attn(block.ln_1(x))
    return joined


def after_attention(block: Block, x: Tensor, mixed: Tensor) -> Tensor:
    """A layer after its attention: the layer's input and the attention's output, (…, C) each, to the layer's output,
    (…, C).
    """
    x = x + block.attn(mixed)
    grown: Tensor = x + block.mlp(block.ln_2(x))
    return grown


class GPT2(nn.Module):
    """The network. Parameter names follow OpenAI's variables (`wte`, `wpe`, `h.0.attn.c_attn`, …, `ln_f`)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.is_recomputing = False  # gradient checkpointing: only the layers' inputs are kept for the backward pass
        self.wte = nn.Embedding(config.vocab_size, config.width)
        self.wpe = nn.Embedding(config.context_length, config.width)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.ln_f = nn.LayerNorm(config.width, eps=1e-5)
        self.head: nn.Module | None = None  # None: the token embedding; else an equal map in another layout

    def hidden(
        self,
        ids: Tensor,
        *,
        positions: Tensor | None = None,
        attend: Attend | None = None,
        keep: Keep | None = None,
    ) -> Tensor:
        """The last hidden states, normalised: the first result of `states_and_head`."""
        return self.states_and_head(ids, positions=positions, attend=attend, keep=keep)[0]

    def states_and_head(
        self,
        ids: Tensor,
        *,
        positions: Tensor | None = None,
        attend: Attend | None = None,
        keep: Keep | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The last hidden states, normalised, and the head to multiply them with if gradients are wanted.

        Args:
            ids: int64, (B, T) or any other layout that `attend` knows.
            positions: int64, broadcastable to `ids`; by default 0 … T-1.
            attend: how positions see each other; by default `CausalRows`.
            keep: the wanted positions; the last layer computes only keys and values for the others.

        Returns:
            (B, T, C) and (V, C).
        """
        dropout = self.config.dropout if self.training else 0.0
        if positions is None:
            positions = torch.arange(ids.shape[-1], device=ids.device)  # (T,)
        if attend is None:
            attend = CausalRows(self.config.num_heads, dropout)
        tokens, head = tied_embedding(self.wte.weight, ids)
        x = tokens + self.wpe(positions)  # (B, T, C)
        x = F.dropout(x, dropout)
        *lower, last = self.h
        for block in lower:
            x = checkpoint(block, x, attend, use_reentrant=False) if self.is_recomputing else block(x, attend)
        x = last(x, attend, keep)
        return self.ln_f(x), head

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (…, C) to logits (…, V) through the tied head."""
        if self.head is not None:
            logits: Tensor = self.head(hidden)
            return logits
        if hidden.is_cpu and hidden.ndim == 2 and len(hidden) in FEW_ROWS and not torch.is_grad_enabled():
            return _logits_of_few(hidden, self.wte.weight)
        return F.linear(hidden, self.wte.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids int64 (B, T) to logits (B, T, V)."""
        return F.linear(*self.states_and_head(ids))

    def compile_layers(self, backend: str = "inductor") -> None:
        """Have torch compile the layers for training, without attention: once, for any number of positions.

        All layers share the compiled code. Attention is not compiled: its kernels are written by hand, and its shapes
        differ most from batch to batch.
        """
        before = torch.compile(before_attention, dynamic=True, backend=backend)
        after = torch.compile(after_attention, dynamic=True, backend=backend)
        for block in self.h:
            assert isinstance(block, Block)
            block.halves = (before, after)

    def initialise(self, seed: int) -> None:
        """Random weights as in GPT-2's training: normal(0, 0.02), residual projections scaled by 1/sqrt(2 layers).

        The same seed gives the same weights on every device: the numbers are drawn on the CPU.
        """
        generator = torch.Generator().manual_seed(seed)
        residual = 0.02 / math.sqrt(2 * self.config.num_layers)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
                elif ".ln_" in name or name.startswith("ln_"):
                    parameter.fill_(1.0)
                else:
                    std = residual if name.endswith("c_proj.weight") else 0.02
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)


def _logits_of_few(hidden: Tensor, head: Tensor) -> Tensor:
    """(N, C) and (V, C) to (N, V), the vocabulary in slices."""
    logits = hidden.new_empty(len(hidden), len(head))
    for start in range(0, len(head), SLICE_ROWS):
        part = slice(start, start + SLICE_ROWS)
        torch.mm(hidden, head[part].t(), out=logits[:, part])
    return logits
