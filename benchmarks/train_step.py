"""Seconds of one optimizer step: sftframe beside the chapter's package, a plain transformers loop and TRL.

    python -m benchmarks.train_step --data instruction-data.json --tokenizer gpt2/ --collate mask-pad

The same batches of the same data in file order, the same sizes, random weights, float32 (or bfloat16 autocast), AdamW;
every contender in a process of its own, in turn. Peers that are not installed are left out. A GPU is waited for at both
ends of a step.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.harness import compete, table, worker

CONTENDERS = ("sftframe", "sftframe-plain", "chapter", "transformers", "trl")
NEEDED = {"chapter": "llms_from_scratch", "transformers": "transformers", "trl": "trl"}
SIZES = {"124M": (768, 12, 12), "355M": (1024, 24, 16), "774M": (1280, 36, 20), "1558M": (1600, 48, 25)}
BACKENDS = {"124M": "gpt2-small", "355M": "gpt2-medium", "774M": "gpt2-large", "1558M": "gpt2-xl"}


def main() -> None:
    options = _options()
    if options.worker:
        _work(options)
        return
    chosen = [name for name in options.contenders.split(",") if _is_installed(name)]
    shared = [
        *("--data", str(options.data), "--tokenizer", str(options.tokenizer), "--collate", options.collate),
        *("--size", options.size, "--batch-size", str(options.batch_size), "--steps", str(options.steps)),
        *("--device", options.device, "--dtype", options.dtype),
    ]
    commands = {name: worker("benchmarks.train_step", name, *shared) for name in chosen}
    results = compete(commands, rounds=options.rounds)
    if options.json:
        print(json.dumps([one.document() for one in results.values()], indent=2))
    else:
        title = f"{options.size}, {options.collate}, batch {options.batch_size}, {options.data.name}"
        title += f", {options.device}, {options.dtype}"
        print(title, table(results, "sftframe", "seconds per optimizer step"), sep="\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, required=True, help="instruction data, JSON")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with vocab.bpe and encoder.json")
    parser.add_argument("--collate", default="mask-pad", choices=["mask-pad", "mask-instruction"])
    parser.add_argument("--size", default="124M", choices=sorted(SIZES))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=6, help="counted steps a round, after two that are not")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", type=Path, help="write a trace of sftframe's steps here (chrome://tracing)")
    options = parser.parse_args()
    if options.profile:
        options.worker = "sftframe"
    return options


def _is_installed(name: str) -> bool:
    return name not in NEEDED or importlib.util.find_spec(NEEDED[name]) is not None


def _work(options: argparse.Namespace) -> None:
    from sftframe.device import peak_memory_bytes, set_up_threads

    set_up_threads(None)
    contender: Callable[[argparse.Namespace], Iterator[float]] = {
        "sftframe": _sftframe,
        "sftframe-plain": _sftframe,
        "chapter": _chapter,
        "transformers": _transformers,
        "trl": _trl,
    }[options.worker]
    seconds = list(contender(options))[2:]
    print(json.dumps({"seconds": seconds, "peak_memory_bytes": peak_memory_bytes(options.device)}), flush=True)


def _prepared(options: argparse.Namespace) -> Any:
    """Configuration, components and tokenised data, through sftframe itself."""
    from sftframe.pipeline.setup import Components, prepare_data, resolve
    from sftframe.progress import Observer
    from sftframe.registry import load_registry

    registry = load_registry()
    layer = {
        "model": {"name": _backend(options), "weights": "random", "tokenizer": str(options.tokenizer)},
        "collate": options.collate,
        "data": {"source": str(options.data)},
        "train": {
            "batch_size": options.batch_size,
            "shuffle": False,
            "epochs": 100,
            "compact": options.worker != "sftframe-plain",
        },
    }
    config = resolve(layer, registry)
    components = Components.choose(config, registry)
    return config, components, prepare_data(config, components, Observer())


def _backend(options: argparse.Namespace) -> str:
    return BACKENDS[options.size]


def _now(options: argparse.Namespace) -> float:
    """The time, once the device has done all it was given."""
    import torch

    if options.device != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def _precision(options: argparse.Namespace) -> AbstractContextManager[object]:
    import torch

    return torch.autocast(options.device, dtype=torch.bfloat16, enabled=options.dtype == "bfloat16")


def _batches(options: argparse.Namespace) -> Iterator[Any]:
    """The batches of every contender: file order, as the collate strategy makes them."""
    from sftframe.stages.batches import StepLoader

    config, components, material = _prepared(options)
    loader = StepLoader(material.train, components.strategy, config.train, seed=1)
    for data in loader.steps():
        yield data.micro_batches[0]


def _sftframe(options: argparse.Namespace) -> Iterator[float]:
    from sftframe.stages.batches import StepLoader
    from sftframe.stages.train import Trainer

    config, components, material = _prepared(options)
    model = components.backend.load(device=options.device, dtype="float32", seed=1)
    model.is_compacting = config.train.compact
    loader = StepLoader(material.train, components.strategy, config.train, seed=1)
    trainer = Trainer(model, config.train, num_steps=loader.num_steps, dtype=options.dtype)
    for count, data in enumerate(loader.steps()):
        if count == options.steps + 2:
            break
        if options.profile and count == options.steps + 1:
            _traced(lambda data=data: trainer.step(data), options.profile)  # type: ignore[misc]
        start = _now(options)
        trainer.step(data)
        yield _now(options) - start


def _traced(step: Callable[[], object], path: Path) -> None:
    from torch.profiler import profile

    with profile() as trace:
        step()
    trace.export_chrome_trace(str(path))
    print(trace.key_averages().table(sort_by="self_cpu_time_total", row_limit=25), file=sys.stderr)


def _loop(options: argparse.Namespace, module: Any, logits: Callable[[Any], Any], optimizer: Any) -> Iterator[float]:
    import torch.nn.functional as F

    module.to(options.device).train()
    for count, batch in enumerate(_batches(options)):
        if count == options.steps + 2:
            return
        start = _now(options)
        optimizer.zero_grad()
        inputs, targets = batch.inputs.to(options.device), batch.targets.to(options.device)
        with _precision(options):
            loss = F.cross_entropy(logits(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        loss.item()
        yield _now(options) - start


def _chapter(options: argparse.Namespace) -> Iterator[float]:
    """The book's model (its head is not tied) in the chapter's loop."""
    import torch
    from llms_from_scratch.ch04 import GPTModel

    width, layers, heads = SIZES[options.size]
    module = GPTModel(
        {
            "vocab_size": 50257,
            "context_length": 1024,
            "emb_dim": width,
            "n_heads": heads,
            "n_layers": layers,
            "drop_rate": 0.0,
            "qkv_bias": True,
        }
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-5, weight_decay=0.1)
    yield from _loop(options, module, module, optimizer)


def _transformers(options: argparse.Namespace) -> Iterator[float]:
    import torch

    module = _hugging_face(options)
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-5, weight_decay=0.1)
    yield from _loop(options, module, lambda ids: module(ids).logits, optimizer)


def _hugging_face(options: argparse.Namespace) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    width, layers, heads = SIZES[options.size]
    return GPT2LMHeadModel(
        GPT2Config(
            n_embd=width, n_layer=layers, n_head=heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False
        )
    )


def _trl(options: argparse.Namespace) -> Iterator[float]:
    """`SFTTrainer` with its defaults but float32, the same rows in the same order."""
    import tempfile

    from datasets import Dataset
    from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    _config, components, material = _prepared(options)
    rows = material.train[: (options.steps + 2) * options.batch_size]
    columns = {
        "input_ids": [[int(i) for i in row.ids] for row in rows],
        "completion_mask": [[int(role >= 3) for role in row.roles] for row in rows],
    }
    if options.collate == "mask-pad":
        del columns["completion_mask"]
    folder = tempfile.mkdtemp()
    assert isinstance(components.tokenizer, BytePairTokenizer)
    components.tokenizer.save(Path(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, model_type="gpt2")
    tokenizer.pad_token = tokenizer.eos_token = "<|endoftext|>"
    times: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_args: Any, **_more: Any) -> None:
            times.append(-_now(options))

        def on_step_end(self, *_args: Any, **_more: Any) -> None:
            times[-1] += _now(options)

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


if __name__ == "__main__":
    main()
