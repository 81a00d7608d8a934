"""GPT-2's network: token ids in, hidden states and logits out.

Learned positions, pre-norm blocks, tanh GELU, biases everywhere, the head tied to the token embedding, LayerNorm with
epsilon 1e-5 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"). The module knows nothing of
tokenizers, files, losses or devices.

Shapes: B rows, T new positions, S cached positions, C width, H heads, D width of a head (C / H), V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from sftframe_plugins.gpt2.cache import KeyValueCache


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


class Attention(nn.Module):
    """Causal self-attention over the new positions and whatever a cache already holds."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.width, 3 * config.width)
        self.c_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, layer: int = 0) -> Tensor:
        num_rows, num_new, width = x.shape  # (B, T, C)
        heads = self.c_attn(x).view(num_rows, num_new, 3, self.num_heads, width // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
        dropout = self.dropout if self.training else 0.0
        if cache is None:
            mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        else:
            key, value = cache.extend(layer, key, value)  # each (B, H, S + T, D)
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=cache.mask(num_new))
        mixed = mixed.transpose(1, 2).reshape(num_rows, num_new, width)  # (B, T, C)
        return F.dropout(self.c_proj(mixed), dropout)


class FeedForward(nn.Module):
    """Two linear maps, four times the width between them."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.c_fc = nn.Linear(config.width, 4 * config.width)
        self.c_proj = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))  # (B, T, C)
        return F.dropout(x, self.dropout, training=self.training)


class Block(nn.Module):
    """Attention, then feed-forward, each behind its own LayerNorm and added to what came in."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width, eps=1e-5)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.width, eps=1e-5)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, layer: int = 0) -> Tensor:
        x = x + self.attn(self.ln_1(x), cache, layer)
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """The network. Parameter names follow OpenAI's variables (`wte`, `wpe`, `h.0.attn.c_attn`, …, `ln_f`)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.width)
        self.wpe = nn.Embedding(config.context_length, config.width)
        self.h = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.ln_f = nn.LayerNorm(config.width, eps=1e-5)

    def hidden(self, ids: Tensor, *, positions: Tensor | None = None, cache: KeyValueCache | None = None) -> Tensor:
        """The last hidden states, normalised.

        Args:
            ids: int64 (B, T).
            positions: int64, broadcastable to (B, T); by default 0 … T-1.
            cache: keys and values of earlier positions; it is extended in place.

        Returns:
            (B, T, C).
        """
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device)  # (T,)
        x = self.wte(ids) + self.wpe(positions)  # (B, T, C)
        x = F.dropout(x, self.config.dropout, training=self.training)
        for layer, block in enumerate(self.h):
            x = block(x, cache, layer)
        normalised: Tensor = self.ln_f(x)
        return normalised

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (…, C) to logits (…, V) through the tied head."""
        return F.linear(hidden, self.wte.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids int64 (B, T) to logits (B, T, V)."""
        return self.logits(self.hidden(ids))

    def initialise(self, seed: int) -> None:
        """Random weights as GPT-2 began with: normal(0, 0.02), residual projections scaled by 1/sqrt(2 layers).

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
