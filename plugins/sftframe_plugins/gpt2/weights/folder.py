"""A folder named by the user: which kind of source it is, by what lies in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sftframe import ModelError
from sftframe_plugins.gpt2.weights.huggingface_folder import HuggingFaceFolder
from sftframe_plugins.gpt2.weights.openai_folder import OpenAIFolder
from sftframe_plugins.gpt2.weights.source import WeightSource


def open_folder(folder: Path, other_choices: Iterable[str] = ()) -> WeightSource:
    """The source for a folder.

    Args:
        other_choices: what could have been said instead of a folder, for messages.

    Raises:
        ModelError: it is not there, or holds no form of GPT-2 that is known.
    """
    if not _is_dir(folder):
        raise ModelError(f"model.weights: no folder {folder}; expected a folder, or {', '.join(other_choices)}")
    if HuggingFaceFolder.is_one(folder):
        return HuggingFaceFolder(folder)
    if OpenAIFolder.is_one(folder):
        return OpenAIFolder(folder)
    raise ModelError(
        f"no GPT-2 in {folder}: looked for config.json (Hugging Face's form, or a run's model/) "
        f"and hparams.json (OpenAI's form)"
    )


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, or with a character that no path has
        return False
