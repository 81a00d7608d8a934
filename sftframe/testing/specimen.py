"""The model of the checks: loaded from its backend, trained on three short answers, and asked for them.

The lessons make a model's greedy answers certain, whatever it was before, so that what it writes can be compared word
for word.

Shapes: B rows, T positions.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch

from sftframe.plugins import CausalLM, CollateStrategy, ModelBackend
from sftframe.records import Batch, Completion, GenerationSettings, Role, TokenizedExample
from sftframe.testing.contract import require

LESSONS = (("Name a fruit:", " fig"), ("What is the sky at noon?", " blue, of course"), ("Count:", " one two three"))
"""Prompts and answers of different lengths, so that padding on either side shows."""
NUM_STEPS = 40
"""Steps at the backend's own learning rate, in which the loss has to fall."""
TEACHING = ((150, 1e-3), (250, 3e-3), (300, 1e-2))
"""Steps and learning rates of Adam to learn the lessons by; a small GPT-2 takes 24 of the first from random weights."""
CERTAIN_NLL = 0.3
"""A token that was learned to this many nats has a probability of 0.74: greedy decoding cannot pick another."""


class Specimen:
    """A backend and what the checks share: its model as loaded, and once more after the lessons.

    Both stay in memory, and some checks load a third: check a backend of large models with its smallest.
    """

    def __init__(self, backend: ModelBackend) -> None:
        self.backend = backend

    def load(self, saved: Path | None = None, *, seed: int = 0) -> CausalLM:
        """A model of its own."""
        return self.backend.load(device="cpu", dtype="float32", seed=seed, saved=saved)

    @cached_property
    def model(self) -> CausalLM:
        """The model as it is loaded; no check changes it."""
        return self.load()

    @cached_property
    def taught(self) -> CausalLM:
        """Another, which was taught the lessons; whether it can learn them by heart depends on its kind."""
        return _teach(self.load())

    @cached_property
    def is_certain(self) -> bool:
        """Whether the taught model answers the lessons' prompts and then stops."""
        return knows_lessons(self.taught)


def lesson_batch(model: CausalLM, preface: str = "") -> Batch:
    """The lessons, each after the same preface, with every target counted."""
    examples = []
    for index, (prompt, answer) in enumerate(LESSONS):
        texts = [text for text in (preface, prompt, answer) if text]
        ids = [*itertools.chain.from_iterable(model.tokenizer.encode_batch(texts)), model.tokenizer.end_id]
        examples.append(TokenizedExample(ids=ids, roles=[Role.RESPONSE] * len(ids), index=index))
    return CollateStrategy(pad_id=model.tokenizer.end_id)(examples)


def lesson_prompts(model: CausalLM) -> list[list[int]]:
    """The lessons' prompts as ids."""
    return model.tokenizer.encode_batch([prompt for prompt, _ in LESSONS])


def room(model: CausalLM) -> int:
    """More tokens than any lesson's answer has, and no more than fit."""
    return min(32, model.context_length - max(len(prompt) for prompt in lesson_prompts(model)))


def ask(model: CausalLM, settings: GenerationSettings | None = None, batch_size: int = 32) -> list[Completion]:
    """What the model writes after the lessons' prompts, in their order; greedy unless told otherwise."""
    settings = settings or GenerationSettings(max_new_tokens=room(model))
    settings = dataclasses.replace(settings, batch_size=batch_size)
    found = sorted(model.generate(lesson_prompts(model), settings), key=lambda completion: completion.position)
    positions = [completion.position for completion in found]
    require(positions == [0, 1, 2], f"three prompts got completions for the positions {positions}")
    return found


def own_lr(backend: ModelBackend) -> float | None:
    """The learning rate that a backend proposes; None where it proposes none."""
    lr = backend.defaults.get("train", {}).get("lr")
    return None if lr is None else float(lr)


def steps(model: CausalLM, batch: Batch, lr: float) -> Iterator[float]:
    """Take steps of Adam; the loss before each, without end."""
    optimizer = torch.optim.Adam([p for p in model.module.parameters() if p.requires_grad], lr=lr)
    while True:
        optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield float(loss.detach())


def _teach(model: CausalLM) -> CausalLM:
    batch = lesson_batch(model)
    for num_steps, lr in TEACHING:
        for number, loss in enumerate(itertools.islice(steps(model, batch, lr), num_steps)):
            if not math.isfinite(loss):
                return model
            if number % 3 == 2 and knows_lessons(model):
                model.module.zero_grad()
                return model
    model.module.zero_grad()
    return model


def knows_lessons(model: CausalLM) -> bool:
    """Whether every token of the lessons is certain enough to be written."""
    with torch.no_grad():
        return bool((model.token_nll(lesson_batch(model)) < CERTAIN_NLL).all())
