"""Kill `sftframe run` at random moments, go on with `--resume`, and compare: `python benchmarks/kills.py --kills 20`.

Everything is done by the command itself, on the bundled model and data. Compared byte for byte are weights, answers,
likelihoods and verdicts; in the metrics all but the times.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

SETTINGS = ("--epochs", "1", "--limit", "200", "--set", "train.checkpoint_every=5", "--set", "model.dropout=0.1")
SAME = ("model/model.safetensors", "responses.jsonl", "responses-before.jsonl", "likelihoods.jsonl", "verdicts.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start = time.monotonic()
        finish(command(folder / "straight"))
        seconds = time.monotonic() - start
        wanted = outcome(folder / "straight")
        print(f"undisturbed: {seconds:.1f} s")
        for number in range(options.kills):
            after = chance.uniform(0, seconds)
            run = folder / f"run-{number}"
            kill(command(run), after)
            state = state_of(run)
            finish(command(run) if state == "not begun" else [*START, "run", "--resume", str(run)])
            print(f"killed after {after:4.1f} s ({state}): {'the same' if outcome(run) == wanted else 'DIFFERENT'}")


START = (sys.executable, "-m", "sftframe")


def command(run: Path) -> list[str]:
    return [*START, "run", "--out", str(run), *SETTINGS]


def finish(order: list[str]) -> None:
    done = subprocess.run(order, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def kill(order: list[str], after_s: float) -> None:
    child = subprocess.Popen(order, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):
        child.wait(after_s)
    child.send_signal(signal.SIGKILL)
    child.wait()


def state_of(run: Path) -> str:
    if not (run / "config.toml").exists():
        return "not begun"
    for name, state in (("summary.json", "finished"), ("responses.jsonl", "judging"), ("train.json", "answering")):
        if (run / name).exists():
            return state
    return "training" if (run / "metrics.jsonl").exists() else "measuring the untuned model"


def outcome(run: Path) -> dict[str, object]:
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in metrics:
        line.pop("seconds", None)
    return {"metrics": metrics, **{name: (run / name).read_bytes() for name in SAME}}


if __name__ == "__main__":
    main()
