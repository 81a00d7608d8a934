"""Memory: of tokenised examples, beside lists, and the peak of a training step, beside the peers.

    python -m benchmarks.memory --data instruction-data.json --tokenizer gpt2/

The peak of a step is that of `benchmarks.train_step`'s contenders, a process each: weights, gradients, moments and
activations, and whatever else the process holds. Memory does not depend on load, so one round is enough.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured, compete, worker
from benchmarks.train_step import CONTENDERS, NEEDED

MILLION = 1_000_000


def main() -> None:
    options = _options()
    store = _store_bytes(options)
    steps = _step_peaks(options)
    if options.json:
        peaks = {name: one.peak_memory_bytes for name, one in steps.items()}
        print(json.dumps({"store": store, "step_peak_bytes": peaks}, indent=2))
        return
    print(f"tokens of a million examples like those of {options.data.name} ({store['tokens_per_example']:.1f} each):")
    for form in ("flat arrays", "lists"):
        print(f"  {form:26}{store[form] / 2**20:10.0f} MiB")
    print(f"peak of a training step, {options.size}, {options.collate}, batch {options.batch_size}:")
    for name, one in steps.items():
        print(f"  {name:26}{one.peak_memory_bytes / 2**30:10.2f} GiB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="instruction data, JSON")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with vocab.bpe and encoder.json")
    parser.add_argument("--collate", default="mask-pad", choices=["mask-pad", "mask-instruction"])
    parser.add_argument("--size", default="124M")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="of benchmarks.train_step; may be empty")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _store_bytes(options: argparse.Namespace) -> dict[str, Any]:
    """Bytes of a million examples, reckoned from those of the file."""
    from sftframe.pipeline import Components, prepare_data, resolve
    from sftframe.progress import Observer
    from sftframe.registry import load_registry

    registry = load_registry()
    model = {"name": "gpt2-small", "weights": "random", "tokenizer": str(options.tokenizer)}
    config = resolve({"model": model, "data": {"source": str(options.data)}}, registry)
    prepared = prepare_data(config, Components.choose(config, registry), Observer())
    stores = (prepared.train, prepared.test, prepared.validation)
    num_examples = sum(map(len, stores))
    rows = [(list(map(int, row.ids)), list(map(int, row.roles))) for store in stores for row in store]
    # numbers above 256 are objects of their own in a list, smaller ones are not
    lists = sum(
        sys.getsizeof(ids) + sys.getsizeof(roles) + sum(sys.getsizeof(number) for number in ids if number > 256)
        for ids, roles in rows
    )
    return {
        "flat arrays": MILLION * sum(store.num_bytes for store in stores) // num_examples,
        "lists": MILLION * lists // num_examples,
        "tokens_per_example": sum(len(ids) for ids, _ in rows) / num_examples,
    }


def _step_peaks(options: argparse.Namespace) -> dict[str, Measured]:
    import importlib.util

    shared = [
        *("--data", str(options.data), "--tokenizer", str(options.tokenizer), "--collate", options.collate),
        *("--size", options.size, "--batch-size", str(options.batch_size), "--steps", str(options.steps)),
    ]
    chosen = [name for name in options.contenders.split(",") if name]
    is_there = {name: name not in NEEDED or importlib.util.find_spec(NEEDED[name]) for name in chosen}
    commands = {name: worker("benchmarks.train_step", name, *shared) for name in chosen if is_there[name]}
    return compete(commands, rounds=1, retries=0)


if __name__ == "__main__":
    main()
