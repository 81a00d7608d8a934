"""Checkpoints: a module, its optimizer and a state; written whole or not at all, and never as a pickle.

A checkpoint is a folder `step-N` with `module.safetensors`, `optimizer.safetensors`, `state.json` and the SHA-256 of
each in `hashes.json`; the folder appears by one rename. Several processes write `shard-….safetensors` instead, one
each. A damaged checkpoint is found by its hashes and skipped. Weights alone are kept in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model

from sftframe.errors import ConfigError
from sftframe.files import DiskError, decoded, disk, is_number, remove_leftovers, sha256_of, whole_dir, write_json_part
from sftframe.training.shards import MODULE_FILE, MOMENT, OPTIMIZER_FILE, WEIGHT, is_sharded, put, read_whole

_STATE = "state.json"
_HASHES = "hashes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    folder: Path
    step: int
    state: Mapping[str, Any]
    """The state that was saved."""

    def restore(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put the saved values back, and the random states of torch and of the module's device with them.

        Raises:
            ConfigError: it belongs to another model.
        """
        try:
            if is_sharded(self.folder):
                tensors = _load_shards(self.folder, module)
            else:
                load_weights(self.folder, module)
                tensors = load_file(str(self.folder / OPTIMIZER_FILE))
            _set_random_states(tensors, _device(module))
            _load_optimizer(optimizer, tensors)
        except (SafetensorError, RuntimeError, TypeError, ValueError, LookupError) as error:
            raise _does_not_fit(self.folder, error) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A checkpoint that cannot be used."""

    folder: Path
    reason: str


def save(
    folder: Path,
    *,
    step: int,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
) -> Checkpoint:
    """Write `folder/step-N`; `prune` decides which older ones stay.

    Raises:
        DiskError: it cannot be written; the existing checkpoints stay.
    """

    def fill(making: Path) -> None:
        disk().fill(making / MODULE_FILE, partial(_save_module, module))
        tensors = {**_optimizer_tensors(optimizer), **_random_states(_device(module))}
        disk().fill(making / OPTIMIZER_FILE, partial(save_file, tensors))

    return save_with(folder, fill, step=step, state=state)


def save_with(
    folder: Path, write_tensors: Callable[[Path], None], *, step: int, state: Mapping[str, Any]
) -> Checkpoint:
    """`save`, with other code that writes the tensors as safetensors files into a new folder."""
    target = folder / f"step-{step}"
    if folder.is_dir():
        remove_leftovers(folder)

    def fill(making: Path) -> None:
        write_tensors(making)
        write_json_part(making / _STATE, state)

    _write(target, fill)
    return Checkpoint(folder=target, step=step, state=dict(state))


def prune(folder: Path, *, step: int, keep: int) -> None:
    """Delete all checkpoints but the newest `keep` up to a step; one that cannot be deleted stays until next time.

    Checkpoints of later steps are deleted too: the run went back to an earlier one, so they are damaged or out of date.
    """
    for old in _unwanted(_folders(folder), step, keep):
        with suppress(OSError):
            disk().remove(old)


def clear(folder: Path, *, keep_best: bool = False) -> bool:
    """Delete all checkpoints, and the best weights kept beside them unless they are wanted; whether there were any.

    What cannot be deleted now stays.
    """
    found = [*_folders(folder), *([] if keep_best else folder.glob("best-*"))]
    for old in found:
        with suppress(OSError):
            disk().remove(old)
    with suppress(OSError, DiskError):
        if folder.is_dir():
            remove_leftovers(folder)
            if not any(folder.iterdir()):
                disk().remove(folder)
    return bool(found)


def latest(
    folder: Path, *, objection: Callable[[Checkpoint], str | None] = lambda _: None
) -> tuple[Checkpoint | None, list[PassedOver]]:
    """The newest whole checkpoint without an objection, and the newer ones that were skipped.

    Args:
        objection: why a whole checkpoint cannot be used; None if it can.
    """
    passed_over: list[PassedOver] = []
    for candidate in _folders(folder):
        state = _state(candidate) if is_whole(candidate) else None
        if state is not None:
            checkpoint = Checkpoint(folder=candidate, step=_step(candidate), state=state)
            reason = objection(checkpoint)
            if reason is None:
                return checkpoint, passed_over
        else:
            reason = "it is damaged"
        passed_over.append(PassedOver(folder=candidate, reason=reason))
    return None, passed_over


def steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, whole or damaged, the newest first."""
    return [_step(path) for path in _folders(folder)]


