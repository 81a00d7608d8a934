"""Fine-tuning step by step beside two plain loops: one in PyTorch as the chapter describes it, one with transformers.

The loops share nothing with sftframe but the initial weights and the tokenizer: they format, pad, mask, shuffle and
average by themselves. AdamW 5e-5, weight decay 0.1, batches of 8, seed 123, the last batch dropped, as in the chapter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from sftframe import CausalLM, load_registry
from sftframe.pipeline import Session
from sftframe.progress import Observer

NUM_STEPS = 10
PREAMBLE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\n"
)


@pytest.fixture(scope="module")
def entries() -> list[dict[str, str]]:
    """100 entries, 85 of them for training: 10 batches of 8, and a rest that is dropped."""
    things = ["cat", "red stone", "small house", "green tree by the river", "sun", "paper boat on the lake"]
    return [
        {
            "instruction": f"Say {things[n % 6]} {n} times over.",
            "input": "" if n % 3 else f"with {things[n % 5]}",
            "output": f"The {things[n % 6]}, " * (1 + n % 4) + f"that is {n}.",
        }
        for n in range(100)
    ]


@pytest.fixture
def model() -> CausalLM:
    return load_registry().model_backend("gpt2-nano").load(device="cpu", dtype="float32", seed=1)


def format_prompt(entry: dict[str, str]) -> str:
    asked = f"\n\n### Input:\n{entry['input']}" if entry["input"] else ""
    return f"{PREAMBLE}{entry['instruction']}{asked}\n\n### Response:\n"


def collate(rows: list[tuple[list[int], int]], end_id: int, mask: str) -> tuple[torch.Tensor, torch.Tensor]:
    """As in the chapter: pad with the end token to one more than the longest row, shift, mask with -100."""
    longest = max(len(ids) for ids, _ in rows) + 1
    inputs, targets = [], []
    for ids, num_prompt in rows:
        padded = ids + [end_id] * (longest - len(ids))
        target = padded[1:]
        if mask != "pad-only":
            target[len(ids) :] = [-100] * (longest - 1 - len(ids))
        if mask == "mask-instruction":
            target[: num_prompt - 1] = [-100] * (num_prompt - 1)
        inputs.append(padded[:-1])
        targets.append(target)
    return torch.tensor(inputs), torch.tensor(targets)


def plain_losses(
    module: torch.nn.Module, entries: list[dict[str, str]], model: CausalLM, mask: str, is_transformers: bool = False
) -> list[float]:
    """The loss of each step of the chapter's loop."""
    tokenizer = model.tokenizer
    rows = []
    for entry in entries[: int(len(entries) * 0.85)]:
        prompt = format_prompt(entry)
        rows.append((tokenizer.encode(prompt + entry["output"]), len(tokenizer.encode(prompt))))
    torch.manual_seed(123)
    loader: Any = DataLoader(
        rows,  # type: ignore[arg-type]
        batch_size=8,
        shuffle=True,
        drop_last=True,
        collate_fn=lambda batch: collate(batch, tokenizer.end_id, mask),
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-5, weight_decay=0.1)
    module.train()
    losses = []
    for inputs, targets in loader:
        optimizer.zero_grad()
        logits = module(inputs).logits if is_transformers else module(inputs)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == NUM_STEPS
    return losses


def our_losses(entries: list[dict[str, str]], folder: Path, mask: str) -> list[float]:
    """The losses that a run writes to its metrics."""
    data = folder / "data.json"
    data.write_text(json.dumps(entries), encoding="utf-8")
    layer = {
        "collate": mask,
        "data": {"source": str(data)},
        "train": {
            "max_steps": NUM_STEPS,
            "batch_size": 8,
            "lr": 5e-5,
            "schedule": "constant",
            "drop_last": True,
            "eval_every": NUM_STEPS,
            "eval_examples": 1,
        },
        "generate": {"max_new_tokens": 2},
        "seed": 123,
        "threads": 1,
        "out": folder / "run",
    }
    session = Session.start(layer, load_registry(), Observer())
    with session.at_work():
        session.train()
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "step"]


@pytest.mark.parametrize("mask", ["pad-only", "mask-pad", "mask-instruction"])
def test_the_loss_curve_is_that_of_the_chapters_loop(
    mask: str, entries: list[dict[str, str]], model: CausalLM, tmp_path: Path
) -> None:
    expected = plain_losses(model.module, entries, model, mask)
    ours = our_losses(entries, tmp_path, mask)
    assert len(ours) == NUM_STEPS
    assert ours == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < expected[0] - 0.1, "something was learned, so the curves had a chance to part"


def test_the_loss_curve_is_that_of_transformers(entries: list[dict[str, str]], model: CausalLM, tmp_path: Path) -> None:
    from transformers import GPT2LMHeadModel

    untuned = tmp_path / "untuned"
    untuned.mkdir()
    model.save(untuned)
    witness = GPT2LMHeadModel.from_pretrained(
        untuned, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, local_files_only=True
    )
    expected = plain_losses(witness, entries, model, "mask-pad", is_transformers=True)
    assert our_losses(entries, tmp_path, "mask-pad") == pytest.approx(expected, abs=1e-4)
