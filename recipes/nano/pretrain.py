"""Pretrains `gpt2-nano` as a plain language model for a given time, and writes its weights.

Muon for the blocks' matrices and AdamW for all else; the learning rate stays constant for 60 % of the time and falls to
zero over the rest, which is when the facts appear. Time is given and not steps: a busy machine trains less, not longer.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from sftframe_plugins.gpt2.network import GPT2
from torch import Tensor, nn

from recipes.nano.text import make_pass
from recipes.nano.tokenizer import load_encoding
from recipes.nano.weights import NANO, save_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainOptions:
    """What one pretraining is given."""

    minutes: float
    out_path: Path
    seed: int = 123
    num_rows: int = 16  # of 256 positions: 4,096 tokens a step
    matrix_lr: float = 4e-3
    other_lr: float = 3e-3
    decay_share: float = 0.4
    is_bfloat16: bool = True  # autocast; 1.7 times as fast as float32 where the processor has AMX, and no worse


def pretrain(options: PretrainOptions) -> GPT2:
    """Trains for the given time, with a line of progress every 100 steps."""
    torch.manual_seed(options.seed)
    model = GPT2(NANO)
    model.initialise(options.seed)
    optimizers = make_optimizers(model, options)
    start, total = time.monotonic(), 0.0
    for step, batch in enumerate(batches(options.num_rows, NANO.context_length)):
        progress = (time.monotonic() - start) / (60 * options.minutes)
        if progress >= 1:
            break
        set_rates(optimizers, rate_factor(progress, step, options.decay_share))
        total += train_step(model, optimizers, batch, options.is_bfloat16)
        if step % 100 == 99:
            print(f"step {step + 1} loss {total / 100:.3f} progress {progress:.1%}", flush=True)
            total = 0.0
        if step % 2000 == 1999:
            save_weights(model, options.out_path.with_suffix(".part.safetensors"))
    save_weights(model, options.out_path)
    return model


def make_optimizers(model: GPT2, options: PretrainOptions) -> list[torch.optim.Optimizer]:
    """Muon (Jordan 2024, "Muon: an optimizer for hidden layers") for matrices inside the blocks, AdamW elsewhere."""
    matrices = [p for p in model.h.parameters() if p.ndim == 2]
    others = [p for name, p in model.named_parameters() if p.ndim < 2 or not name.startswith("h.")]
    return [
        torch.optim.Muon(matrices, lr=options.matrix_lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=options.other_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Scales every learning rate from where it began."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("full_lr", group["lr"])
            group["lr"] = factor * group["full_lr"]


def rate_factor(progress: float, step: int, decay_share: float) -> float:
    """100 steps of warm-up, then constant, then linear to zero.

    >>> rate_factor(0.0, 49, 0.4), rate_factor(0.5, 999, 0.4), rate_factor(0.8, 9999, 0.4)
    (0.5, 1.0, 0.5)
    """
    decay = (1 - progress) / decay_share
    return round(min(1.0, (step + 1) / 100, decay), 9)


def train_step(model: GPT2, optimizers: list[torch.optim.Optimizer], rows: Tensor, is_bfloat16: bool) -> float:
    """One step on rows (B, T + 1); returns the loss."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bfloat16):
        logits = model(rows[:, :-1])  # (B, T, V)
    loss = F.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def batches(num_rows: int, num_positions: int) -> Iterator[Tensor]:
    """Endless rows int64 (B, T + 1) cut from pass after pass, the documents separated by the end token."""
    encoding = load_encoding()
    waiting: list[int] = []
    needed = num_rows * (num_positions + 1)
    number = 0
    while True:
        while len(waiting) < needed:
            for document in make_pass(number):
                waiting.extend((encoding.max_token_value, *encoding.encode_ordinary(document)))
            number += 1
        yield torch.tensor(waiting[:needed]).view(num_rows, num_positions + 1)
        del waiting[:needed]
