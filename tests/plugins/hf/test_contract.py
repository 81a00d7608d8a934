"""The contract of model backends holds for families of every kind: compact, padded, mixtures and state spaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sftframe_plugins.hf.backend import HFBackend
from sftframe_plugins.hf.options import Options

from sftframe.testing.model import check_model_backend
from tests.plugins.hf.families import network_of

CHOSEN = (
    *("llama", "qwen2", "qwen3", "mistral", "phi3", "gemma2", "gemma3", "gpt_neox", "olmo2", "mixtral"),
    *("bloom", "mamba"),
)

_FEW_LAYERS = {"bloom": {"n_layer": 2}, "gemma3": {}}


@pytest.mark.parametrize("family", CHOSEN)
def test_the_contract_holds(family: str, make_tokenizer: Callable[..., Any], tmp_path: Path) -> None:
    network_of(family, **_FEW_LAYERS.get(family, {"num_hidden_layers": 2})).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    check_model_backend(HFBackend(Options(repo=str(tmp_path), context_length=64)))
