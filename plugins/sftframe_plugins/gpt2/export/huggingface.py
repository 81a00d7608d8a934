"""Writes the folder that `transformers.AutoModelForCausalLM` and `AutoTokenizer` load.

`config.json`, `model.safetensors`, `vocab.json`, `merges.txt`, `tokenizer_config.json` with the chat template,
`generation_config.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from sftframe import ExportSettings
from sftframe_plugins.gpt2.export.precision import cast
from sftframe_plugins.gpt2.network import GPT2
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.config_file import write_config
from sftframe_plugins.gpt2.weights.layout import PREFIX, tensors_of

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"


def export_huggingface(folder: Path, network: GPT2, tokenizer: BytePairTokenizer, settings: ExportSettings) -> None:
    """Write the folder.

    Raises:
        ModelError: a weight does not fit the dtype.
    """
    tensors = {PREFIX + name: cast(tensor, settings.dtype, name) for name, tensor in tensors_of(network).items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    write_config(network.config, tokenizer.end_id, folder / CONFIG_FILE)
    _add(folder / CONFIG_FILE, {"n_ctx": network.config.context_length})  # only llama.cpp's converter reads it
    tokenizer.save(folder)
    _add(folder / TOKENIZER_CONFIG_FILE, _chat_settings(network.config.context_length, tokenizer, settings))
    _write_json(folder / "generation_config.json", _generation_config(tokenizer.end_id, settings))


def _chat_settings(context_length: int, tokenizer: BytePairTokenizer, settings: ExportSettings) -> dict[str, Any]:
    return {
        "pad_token": tokenizer.vocabulary.end_token,
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,  # transformers 4 would remove spaces before punctuation
        "chat_template": settings.chat_template,
    }


def _generation_config(end_id: int, settings: ExportSettings) -> dict[str, Any]:
    config: dict[str, Any] = {"bos_token_id": end_id, "eos_token_id": end_id, "pad_token_id": end_id}
    return config | {"do_sample": False, "max_new_tokens": settings.max_new_tokens}


def _add(path: Path, more: dict[str, Any]) -> None:
    """Add keys to a JSON object in a file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    _write_json(path, content | more)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
