"""Any causal language model of transformers as a `CausalLM`: scores batches, writes answers, saves and exports itself.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from sftframe import Batch, CausalLM, Completion, ExportSettings, GenerationSettings, Tokenizer
from sftframe_plugins.hf.attention import DropoutError
from sftframe_plugins.hf.export import EXPORTS, save
from sftframe_plugins.hf.generation import generate, stream
from sftframe_plugins.hf.passes import Passes, Scored
from sftframe_plugins.hf.proof import Proof, find_head, prove
from sftframe_plugins.hf.ways import Way, find_way


class HFLM(CausalLM):
    """A network of transformers with its tokenizer.

    Batches are compacted where a proof on the loaded network has shown that this changes nothing, see `proof`.
    """

    module: PreTrainedModel
    export_targets: ClassVar[tuple[str, ...]] = tuple(EXPORTS)

    def __init__(self, module: PreTrainedModel, tokenizer: Tokenizer, context_length: int) -> None:
        super().__init__(module, tokenizer, context_length)
        self._passes = Passes(module)
        self._drops_attention = False
        self._is_checkpointing = False

    @cached_property
    def proof(self) -> Proof:
        """What a short computation has shown about this network; it is made on first use."""
        return prove(self.module, self._passes)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes()) if self.is_compacting else ()

    def logits(self, ids: Tensor) -> Tensor:
        return self._passes.logits(ids)

    def loss_sum(self, batch: Batch) -> Tensor:
        """As `CausalLM.loss_sum`; where the proof allows it, positions that cannot change the loss are skipped, and
        shared beginnings are computed once.
        """
        return self._scored(batch).loss()

    def token_nll(self, batch: Batch) -> Tensor:
        """As `CausalLM.token_nll`; logits exist for counted targets alone."""
        return self._scored(batch).nll()

    def compile(self) -> None:
        """Have torch compile the layers, without attention: once, for all layers and any number of positions.

        Answers are written by a twin of the network, which is not compiled.
        """
        compile_layers(self.layers)

    def generate(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> Iterator[Completion]:
        self._passes.own_attention()
        way = self._way if prompts else None
        return generate(self.module, self.tokenizer, prompts, settings, context_length=self.context_length, way=way)

    def stream(self, prompt: Sequence[int], settings: GenerationSettings, on_text: Callable[[str], None]) -> Completion:
        self._passes.own_attention()
        return stream(
            self.module, self.tokenizer, prompt, settings, on_text, context_length=self.context_length, way=self._way
        )

    @cached_property
    def _way(self) -> Way:
        """How answers are written; it is found out on first use."""
        return find_way(self.module, self.context_length)

    def save(self, folder: Path) -> None:
        """Write a folder that `transformers.AutoModelForCausalLM` and `AutoTokenizer` load as well."""
        self._passes.own_attention()
        save(folder, self.module, self.tokenizer)

    def export(self, folder: Path, settings: ExportSettings) -> None:
        if settings.target not in EXPORTS:
            return super().export(folder, settings)
        self._passes.own_attention()
        return EXPORTS[settings.target](folder, self.module, self.tokenizer, settings)

    def _scored(self, batch: Batch) -> Scored:
        is_recomputing = self._recomputes()
        if self._compacts(batch):
            share = not (self.module.training and _has_dropout(self.module))
            try:
                return self._passes.compact(batch, share=share, is_recomputing=is_recomputing)
            except DropoutError:
                self._drops_attention = True
        if self._passes.has_plain_head is None:
            find_head(self.module, self._passes)
        return self._passes.padded(batch)

    def _compacts(self, batch: Batch) -> bool:
        if not self.is_compacting or not self.proof.is_compact or (self._drops_attention and self.module.training):
            return False
        return self.proof.limit is None or batch.inputs.shape[1] <= self.proof.limit

    def _recomputes(self) -> bool:
        """Whether layers are computed again in the backward pass; the network's own switch follows the wish."""
        if not self.module.supports_gradient_checkpointing:
            return False
        wish = self.is_recomputing
        if wish != self._is_checkpointing:
            self._is_checkpointing = wish
            _checkpoint(self.module, wish)
        return wish and self.module.training and torch.is_grad_enabled()

    def _notes(self) -> Iterator[str]:
        if not self.proof.is_compact:
            yield f"batches of this model are computed padded, which is exact but slower: {self.proof.reason}"
        elif self.proof.limit is not None and self.proof.limit < self.context_length:
            yield (
                f"batches with rows of more than {self.proof.limit} tokens are computed padded, which is exact but "
                "slower: beyond that, a position of this model may depend on more than its row"
            )


def compile_layers(layers: Sequence[nn.Module], backend: str = "inductor") -> None:
    """Compile layers in place; they share their compiled code, as they differ in their weights alone."""
    for layer in layers:
        layer.compile(dynamic=True, backend=backend)


def _has_dropout(module: nn.Module) -> bool:
    return any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in module.modules())


def _checkpoint(module: PreTrainedModel, wish: bool) -> None:
    """Switch gradient checkpointing on or off; newer versions of transformers call it activation checkpointing."""
    name = "activation" if hasattr(module, "activation_checkpointing_enable") else "gradient"
    if wish:
        getattr(module, f"{name}_checkpointing_enable")({"use_reentrant": False})
    else:
        getattr(module, f"{name}_checkpointing_disable")()
