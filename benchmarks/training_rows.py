"""The rows that every contender of `benchmarks.train_step` trains on, and the batches they make in their order."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from typing import Any

SIZES = {
    "124M": (768, 12, 12),
    "355M": (1024, 24, 16),
    "774M": (1280, 36, 20),
    "1558M": (1600, 48, 25),
}
"""Width, layers and heads."""

BACKENDS = {"124M": "gpt2-small", "355M": "gpt2-medium", "774M": "gpt2-large", "1558M": "gpt2-xl"}

NUM_ROWS = 400
SYSTEM_TOKENS = 250
"""Tokens of the made-up system prompt that all rows of `long-common` begin with."""
LENGTHS = range(300, 601)
"""Tokens of a made-up row, the system prompt included."""
ANSWER_SHARE = 0.3
"""Share of a made-up row, behind what is common, that is its answer."""


def prepared(options: argparse.Namespace) -> tuple[Any, Any, Sequence[Any]]:
    """Configuration, components and training rows, through sftframe itself."""
    from sftframe.pipeline import Components, prepare_data, resolve
    from sftframe.progress import Observer
    from sftframe.registry import load_registry

    registry = load_registry()
    layer = {
        "model": {"name": BACKENDS[options.size], "weights": "random", "tokenizer": str(options.tokenizer)},
        "collate": options.collate,
        "train": {
            "batch_size": options.batch_size,
            "shuffle": False,
            "epochs": 100,
            "compact": options.worker != "sftframe-plain",
        },
        **({"data": {"source": str(options.data)}} if options.rows == "data" else {}),
    }
    config = resolve(layer, registry)
    components = Components.choose(config, registry)
    if options.rows != "data":
        return config, components, made_rows(options.rows, components.tokenizer.end_id)
    return config, components, prepare_data(config, components, Observer()).train


def made_rows(kind: str, end_id: int) -> list[Any]:
    """Rows of random tokens and lengths: `long-common` have a system prompt in common, `long-ragged` nothing."""
    from sftframe import Role, TokenizedExample

    numbers = random.Random(1)
    system = [numbers.randrange(end_id) for _ in range(SYSTEM_TOKENS if kind == "long-common" else 0)]
    rows = []
    for index in range(NUM_ROWS):
        own = [numbers.randrange(end_id) for _ in range(numbers.choice(LENGTHS) - len(system) - 1)]
        num_answered = int(ANSWER_SHARE * len(own))
        roles = [Role.TEMPLATE] * len(system) + [Role.INSTRUCTION] * (len(own) - num_answered)
        roles += [Role.RESPONSE] * num_answered + [Role.END]
        rows.append(TokenizedExample(ids=[*system, *own, end_id], roles=roles, index=index))
    return rows


def batches(options: argparse.Namespace) -> Iterator[Any]:
    """The batches of every contender: file order, as the collate strategy makes them."""
    from sftframe.training import StepLoader

    config, components, rows = prepared(options)
    for data in StepLoader(rows, components.strategy, config.train, seed=1).steps():
        yield data.micro_batches[0]
