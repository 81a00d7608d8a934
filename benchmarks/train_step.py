"""Seconds of one optimizer step: sftframe beside the chapter's package, a plain transformers loop and TRL.

    python -m benchmarks.train_step --data instruction-data.json --tokenizer gpt2/ --collate mask-pad

The same batches of the same data in file order, the same sizes, random weights, float32 (or bfloat16 autocast), AdamW;
every contender in a process of its own, in turn. `floor` is the least that a step can take on this CPU, measured in the
same run. `--size smollm` is a Llama of SmolLM-135M's sizes through the `hf` backend, with GPT-2's vocabulary. `--rows`
takes long rows made here instead of the data. `--cpu-time` counts the CPU time of one thread, for a machine on which
others work. Peers that are not installed are left out. A GPU is waited for at both ends of a step.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness import compete, table, worker
from benchmarks.training_floor import floor
from benchmarks.training_peers import chapter, now, transformers, trl
from benchmarks.training_rows import SIZES, prepared

NEEDED = {"chapter": "llms_from_scratch", "transformers": "transformers", "trl": "trl"}


def main() -> None:
    options = _options()
    if options.worker:
        _work(options)
        return
    chosen = [name for name in options.contenders.split(",") if _takes_part(name, options)]
    shared = [
        *("--rows", options.rows, *(["--data", str(options.data)] if options.data else [])),
        *("--tokenizer", str(options.tokenizer), "--collate", options.collate),
        *("--size", options.size, "--batch-size", str(options.batch_size), "--steps", str(options.steps)),
        *("--device", options.device, "--dtype", options.dtype),
        *(["--cpu-time"] if options.cpu_time else []),
    ]
    commands = {name: worker("benchmarks.train_step", name, *shared) for name in chosen}
    results = compete(commands, rounds=options.rounds, retries=options.retries)
    if options.json:
        print(json.dumps([one.document() for one in results.values()], indent=2))
    else:
        rows = options.data.name if options.rows == "data" else options.rows
        what = f"{options.size}, {options.collate}, batch {options.batch_size}"
        print(f"{what}, {rows}, {options.device}, {options.dtype}")
        unit = "seconds of CPU time of one thread" if options.cpu_time else "seconds"
        print(table(results, "sftframe", f"{unit} per optimizer step", floor="floor"))


def _sftframe(options: argparse.Namespace) -> Iterator[float]:
    from sftframe.training import training_parts

    config, components, rows = prepared(options)
    model = components.backend.load(device=options.device, dtype="float32", seed=1)
    config = config.model_copy(update={"dtype": options.dtype})
    parts = training_parts(model, rows, components.strategy, config)
    trainer = parts.trainer
    for count, data in enumerate(parts.steps()):
        if count == options.steps + 2:
            return
        if options.profile and count == options.steps + 1:
            _traced(lambda data=data: trainer.step(data), options.profile)  # type: ignore[misc]
        start = now(options)
        trainer.step(data)
        yield now(options) - start


CONTENDERS: dict[str, Callable[[argparse.Namespace], Iterator[float]]] = {
    "sftframe": _sftframe,
    "sftframe-plain": _sftframe,
    "floor": floor,
    "chapter": chapter,
    "transformers": transformers,
    "trl": trl,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help="instruction data, JSON; needed unless --rows makes rows up")
    parser.add_argument("--rows", default="data", choices=["data", "long-common", "long-ragged"])
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with vocab.bpe and encoder.json")
    parser.add_argument("--collate", default="mask-pad", choices=["mask-pad", "mask-instruction"])
    parser.add_argument("--size", default="124M", choices=SIZES)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--cpu-time", action="store_true", help="one thread, and its CPU time instead of the clock's")
    parser.add_argument("--steps", type=int, default=6, help="counted steps a round, after two that are not")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--retries", type=int, default=3, help="how often a round with foreign load is run again")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", type=Path, help="write a trace of a step of sftframe here (chrome://tracing)")
    options = parser.parse_args()
    if options.rows == "data" and options.data is None:
        parser.error("--data is needed, or --rows long-common or long-ragged")
    if options.profile:
        options.worker = "sftframe"
    return options


def _takes_part(name: str, options: argparse.Namespace) -> bool:
    if name == "floor":
        return bool(options.device == "cpu")
    if name == "chapter" and SIZES[options.size].is_llama:
        return False
    return name not in NEEDED or importlib.util.find_spec(NEEDED[name]) is not None


def _work(options: argparse.Namespace) -> None:
    from sftframe.device import limit_spinning, peak_memory_bytes, set_up_threads
    from sftframe.device.cpu import keep_freed_memory

    limit_spinning()
    set_up_threads(1 if options.cpu_time else None)
    if options.worker in ("sftframe", "sftframe-plain", "floor"):
        keep_freed_memory()  # as every run of sftframe does for itself
    seconds = list(CONTENDERS[options.worker](options))[2:]
    memory = 0 if options.worker == "floor" else peak_memory_bytes(options.device)
    print(json.dumps({"seconds": seconds, "peak_memory_bytes": memory}), flush=True)


def _traced(step: Callable[[], object], path: Path) -> None:
    from torch.profiler import profile

    with profile() as trace:
        step()
    trace.export_chrome_trace(str(path))
    print(trace.key_averages().table(sort_by="self_cpu_time_total", row_limit=25), file=sys.stderr)


if __name__ == "__main__":
    main()