def save_weights(target: Path, module: torch.nn.Module) -> None:
    """Write a module's weights alone into a folder, whole or not at all, with their hash.

    Raises:
        DiskError: they cannot be written; an older `target` stays.
    """
    _write(target, lambda making: disk().fill(making / MODULE_FILE, partial(_save_module, module)))


def load_weights(folder: Path, module: torch.nn.Module) -> None:
    """Put the weights of a checkpoint, or of `save_weights`, into a module.

    Raises:
        ConfigError: they belong to another model.
    """
    try:
        load_model(module, str(folder / MODULE_FILE))
    except (RuntimeError, SafetensorError) as error:
        raise _does_not_fit(folder, error) from error


def is_whole(folder: Path) -> bool:
    """Whether every file of a checkpoint, or of `save_weights`, is still as written."""
    try:
        hashes = decoded((folder / _HASHES).read_bytes())
        # only files in the folder are read: a name could lead elsewhere, and a device has no end
        has_weights = MODULE_FILE in hashes or any(name.startswith("shard-") for name in hashes)
        is_known = has_weights and {path.name for path in folder.iterdir() if path.is_file()}.issuperset(hashes)
        return is_known and _hashes(folder, list(hashes)) == hashes
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def _state(folder: Path) -> dict[str, Any] | None:
    """The state that was saved; None if it is no JSON object."""
    try:
        state = decoded((folder / _STATE).read_bytes())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def _write(target: Path, fill: Callable[[Path], None]) -> None:
    try:
        with whole_dir(target) as making:
            fill(making)
            write_json_part(making / _HASHES, _hashes(making, sorted(path.name for path in making.iterdir())))
    except SafetensorError as error:
        raise DiskError(f"cannot write {target}: {error}") from error


def _save_module(module: torch.nn.Module, path: Path) -> None:
    save_model(module, str(path))


def _unwanted(folders: list[Path], step: int, keep: int) -> list[Path]:
    later = [path for path in folders if _step(path) > step]
    return [*later, *folders[len(later) + keep :]]


def _folders(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first."""
    found = [path for path in folder.glob("step-*") if is_number(path.name.removeprefix("step-")) and path.is_dir()]
    return sorted(found, key=_step, reverse=True)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _hashes(folder: Path, names: list[str]) -> dict[str, str]:
    """SHA-256 by name; files are read in parallel, since hashing is most of a checkpoint's cost."""
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return dict(zip(names, pool.map(lambda name: sha256_of(folder / name), names), strict=True))


def _load_shards(folder: Path, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Put the weights into the module; the optimizer's tensors."""
    tensors = read_whole(folder)
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    weights = {name.removeprefix(WEIGHT): value for name, value in tensors.items() if name.startswith(WEIGHT)}
    missing = sorted(weights.keys() ^ (own.keys() & {*dict(module.named_parameters()), *module.state_dict()}))
    if missing:
        raise LookupError(f"{missing[0]} is only in one of the two")
    for name, value in weights.items():
        put(own[name], value)
    return {name.removeprefix(MOMENT): value for name, value in tensors.items() if name.startswith(MOMENT)}


def _device(module: torch.nn.Module) -> torch.device:
    return next(module.parameters()).device


def _random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """torch's random state, and the one of the device, which dropout uses."""
    states = {"rng": torch.get_rng_state()}
    if device.type == "cuda":
        states["rng.cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["rng.mps"] = torch.mps.get_rng_state()
    return states


def _set_random_states(tensors: dict[str, torch.Tensor], device: torch.device) -> None:
    """Restore the random states from a checkpoint's tensors; a run may be resumed on another kind of device."""
    if "rng" in tensors:  # several processes take new random numbers in every step
        torch.set_rng_state(tensors.pop("rng"))
    cuda, mps = tensors.pop("rng.cuda", None), tensors.pop("rng.mps", None)
    if cuda is not None and device.type == "cuda":
        torch.cuda.set_rng_state(cuda, device)
    if mps is not None and device.type == "mps":
        torch.mps.set_rng_state(mps)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """AdamW's moments as `<parameter number>.<name>`; its settings come from the configuration."""
    moments = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value.contiguous() for number, of in moments.items() for name, value in of.items()}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    parameters: list[torch.Tensor] = [one for group in optimizer.param_groups for one in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        if value.ndim and value.shape != parameters[int(number)].shape:
            raise ValueError(f"{name} of parameter {number} has shape {tuple(value.shape)}")
        moments.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def _does_not_fit(folder: Path, error: Exception) -> ConfigError:
    reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
    return ConfigError(
        f"{folder} does not fit the model ({reason}): expected the model that started the run; start a new run"
    )
