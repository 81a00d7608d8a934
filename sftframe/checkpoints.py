"""Checkpoints: a module, its optimizer and a state, whole or not at all, and never as a pickle.

A checkpoint is a folder `step-N` with `module.safetensors`, `optimizer.safetensors`, `state.json` and the SHA-256 of
each in `hashes.json`; the folder appears by one rename. A damaged one is found by its hashes and passed over.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model

from sftframe.errors import ConfigError
from sftframe.runs import whole_dir, write_json

_FILES = ("module.safetensors", "optimizer.safetensors", "state.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    folder: Path
    step: int
    state: Mapping[str, Any]
    """What `save` was given."""

    def restore(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put the saved values back, and torch's CPU random state with them."""
        load_model(module, str(self.folder / "module.safetensors"))
        tensors = load_file(str(self.folder / "optimizer.safetensors"))
        torch.set_rng_state(tensors.pop("rng"))
        _load_optimizer(optimizer, tensors)


def save(
    folder: Path,
    *,
    step: int,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    keep: int = 1,
) -> Checkpoint:
    """Write `folder/step-N`, then delete what is no longer wanted: all but the newest `keep`, and all later steps.

    Later steps are from before the run went back to an earlier checkpoint: damaged, or not this run's future.

    Raises:
        ConfigError: it cannot be written; the checkpoints there are stay.
    """
    target = folder / f"step-{step}"
    for left_over in folder.glob(".step-*"):  # of a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        with whole_dir(target) as making:
            save_model(module, str(making / "module.safetensors"))
            tensors = {**_optimizer_tensors(optimizer), "rng": torch.get_rng_state()}
            save_file(tensors, str(making / "optimizer.safetensors"))
            write_json(making / "state.json", state)
            write_json(making / "hashes.json", {name: _hash(making / name) for name in _FILES})
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"cannot write the checkpoint {target}: {error}; make room, then go on from the last one with --resume"
        ) from error
    for old in _unwanted(_folders(folder), step, keep):
        shutil.rmtree(old, ignore_errors=True)
    return Checkpoint(folder=target, step=step, state=dict(state))


def latest(folder: Path) -> tuple[Checkpoint | None, list[Path]]:
    """The newest whole checkpoint, and the damaged ones that were passed over."""
    damaged: list[Path] = []
    for candidate in _folders(folder):
        if _is_whole(candidate):
            state = json.loads((candidate / "state.json").read_text(encoding="utf-8"))
            return Checkpoint(folder=candidate, step=_step(candidate), state=state), damaged
        damaged.append(candidate)
    return None, damaged


def _unwanted(folders: list[Path], step: int, keep: int) -> list[Path]:
    later = [path for path in folders if _step(path) > step]
    return [*later, *folders[len(later) + keep :]]


def _folders(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first."""
    found = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdecimal() and path.is_dir()]
    return sorted(found, key=_step, reverse=True)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _is_whole(folder: Path) -> bool:
    try:
        hashes = json.loads((folder / "hashes.json").read_text(encoding="utf-8"))
        return all(_hash(folder / name) == hashes[name] for name in _FILES)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """AdamW's moments as `<parameter number>.<name>`; its settings come from the configuration."""
    moments = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value.contiguous() for number, of in moments.items() for name, value in of.items()}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        moments.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
