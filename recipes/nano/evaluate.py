"""Measures a pretrained `gpt2-nano` before and after the default fine-tuning, family by family."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import sacrebleu
import tiktoken
import torch
from sftframe_plugins.gpt2.network import GPT2

from recipes.nano.finetune import FinetuneOptions, finetune, prompt
from recipes.nano.tokenizer import load_encoding
from recipes.starter.family import Row
from recipes.starter.make_starter import make_parts

MAX_NEW_TOKENS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model answered to a row, and whether it stopped by itself."""

    row: Row
    text: str
    is_stopped: bool

    @property
    def is_exact(self) -> bool:
        """Whether the answer is the reference."""
        return self.text == self.row.output and self.is_stopped

    @property
    def chrf(self) -> float:
        """Sentence chrF++, 0-100 (Popović 2017); it flatters: a right frame with a wrong word scores 60-80."""
        return sacrebleu.sentence_chrf(self.text, [self.row.output], word_order=2).score


def evaluate(model: GPT2, part: str, options: FinetuneOptions, *, is_verbose: bool = True) -> list[Answer]:
    """Prints the figures of one part before and after fine-tuning, and returns the answers after it."""
    parts = make_parts()
    rows = {"test": parts.test, "validation": parts.validation}[part]
    encoding = load_encoding()
    print("before:", summary(answer_all(model, encoding, rows)))
    start, start_cpu = time.monotonic(), time.process_time()
    finetune(model, encoding, parts.train, options)
    seconds, cpu_seconds = time.monotonic() - start, time.process_time() - start_cpu
    print(f"fine-tuning: {seconds:.1f} s on {torch.get_num_threads()} threads, {cpu_seconds:.1f} CPU seconds")
    answers = answer_all(model, encoding, rows)
    print("after: ", summary(answers))
    if is_verbose:
        print_families(answers)
    return answers


def summary(answers: list[Answer]) -> str:
    """Exact match, stop rate and mean chrF++."""
    exact, stops = (
        sum(values) / len(answers) for values in zip(*((a.is_exact, a.is_stopped) for a in answers), strict=True)
    )
    chrf = sum(answer.chrf for answer in answers) / len(answers)
    return f"exact {exact:.1%}, stops {stops:.1%}, chrF++ {chrf:.1f}, {len(answers)} rows"


def print_families(answers: Iterable[Answer]) -> None:
    """Exact matches of each family, with one wrong answer where there is one."""
    by_family: dict[str, list[Answer]] = {}
    for answer in answers:
        by_family.setdefault(answer.row.family, []).append(answer)
    for name, members in sorted(by_family.items()):
        wrong = next((f"  {a.text!r} for {a.row.output!r}" for a in members if not a.is_exact), "")
        print(f"{name:20} {sum(a.is_exact for a in members)}/{len(members)}{wrong}")


def answer_all(model: GPT2, encoding: tiktoken.Encoding, rows: list[Row]) -> list[Answer]:
    """Greedy answers, the prompts of one length together, so that no padding is needed."""
    model.eval()
    by_length: dict[int, list[tuple[Row, list[int]]]] = {}
    for row in rows:
        ids = encoding.encode_ordinary(prompt(row))
        by_length.setdefault(len(ids), []).append((row, ids))
    return [answer for group in by_length.values() for answer in answer_group(model, encoding, group)]


@torch.no_grad()
def answer_group(model: GPT2, encoding: tiktoken.Encoding, group: list[tuple[Row, list[int]]]) -> list[Answer]:
    """Greedy answers to prompts of the same length."""
    end_id = encoding.max_token_value
    ids = torch.tensor([prompt_ids for _, prompt_ids in group])  # (B, T)
    start = ids.shape[1]
    for _ in range(MAX_NEW_TOKENS):
        ids = torch.cat([ids, model(ids)[:, -1:].argmax(-1)], dim=1)
        if (ids[:, start:] == end_id).any(dim=1).all():
            break
    answers = []
    for (row, _), new_ids in zip(group, ids[:, start:].tolist(), strict=True):
        is_stopped = end_id in new_ids
        text = encoding.decode(new_ids[: new_ids.index(end_id)] if is_stopped else new_ids)
        answers.append(Answer(row=row, text=text, is_stopped=is_stopped))
    return answers
