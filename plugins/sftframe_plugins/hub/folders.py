"""What a folder has that is not a model itself, so that a message can say what to name instead."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path

from sftframe import read_named_text

ADAPTER = "adapter_config.json"


def adapter_advice(folder: Path) -> str | None:
    """For a folder with a LoRA adapter: what it is, and what to do. None where it has none."""
    file = folder / ADAPTER
    if not file.is_file():
        return None
    return (
        f"{folder} is a LoRA adapter{_base_of(file)}, not a whole model: merge it (peft's merge_and_unload()) "
        "and name the folder that save_pretrained() then writes"
    )


def inner_model(folder: Path) -> Path | None:
    """A folder in it that has a `config.json`: a run's `model`, or the last checkpoint of a trainer."""
    names = ("model", *_checkpoints(folder))
    return next((folder / name for name in names if (folder / name / "config.json").is_file()), None)


def is_dir(path: Path) -> bool:
    """Whether it is a folder; any text may be asked."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, or with a character that no path has
        return False


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
