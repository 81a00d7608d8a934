"""The model of the checks: loaded from its backend, trained on three short answers, and asked for them.

The lessons make a model's greedy answers certain, whatever it was before, so that what it writes can be compared word
for word.

Shapes: B rows, T positions.
"""

from __future__ import annotations

import dataclasses
import itertools
from functools import cached_property
from pathlib import Path

import torch

from sftframe.interfaces import CausalLM, CollateStrategy, ModelBackend
from sftframe.records import Batch, Completion, GenerationSettings, Role, TokenizedExample
from sftframe.testing.contract import require

LESSONS = (("Name a fruit:", " fig"), ("What is the sky at noon?", " blue, of course"), ("Count:", " one two three"))
"""Prompts and answers of different lengths, so that padding on either side shows."""
MAX_STEPS = 200
"""Steps of Adam in which the lessons have to be learned; a small GPT-2 takes 24 from random weights."""
CERTAIN_NLL = 0.3
"""A token that was learned to this many nats has a probability of 0.74: greedy decoding cannot pick another."""


class Specimen:
    """A backend and what the checks share: its model as loaded, and once more after the lessons.

    Both stay in memory, and some checks load a third: check a backend of large models with its smallest.
    """

    def __init__(self, backend: ModelBackend) -> None:
        self.backend = backend

    def load(self, saved: Path | None = None) -> CausalLM:
        """A model of its own."""
        return self.backend.load(device="cpu", dtype="float32", seed=0, saved=saved)

    @cached_property
    def model(self) -> CausalLM:
        """The model as it is loaded; no check changes it."""
        return self.load()

    @cached_property
    def taught(self) -> CausalLM:
        """Another, which answers the lessons' prompts and then stops."""
        return _teach(self.load())


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


def _teach(model: CausalLM) -> CausalLM:
    batch = lesson_batch(model)
    optimizer = torch.optim.Adam([p for p in model.module.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(MAX_STEPS):
        optimizer.zero_grad()
        model.loss(batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            if bool((model.token_nll(batch) < CERTAIN_NLL).all()):
                break
    optimizer.zero_grad()
    return model
