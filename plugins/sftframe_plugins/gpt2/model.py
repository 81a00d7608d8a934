"""GPT-2 as a `CausalLM`: scores batches, writes answers, saves and exports itself.

Shapes: B rows, T positions, C width, V vocabulary, N counted targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe import (
    IGNORED,
    Batch,
    CausalLM,
    CompactAttention,
    CompactBatch,
    Completion,
    ExportSettings,
    GenerationSettings,
    compact,
    select_states,
    term_nll,
    weighted_loss,
)
from sftframe_plugins.gpt2.export import EXPORTS
from sftframe_plugins.gpt2.generation import generate, stream
from sftframe_plugins.gpt2.network import GPT2
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.layout import tensors_of, write_config

WEIGHTS_FILE = "model.safetensors"


class GPT2LM(CausalLM):
    """A network with its tokenizer; writes with a key-value cache, scores counted targets only."""

    module: GPT2
    tokenizer: BytePairTokenizer
    export_targets: ClassVar[tuple[str, ...]] = tuple(EXPORTS)

    def __init__(self, network: GPT2, tokenizer: BytePairTokenizer) -> None:
        super().__init__(network, tokenizer, network.config.context_length)

    def loss_sum(self, batch: Batch) -> Tensor:
        """As `CausalLM.loss_sum`; positions that cannot change the loss are skipped, shared beginnings are computed
        once.
        """
        if not self.is_compacting:
            return super().loss_sum(batch)
        layout, states, head = self._states(batch)
        return weighted_loss(states, head, layout)

    def token_nll(self, batch: Batch) -> Tensor:
        """As `CausalLM.token_nll`, but logits exist for counted targets alone: (N, V) instead of (B, T, V)."""
        if self.is_compacting and not torch.is_grad_enabled():
            layout, states, head = self._states(batch)
            return layout.spread(term_nll(states, head, layout))
        self.module.is_recomputing = self.is_recomputing and torch.is_grad_enabled()
        counted = batch.targets != IGNORED  # (B, T)
        hidden, head = self.module.states_and_head(batch.inputs)  # (B, T, C)
        logits = F.linear(hidden[counted], head).float()  # (N, V)
        losses = F.cross_entropy(logits, batch.targets[counted], reduction="none")  # (N,)
        return torch.zeros(counted.shape, device=losses.device).masked_scatter(counted, losses)

    def _states(self, batch: Batch) -> tuple[CompactBatch, Tensor, Tensor]:
        """The needed positions of the batch, the hidden states at those with a counted target, (M, C), and the head."""
        config = self.module.config
        self.module.is_recomputing = self.is_recomputing and torch.is_grad_enabled()
        dropout = config.dropout if self.module.training else 0.0
        layout = compact(batch, share=dropout == 0)
        attention = CompactAttention(layout, config.num_heads, dropout=dropout)

        def attend(layer: int, joined: Tensor) -> Tensor:
            return attention(joined)

        states, head = self.module.states_and_head(
            layout.ids, positions=layout.positions, attend=attend, keep=lambda x: select_states(x, layout.states)
        )
        return layout, states, head

    def compile(self) -> None:
        self.module.compile_layers()

    def generate(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> Iterator[Completion]:
        return generate(self.module, self.tokenizer, prompts, settings)

    def stream(self, prompt: Sequence[int], settings: GenerationSettings, on_text: Callable[[str], None]) -> Completion:
        return stream(self.module, self.tokenizer, prompt, settings, on_text)

    def save(self, folder: Path) -> None:
        """Write a folder that `transformers.AutoModelForCausalLM` and `AutoTokenizer` load as well."""
        from safetensors.torch import save_file

        save_file(tensors_of(self.module), folder / WEIGHTS_FILE, metadata={"format": "pt"})
        write_config(self.module.config, self.tokenizer.end_id, folder / "config.json")
        self.tokenizer.save(folder)

    def export(self, folder: Path, settings: ExportSettings) -> None:
        if settings.target not in EXPORTS:
            return super().export(folder, settings)
        return EXPORTS[settings.target](folder, self.module, self.tokenizer, settings)
