"""A model of transformers as a `CausalLM`. Shapes: B rows, T positions, V vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sftframe import CausalLM


class HFLM(CausalLM):
    """A module of transformers with its tokenizer."""

    module: Any

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.module(input_ids=ids, use_cache=False).logits  # (B, T, V)
        return logits

    def save(self, folder: Path) -> None:
        """Write a folder that `transformers.AutoModelForCausalLM` and `AutoTokenizer` load as well."""
        self.module.save_pretrained(folder)
        self.tokenizer.save(folder)
