"""Seconds until something happens: the first step of a run, `--help`, and 52,000 examples read or tokenised.

    python -m benchmarks.startup --weights runs/mine/model

Each contender is a process of its own, timed from its start. `run-…` is `sftframe run` without measuring the untuned
model, until the first step is written to `metrics.jsonl`; then it is ended. The 52,000 examples are the bundled ones,
or those of `--data`, repeated and numbered, in a file of their own. Processes are started fresh, files come from the
system's cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import compete, table, worker

CONTENDERS = ("help", "run-nano", "run-weights", "load-52000", "tokenise-52000")
NUM_EXAMPLES = 52_000
"""As many as the Alpaca data set has."""
POLL_S = 0.01


def main() -> None:
    options = _options()
    if options.worker:
        _work(options)
        return
    chosen = [name for name in options.contenders.split(",") if options.weights or name != "run-weights"]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "many.json"
        _write_many(data, options.data)
        shared = ["--many", str(data), *(["--weights", str(options.weights)] if options.weights else [])]
        commands = {name: worker("benchmarks.startup", name, *shared) for name in chosen}
        results = compete(commands, rounds=options.rounds, retries=options.retries)
    if options.json:
        print(json.dumps([one.document() for one in results.values()], indent=2))
    else:
        print(table(results, chosen[0], "seconds"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--many", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", default="starter", help="instruction data, JSON, of which the 52,000 are made")
    parser.add_argument("--weights", type=Path, help="a saved model's folder, for instance GPT-2's 124M")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--retries", type=int, default=3, help="how often a round with foreign load is run again")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _work(options: argparse.Namespace) -> None:
    works: dict[str, Callable[[], float]] = {
        "help": _help,
        "run-nano": lambda: _first_step([]),
        "run-weights": lambda: _first_step(["--model", "gpt2", "--set", f"model.weights={options.weights}"]),
        "load-52000": lambda: _load(options.many),
        "tokenise-52000": lambda: _tokenise(options.many, options.weights),
    }
    print(json.dumps({"seconds": [works[options.worker]()]}), flush=True)


def _help() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "sftframe", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _first_step(settings: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "sftframe", "run", "--set", "before=false", "--out", str(out), *settings]
        start = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not _has_step(out / "metrics.jsonl"):
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode} before a step")
            time.sleep(POLL_S)
        seconds = time.perf_counter() - start
        process.kill()
        process.wait()
    return seconds


def _has_step(metrics: Path) -> bool:
    return metrics.exists() and '"kind": "step"' in metrics.read_text()


def _write_many(path: Path, source: str) -> None:
    from sftframe.config import DataConfig
    from sftframe.data import load_examples

    examples = load_examples(DataConfig(source=source)).examples
    chosen = [(number, examples[number % len(examples)]) for number in range(NUM_EXAMPLES)]
    entries = [
        {"instruction": f"{number}. {one.instruction}", "input": one.input, "output": one.output}
        for number, one in chosen
    ]
    path.write_text(json.dumps(entries))


def _load(path: Path) -> float:
    from sftframe.config import DataConfig
    from sftframe.data import load_examples

    start = time.perf_counter()
    load_examples(DataConfig(source=str(path)))
    return time.perf_counter() - start


def _tokenise(path: Path, weights: Path | None) -> float:
    from sftframe.config import DataConfig, RunConfig
    from sftframe.data import load_examples
    from sftframe.pipeline import Components
    from sftframe.prompts.tokens import tokenize
    from sftframe.registry import load_registry

    model = {"name": "gpt2", "weights": str(weights)} if weights else {"name": "gpt2-nano"}
    config = RunConfig.model_validate({"model": model, "data": DataConfig(source=str(path))})
    components = Components.choose(config, load_registry())
    examples = load_examples(config.data).examples
    start = time.perf_counter()
    context = components.backend.context_length()
    tokenize(examples, components.style, components.tokenizer, config.tokens, context_length=context)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
