"""Loads a model of transformers from a backend's options: finds source and tokenizer, and checks that they fit.

This is the part of the backend that needs torch and transformers; `backend` imports it when it is used.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from sftframe import ModelError
from sftframe_plugins.hf.configuration import THEIR_ERRORS, one_line, own_context_length, read_configuration
from sftframe_plugins.hf.memory import training_bytes
from sftframe_plugins.hf.model import HFLM
from sftframe_plugins.hf.options import Options
from sftframe_plugins.hf.quietness import quiet
from sftframe_plugins.hf.sources import Folder, Source, open_source
from sftframe_plugins.hf.tokenizer import HFTokenizer

GENERATION = "generation_config.json"

UNBOUND_CONTEXT = 2048
"""The most positions of a row where the model has no limit, as a state space model: a longer row costs memory only."""


class Loader:
    """Loads what a backend's options name.

    Args:
        saved: a folder that `HFLM.save` wrote, instead of the model that the options name.
    """

    def __init__(self, options: Options, saved: Path | None = None) -> None:
        self._options = options
        self._saved = saved

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """Where the weights come from."""
        if self._is_random:
            return {**self._source.facts, "weights": "random", "repo": self._source.facts["weights"]}
        return self._source.identity(takes_pickles=self._options.allow_pickle)

    def check(self) -> None:
        """Check that tokenizer and weights can be loaded and fit each other, without large downloads."""
        self._check_fit()
        if not self._is_random:
            self._source.check_weights(takes_pickles=self._options.allow_pickle)

    @cached_property
    def tokenizer_folder(self) -> Path:
        """The folder of the tokenizer's files."""
        self.config  # noqa: B018 - what is no model at all is told first
        return self._source.tokenizer_folder()

    @cached_property
    def tokenizer(self) -> HFTokenizer:
        """The tokenizer; weights are not touched."""
        with quiet():
            return HFTokenizer.from_folder(self.tokenizer_folder)

    @cached_property
    def context_length(self) -> int:
        """The most positions that a row may have."""
        own, wish = own_context_length(self.config), self._options.context_length
        if wish is not None and own is not None and wish > own:
            raise ModelError(f"model.context_length: expected {own} or less, which {self._source} has, found {wish}")
        return wish or own or UNBOUND_CONTEXT

    def training_bytes(self, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int:
        """Memory of a training step; no weights are read."""
        try:
            return training_bytes(self.config, num_positions, trains_all=trains_all, is_recomputing=is_recomputing)
        except THEIR_ERRORS as error:
            raise ModelError(f"{self._source} cannot be built: {one_line(error)}") from error

    def load(self, device: str, dtype: str, seed: int) -> HFLM:
        """The model."""
        self._check_fit()
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self._new(getattr(torch, dtype)) if self._is_random else self._pretrained(getattr(torch, dtype))
            if self._saved is None:
                self._check_causal(module)
        return HFLM(module.to(device).eval(), self.tokenizer, self.context_length)

    @cached_property
    def config(self) -> Any:
        """The model's configuration, an object of transformers."""
        return read_configuration(self._source.config_folder(), str(self._source))

    @property
    def _is_random(self) -> bool:
        return self._saved is None and self._options.weights == "random"

    @cached_property
    def _source(self) -> Source:
        return Folder(self._saved) if self._saved is not None else open_source(self._options.repo)

    def _new(self, dtype: torch.dtype) -> Any:
        """The network with new weights."""
        try:
            # building a model changes the configuration that it is given
            return transformers.AutoModelForCausalLM.from_config(copy.deepcopy(self.config), dtype=dtype)
        except THEIR_ERRORS as error:
            raise ModelError(f"{self._source} cannot be built: {one_line(error)}") from error

    def _pretrained(self, dtype: torch.dtype) -> Any:
        """The network with the weights of the source, every one of them in its place."""
        tensors = self._source.checkpoint(takes_pickles=self._options.allow_pickle).tensors()
        try:
            # the library sees no folder, in which it would look for adapters and for other forms of weights
            module, report = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(self.config)].from_pretrained(
                None,
                config=self.config,
                state_dict=tensors,
                dtype=dtype,
                ignore_mismatched_sizes=True,  # they are in the report
                output_loading_info=True,
            )
            if self._source.find(GENERATION) is not None:
                folder = self._source.config_folder()
                module.generation_config = transformers.GenerationConfig.from_pretrained(folder)
        except THEIR_ERRORS as error:
            raise ModelError(f"{self._source} cannot be loaded: {one_line(error)}") from error
        self._check_names(module, report)
        return module

    def _check_names(self, module: nn.Module, report: Mapping[str, Any]) -> None:
        """Check that the checkpoint has exactly the weights of the network.

        Raises:
            ModelError: it has not.
        """
        mismatched = report.get("mismatched_keys")
        if mismatched:
            name, found, wanted = next(iter(sorted(mismatched)))
            raise ModelError(
                f"{self._source} has {name} of the shape {tuple(found)}, but its config.json makes it {tuple(wanted)}: "
                "configuration and weights are not of one model"
            )
        missing = report.get("missing_keys") or ()
        if missing:
            raise ModelError(
                f"{self._source} has no weights for {_some(missing)}: the checkpoint is incomplete, or of another "
                "network than its config.json says"
            )
        unused = report.get("unexpected_keys") or ()
        if unused and not self._options.ignore_unused:
            raise ModelError(
                f"{self._source} has weights that {type(module).__name__} has no place for: {_some(unused)}; if the "
                "model is right without them: --set model.ignore_unused=true"
            )

    def _check_causal(self, module: nn.Module) -> None:
        """Check that no position sees a later one, on two rows that differ in their last token.

        Raises:
            ModelError: one does, as in an encoder; or the network cannot compute the rows.
        """
        rows = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]]) % self.config.vocab_size
        module.eval()
        try:
            with torch.no_grad():  # a buffer that is made in inference mode could not be used in training
                logits = module(input_ids=rows, use_cache=False).logits.float()  # (2, T, V)
        except THEIR_ERRORS as error:
            raise ModelError(f"{self._source} cannot compute a row of four tokens: {one_line(error)}") from error
        difference = (logits[0] - logits[1]).abs().amax(dim=-1)  # (T,)
        noise = 1e-3 if module.dtype == torch.float32 else 0.05
        if difference[:-1].max() > noise * difference[-1]:
            raise ModelError(
                f"{self._source} is no causal language model: what it gives for a token depends on later tokens; name "
                "a decoder"
            )

    def _check_fit(self) -> None:
        """Check that every id of the tokenizer has an embedding."""
        if self.tokenizer.vocab_size > self.config.vocab_size:
            raise ModelError(
                f"the tokenizer of {self._source} has {self.tokenizer.vocab_size} tokens, but the model has embeddings "
                f"for {self.config.vocab_size}; sftframe does not resize them: use the tokenizer that the model was "
                "trained with, or resize the model with transformers (resize_token_embeddings) and save it"
            )


def _some(names: Collection[str]) -> str:
    """The first names, and how many there are.

    >>> _some(["b", "a"]), _some(["d", "c", "b", "a"])
    ('a, b', 'a, b, c and 1 more')
    """
    first = sorted(names)[:3]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return f"{', '.join(first)}{more}"
