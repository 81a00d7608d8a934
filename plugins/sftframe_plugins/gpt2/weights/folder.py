"""Finds out which kind of source a folder or file of the user is, by its contents."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path

from sftframe import ModelError, read_named_text
from sftframe_plugins.gpt2.weights.huggingface_folder import HuggingFaceFolder
from sftframe_plugins.gpt2.weights.openai_folder import OpenAIFolder
from sftframe_plugins.gpt2.weights.source import WeightSource
from sftframe_plugins.gpt2.weights.torch_file import TorchFile


def open_folder(folder: Path, other_choices: Mapping[str, WeightSource] | None = None) -> WeightSource:
    """The source for a folder, or for a file of torch.

    Args:
        other_choices: the other possible values, for messages; the source `random` gives the tokenizer for a torch file
            that has none next to it.

    Raises:
        ModelError: it is missing, or contains no known form of GPT-2.
    """
    others = other_choices or {}
    if TorchFile.is_one(folder):
        return TorchFile(folder, others.get("random"))
    if not _is_dir(folder):
        raise ModelError(_no_folder(folder, others))
    if HuggingFaceFolder.is_one(folder):
        return HuggingFaceFolder(folder)
    if OpenAIFolder.is_one(folder):
        return OpenAIFolder(folder)
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        raise ModelError(
            f"{folder} is a LoRA adapter{_base_of(adapter)}, not a whole model: merge it (peft's merge_and_unload()) "
            "and name the folder that save_pretrained() then writes"
        )
    inner = next((name for name in ("model", *_checkpoints(folder)) if HuggingFaceFolder.is_one(folder / name)), None)
    if inner is not None:
        raise ModelError(f"no GPT-2 in {folder} itself; there is one in {folder / inner}: use that folder")
    raise ModelError(
        f"no GPT-2 in {folder}: looked for config.json (Hugging Face's form, or a run's model/) "
        f"and hparams.json (OpenAI's form)"
    )


def _no_folder(path: Path, others: Mapping[str, WeightSource]) -> str:
    expected = f"expected a folder, a .pth file, or {', '.join(others)}"
    try:
        is_there = path.exists()
    except (OSError, ValueError):
        is_there = False
    if is_there and path.suffix in (".safetensors", ".bin", ".gguf"):
        return f"model.weights: {path} is a file; name the folder that it is in, with its config.json"
    name = str(path)
    hint = (
        "; TOML reads \\n and \\t in double quotes: write the path in 'single quotes'"
        if "\n" in name or "\t" in name
        else ""
    )
    return f"model.weights: no folder {path if name.isprintable() else repr(name)}; {expected}{hint}"


def _base_of(adapter: Path) -> str:
    """The model that an adapter was made for, if its configuration says so."""
    try:
        base = json.loads(read_named_text(adapter)).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    return f" of {reprlib.repr(base)}" if base else ""


def _checkpoints(folder: Path) -> list[str]:
    """Folders that a trainer makes, the last first."""
    numbered = [path.name for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
    return sorted(numbered, key=lambda name: int(name.rpartition("-")[2]), reverse=True)


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, or with a character that no path has
        return False
