"""What others take for the same training step: the chapter's package, a plain transformers loop, TRL's trainer."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.training_rows import (
    POSITIONS,
    SIZES,
    VOCABULARY,
    batches,
    configuration,
    hugging_face_folder,
    prepared,
)


def now(options: argparse.Namespace) -> float:
    """The time, or the CPU time where that is wanted, once the device has done all it was given."""
    import torch

    if options.device != "cpu":
        torch.accelerator.synchronize()
    return time.process_time() if options.cpu_time else time.perf_counter()


def _loop(options: argparse.Namespace, module: Any, logits: Callable[[Any], Any], optimizer: Any) -> Iterator[float]:
    import torch
    import torch.nn.functional as F

    module.to(options.device).train()
    for count, batch in enumerate(batches(options)):
        if count == options.steps + 2:
            return
        start = now(options)
        optimizer.zero_grad()
        inputs, targets = batch.inputs.to(options.device), batch.targets.to(options.device)
        with torch.autocast(options.device, dtype=torch.bfloat16, enabled=options.dtype == "bfloat16"):
            loss = F.cross_entropy(logits(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        loss.item()
        yield now(options) - start


def chapter(options: argparse.Namespace) -> Iterator[float]:
    """The book's model (its head is not tied) in the chapter's loop."""
    import torch
    from llms_from_scratch.ch04 import GPTModel

    shape = SIZES[options.size]
    module = GPTModel(
        {
            "vocab_size": VOCABULARY,
            "context_length": POSITIONS,
            "emb_dim": shape.width,
            "n_heads": shape.num_heads,
            "n_layers": shape.num_layers,
            "drop_rate": 0.0,
            "qkv_bias": True,
        }
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-5, weight_decay=0.1)
    yield from _loop(options, module, module, optimizer)


def transformers(options: argparse.Namespace) -> Iterator[float]:
    import torch

    module = _hugging_face(options)
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-5, weight_decay=0.1)
    yield from _loop(options, module, lambda ids: module(ids).logits, optimizer)


def _hugging_face(options: argparse.Namespace) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(configuration(SIZES[options.size]))


def trl(options: argparse.Namespace) -> Iterator[float]:
    """`SFTTrainer` with its defaults but float32, the same rows in the same order."""
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    _config, _components, train = prepared(options)
    rows = train[: (options.steps + 2) * options.batch_size]
    columns = {
        "input_ids": [[int(i) for i in row.ids] for row in rows],
        "completion_mask": [[int(role >= 3) for role in row.roles] for row in rows],
    }
    if options.collate == "mask-pad":
        del columns["completion_mask"]
    folder = str(hugging_face_folder(options))
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    times: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_args: Any, **_more: Any) -> None:
            times.append(-now(options))

        def on_step_end(self, *_args: Any, **_more: Any) -> None:
            times[-1] += now(options)

    trainer = SFTTrainer(
        model=_hugging_face(options),
        args=SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=options.batch_size,
            max_steps=options.steps + 2,
            learning_rate=5e-5,
            weight_decay=0.1,
            bf16=options.dtype == "bfloat16",
            use_cpu=options.device == "cpu",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            gradient_checkpointing=False,
            train_sampling_strategy="sequential",
        ),
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        callbacks=[Clock()],
    )
    trainer.train()
    yield from times
