"""The yardstick's fine-tuning: the product's default recipe as one plain loop, to choose pretraining text by.

Alpaca's layout, every token of an example counts and padding does not, AdamW falling linearly to zero.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import tiktoken
import torch
import torch.nn.functional as F
from sftframe_plugins.gpt2.network import GPT2
from torch import Tensor

from recipes.starter.family import Row

PREAMBLE = "Below is an instruction that describes a task. Write a response that appropriately completes the request."


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions:
    """The default recipe, chosen on the validation part."""

    num_epochs: int = 2
    batch_size: int = 8
    lr: float = 1.5e-3
    weight_decay: float = 0.1
    seed: int = 123


def prompt(row: Row) -> str:
    """The row in Alpaca's layout up to the answer (Taori et al. 2023, with one preamble for both forms)."""
    given = f"\n\n### Input:\n{row.input}" if row.input else ""
    return f"{PREAMBLE}\n\n### Instruction:\n{row.instruction}{given}\n\n### Response:\n"


def finetune(model: GPT2, encoding: tiktoken.Encoding, rows: list[Row], options: FinetuneOptions) -> None:
    """Trains the model in place."""
    torch.manual_seed(options.seed)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay, fused=True)
    examples = [[*encoding.encode_ordinary(prompt(row) + row.output), encoding.max_token_value] for row in rows]
    num_steps = options.num_epochs * -(-len(examples) // options.batch_size)
    for step, (inputs, targets) in enumerate(batches(examples, options)):
        for group in optimizer.param_groups:
            group["lr"] = options.lr * (1 - step / num_steps)
        logits = model(inputs)  # (B, T, V)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def batches(examples: list[list[int]], options: FinetuneOptions) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets int64 (B, T) of every epoch, freshly shuffled."""
    rng = Random(options.seed)
    for _ in range(options.num_epochs):
        order = rng.sample(examples, len(examples))
        for start in range(0, len(order), options.batch_size):
            yield collate(order[start : start + options.batch_size])


def collate(examples: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Pads on the right; padding is no target.

    >>> collate([[1, 2, 3], [4, 5]])
    (tensor([[1, 2],
            [4, 0]]), tensor([[   2,    3],
            [   5, -100]]))
    """
    length = max(map(len, examples)) - 1
    inputs = torch.zeros(len(examples), length, dtype=torch.int64)
    targets = torch.full((len(examples), length), -100)
    for number, ids in enumerate(examples):
        inputs[number, : len(ids) - 1] = torch.tensor(ids[:-1])
        targets[number, : len(ids) - 1] = torch.tensor(ids[1:])
    return inputs, targets
