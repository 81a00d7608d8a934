"""What a checkpoint costs: `python benchmarks/checkpoint.py` writes GPT-2's sizes to the disk and reads them back.

Shows seconds for the whole, and for hashing and flushing alone, next to the time of safetensors' own writer.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

from sftframe.files import disk
from sftframe.training import checkpoints

SIZES = {"124M": (768, 12, 12), "355M": (1024, 24, 16)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="124M")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    options = parser.parse_args()
    width, layers, heads = SIZES[options.size]
    module = GPT2LMHeadModel(GPT2Config(n_embd=width, n_layer=layers, n_head=heads))
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), module, optimizer)


def measure(folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    def save() -> None:
        checkpoints.save(folder, step=1, module=module, optimizer=optimizer, state={})

    tensors = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    moments = [value for of in optimizer.state_dict()["state"].values() for value in of.values()]
    whole = {**tensors, **{f"moment {number}": value for number, value in enumerate(moments)}}
    show("checkpoints.save", save)
    files = list((folder / "step-1").glob("*.safetensors"))
    print(f"{sum(path.stat().st_size for path in files) / 1e9:.2f} GB")
    show("  its SHA-256 alone, one file after the other", lambda: [hashed(path) for path in files])
    show("checkpoints.latest, which checks the hashes", lambda: checkpoints.latest(folder))
    show("safetensors.save_file alone", lambda: save_file(whole, str(folder / "plain.safetensors")))
    show("  flushing that to the disk", lambda: disk().sync(folder / "plain.safetensors"))


def hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def show(what: str, do: Callable[[], object]) -> None:
    start = time.perf_counter()
    do()
    print(f"{time.perf_counter() - start:6.2f} s  {what}")


if __name__ == "__main__":
    main()
