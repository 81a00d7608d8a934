"""Hashes of what two runs must share, so that their difference comes only from what was varied on purpose.

Nothing is compared here: the code that compares runs knows which hashes may differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from sftframe.interfaces import CausalLM
from sftframe.pipeline.setup import Setup
from sftframe.stages.batches import StepLoader


def pairing_hashes(setup: Setup, model: CausalLM) -> Mapping[str, str]:
    """SHA-256 by name.

    `data`: the file. `split`: which examples train, validate and test. `test`: which examples are asked, in order.
    `initial_weights`: every parameter and buffer before the first step. `order`: which examples each batch of each
    optimizer step has.
    """
    material, config = setup.material, setup.config
    parts = {part: getattr(material, part).indices for part in ("train", "validation", "test")}
    loader = StepLoader(material.train, setup.components.strategy, config.train, seed=config.seed)
    return {
        "data": material.dataset.sha256,
        "split": _hashed(f"{part} {indices}" for part, indices in parts.items()),
        "test": _hashed([str([example.index for example in material.test_examples()])]),
        "initial_weights": weights_hash(model.module),
        "order": _hashed(str(groups) for groups in loader.schedule()),
    }


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers, with their names, shapes and dtypes; half a second per GB."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def _hashed(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
