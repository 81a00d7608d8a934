"""The base classes of models: a backend finds weights and loads them; a causal language model scores and writes tokens.

A plain `nn.Module` that maps ids to logits is enough: every other method has a plain body here. The test kit compares
faster overrides with these bodies.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from sftframe.errors import ModelError
from sftframe.plugins.interfaces import Component, Tokenizer
from sftframe.records import Batch, Completion, ExportSettings, GenerationSettings

if TYPE_CHECKING:
    import torch


class CausalLM(ABC):
    """A loaded model, ready to train and to write.

    Args:
        module: maps int64 (B, T) to logits (B, T, V); moved to its device already.
        tokenizer: the one that the weights were trained with.
        context_length: the most positions that a row may have.

    A model may follow two wishes or ignore them. `is_compacting` (from `train.compact`): skip positions of a batch that
    cannot change the result, see `sftframe.compact`. `is_recomputing` (from `train.gradient_checkpointing`): keep only
    the layers' inputs for the backward pass.
    """

    export_targets: ClassVar[tuple[str, ...]] = ()
    """The forms that `export` can write."""

    def __init__(self, module: torch.nn.Module, tokenizer: Tokenizer, context_length: int) -> None:
        self.module = module
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.is_compacting = True
        self._is_recomputing = False
        self._knows_recomputing = False

    @property
    def is_recomputing(self) -> bool:
        """Whether the user wants `train.gradient_checkpointing`; a model that can do it reads this in every step."""
        self._knows_recomputing = True
        return self._is_recomputing

    @is_recomputing.setter
    def is_recomputing(self, wish: bool) -> None:
        self._is_recomputing = wish

    @property
    def ignores_recomputing(self) -> bool:
        """Whether the wish was there and the model has never looked at it."""
        return self._is_recomputing and not self._knows_recomputing

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know about how this model computes, one line each; said once, before it is trained."""
        return ()

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.module.parameters()).device

    @property
    def layers(self) -> Sequence[torch.nn.Module]:
        """The module's layers, in order. Training on several processes has one of them whole at a time.

        This body finds the list of modules of one class that has the most weights. A model whose layers are not in a
        `ModuleList` or a `Sequential`, or are called in another way than `layer(...)`, gives its own, or none.
        """
        from torch import nn

        lists = [one for one in self.module.modules() if isinstance(one, nn.ModuleList | nn.Sequential)]
        alike = [list(one) for one in lists if len(one) > 1 and len({type(layer) for layer in one}) == 1]
        return max(alike, key=lambda found: sum(p.numel() for layer in found for p in layer.parameters()), default=[])

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """int64 (B, T) to (B, T, V)."""
        logits: torch.Tensor = self.module(ids)
        return logits

    def token_nll(self, batch: Batch) -> torch.Tensor:
        """Negative log-likelihood of every counted target, nats, float32 (B, T); 0 where a target does not count."""
        import torch.nn.functional as F

        logits = self.logits(batch.inputs)  # (B, T, V)
        losses = F.cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten(), reduction="none")
        return losses.view_as(batch.targets)

    def loss_sum(self, batch: Batch) -> torch.Tensor:
        """Sum of the weighted losses of the counted targets, a float32 scalar with gradient.

        It is a sum, not a mean: the core divides by the weights of the whole optimizer step, which may have several
        batches.
        """
        losses = self.token_nll(batch)
        return losses.sum() if batch.weights is None else (losses * batch.weights).sum()

    @final
    def loss(self, batch: Batch) -> torch.Tensor:
        """Weighted mean loss of one batch by itself: `loss_sum` over the sum of the counted weights."""
        from sftframe.plugins.interfaces import IGNORED

        counted = batch.targets != IGNORED
        total = counted.sum() if batch.weights is None else batch.weights[counted].sum()
        return self.loss_sum(batch) / total

    def compile(self) -> None:
        """Have torch compile what a training step computes; called if `train.compile` is on.

        This body compiles the module's forward pass, once for rows of any length.
        """
        self.module.compile(dynamic=True)

    def generate(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> Iterator[Completion]:
        """One completion per prompt, in any order, as they are finished.

        This body computes the whole prefix again for every token. It defines the correct result.

        Raises:
            ModelError: a prompt and its new tokens do not fit the context, and `on_overflow` is `error`.
        """
        import torch

        from sftframe.plugins.decoding import Answer, Sampler, check_fits

        check_fits(prompts, settings, self.context_length)
        sampler = Sampler(settings)
        for position, prompt in enumerate(prompts):
            answer = Answer(position, self.tokenizer, settings)
            while answer.stop_reason is None:
                window = [*prompt, *answer.ids][-self.context_length :]
                with torch.inference_mode():
                    logits = self.logits(torch.tensor([window], device=self.device))[:, -1]  # (1, V)
                answer.add(int(sampler.pick(logits, [position])))
            yield answer.completion()

    def stream(self, prompt: Sequence[int], settings: GenerationSettings, on_text: Callable[[str], None]) -> Completion:
        """The completion of one prompt, reported piece by piece while it is written.

        This body reports it in one piece; a model that can do better calls `Answer.new_text` after every token.

        Args:
            on_text: gets the pieces; joined they are the completion's text.

        Raises:
            ModelError: as `generate`.
        """
        (completion,) = self.generate([prompt], settings)
        on_text(completion.text)
        return completion

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights and tokenizer into an existing empty folder, so that `ModelBackend.load` can read them."""

    def export(self, folder: Path, settings: ExportSettings) -> None:
        """Write the model for other programs into an existing empty folder.

        An override handles its `export_targets` and passes everything else to this body. The core knows two forms: `hf`
        is what `transformers.AutoModelForCausalLM` and `AutoTokenizer` load; `gguf` is one file `model.gguf` for
        llama.cpp and Ollama. Both contain the tokenizer and the chat template.

        Raises:
            ModelError: the form is not known, the weights do not fit it, or a package is missing.
        """
        known = ", ".join(self.export_targets) or "none"
        raise ModelError(f"{type(self).__name__} has no export {settings.target!r}; available: {known}")


class ModelBackend(Component):
    """Finds a model's tokenizer and weights and loads them.

    `defaults` may propose configuration values that fit this model, for instance `{"train": {"lr": 5e-4}}`. What the
    user sets wins.
    """

    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @abstractmethod
    def tokenizer(self, saved: Path | None = None) -> Tokenizer:
        """The tokenizer alone, without loading weights; from `saved`, a folder that `CausalLM.save` wrote, if given."""

    @abstractmethod
    def context_length(self, saved: Path | None = None) -> int:
        """The most positions that a row may have, without loading weights."""

    @abstractmethod
    def load(self, *, device: str, dtype: str, seed: int, saved: Path | None = None) -> CausalLM:
        """The model, in evaluation mode.

        Args:
            device: a torch device, `cpu` or `cuda:0`.
            dtype: of the parameters, `float32` or `bfloat16`.
            seed: for weights that start random.
            saved: a folder that `CausalLM.save` wrote; its weights are loaded instead of those that the options name.

        Raises:
            ModelError: weights or tokenizer are missing, damaged, or do not fit each other.
        """

    def tokenizer_folder(self, saved: Path | None = None) -> Path | None:
        """The folder of the tokenizer's files in Hugging Face's form; None = it has none.

        If there is a chat template among them, it is the prompt style `own`, which is used unless another is chosen.

        Raises:
            ModelError: the files cannot be found or downloaded.
        """
        return None

    def training_bytes(self, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int | None:
        """About how much memory a training step in float32 with AdamW takes; None = not known.

        Args:
            num_positions: rows times positions of a batch.
            trains_all: all weights get gradients and moments; else only a few added ones.
            is_recomputing: activations are computed again in the backward pass.
        """
        return None

    def check(self) -> None:
        """Check that weights and tokenizer can be loaded, before anything is computed.

        Raises:
            ModelError: they cannot be loaded; the message says what to do.
        """
        return

    def check_export(self, target: str) -> None:
        """Check that `CausalLM.export` has what it needs for a form, before the model is loaded.

        Raises:
            ModelError: a package is missing; the message says which.
        """
        return

    @property
    def identity(self) -> Mapping[str, str]:
        """What a run's manifest records about the source of the weights, for instance a revision or a hash."""
        return {}
