"""Loads a model of transformers from a backend's options: finds source and tokenizer, and checks that they fit.

This is the part of the backend that needs torch and transformers; `backend` imports it when it is used.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging as their_logging

from sftframe import ModelError
from sftframe_plugins.hf.model import HFLM
from sftframe_plugins.hf.options import Options
from sftframe_plugins.hf.sources import Folder, Source, open_source
from sftframe_plugins.hf.tokenizer import HFTokenizer

LENGTH_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx")
"""Names under which a `config.json` has the most positions of a row."""

UNBOUND_CONTEXT = 2048
"""The most positions of a row, where neither model nor tokenizer has a limit, as in a state space model."""


class Loader:
    """Loads what a backend's options name.

    Args:
        saved: a folder that `HFLM.save` wrote, instead of the model that the options name.
    """

    def __init__(self, options: Options, saved: Path | None = None) -> None:
        self._options = options
        self._saved = saved

    @property
    def identity(self) -> Mapping[str, str]:
        """Where the weights come from."""
        if self._is_random:
            return {"weights": "random", "repo": str(self._source)}
        return self._source.identity

    def check(self) -> None:
        """Check that tokenizer and weights can be loaded and fit each other, without large downloads."""
        self._check_fit()

    @cached_property
    def tokenizer(self) -> HFTokenizer:
        """The tokenizer; weights are not touched."""
        return HFTokenizer.from_folder(self._source.tokenizer_folder())

    @cached_property
    def context_length(self) -> int:
        """The most positions that a row may have."""
        lengths = [getattr(self.config, key, None) for key in LENGTH_KEYS]
        own = next((length for length in lengths if isinstance(length, int) and length > 0), None)
        wish = self._options.context_length
        if wish is not None and own is not None and wish > own:
            raise ModelError(f"model.context_length: {self._source} has {own} positions, found {wish}")
        return wish or own or UNBOUND_CONTEXT

    def load(self, device: str, dtype: str, seed: int) -> HFLM:
        """The model."""
        self._check_fit()
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self._made(getattr(torch, dtype))
        return HFLM(module.to(device).eval(), self.tokenizer, self.context_length)

    @cached_property
    def config(self) -> Any:
        """The model's configuration, an object of transformers."""
        folder = self._source.config_folder()
        with quiet():
            return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)

    @property
    def _is_random(self) -> bool:
        return self._saved is None and self._options.weights == "random"

    @cached_property
    def _source(self) -> Source:
        return Folder(self._saved) if self._saved is not None else open_source(self._options.repo)

    def _made(self, dtype: torch.dtype) -> Any:
        if self._is_random:
            # building a model changes the configuration that it is given
            return transformers.AutoModelForCausalLM.from_config(copy.deepcopy(self.config), dtype=dtype)
        return transformers.AutoModelForCausalLM.from_pretrained(
            self._source.weights_folder(), trust_remote_code=False, use_safetensors=True, dtype=dtype
        )

    def _check_fit(self) -> None:
        """Check that every id of the tokenizer has an embedding."""
        if self.tokenizer.vocab_size > self.config.vocab_size:
            raise ModelError(
                f"the tokenizer of {self._source} has {self.tokenizer.vocab_size} tokens, but the model has embeddings "
                f"for {self.config.vocab_size}; sftframe does not resize them: use the tokenizer of the model"
            )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' own messages and progress bars; sftframe reports the result in one line."""
    verbosity, has_bar = their_logging.get_verbosity(), their_logging.is_progress_bar_enabled()
    their_logging.set_verbosity(logging.CRITICAL)
    their_logging.disable_progress_bar()
    try:
        yield
    finally:
        their_logging.set_verbosity(verbosity)
        if has_bar:
            their_logging.enable_progress_bar()
