"""Weak and strong scaling: one process of one thread beside several, the same steps in turn, in one run.

    python -m benchmarks.scaling --data instruction-data.json --tokenizer gpt2/ --batch-size 8 --ranks 2

Strong: the same batch, shared out. Weak: a batch of so many rows for each rank. Efficiency is the time of one process
over that of the ranks, per row and rank. Rank 0 takes the steps of one process while the others wait, then all take the
same step together, so both see the same other load of the machine. Seconds of the CPU are shown beside the clock's:
they count work and sending, and neither waiting nor other programs.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.training_rows import SIZES, prepared
from sftframe.config import RunConfig
from sftframe.device import peak_memory_bytes
from sftframe.distributed import Place
from sftframe.distributed.parallel import num_bytes
from sftframe.distributed.rank_model import RankModel, TrainingPlan
from sftframe.distributed.ranks import Ranks
from sftframe.distributed.sharing import shared_step
from sftframe.records import StepData
from sftframe.training import StepLoader, make_trainer

NUM_WARM = 2
"""Steps that are not counted."""


def main() -> None:
    options = _options()
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port = tried.getsockname()[1]
    mp.spawn(_work, (options, port), nprocs=options.ranks)  # type: ignore[no-untyped-call]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="instruction data, JSON")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with vocab.bpe and encoder.json")
    parser.add_argument("--collate", default="mask-pad", choices=["mask-pad", "mask-instruction"])
    parser.add_argument("--size", default="124M", choices=SIZES)
    parser.add_argument("--batch-size", type=int, default=8, help="strong: of all ranks; weak: of each")
    parser.add_argument("--kinds", default="strong,weak")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6, help="counted steps of each kind")
    parser.add_argument("--parallel", default="replicate", choices=["replicate", "shard"])
    parser.set_defaults(rows="data", device="cpu", dtype="float32", worker="sftframe")
    return parser.parse_args()


def _work(rank: int, options: argparse.Namespace, port: int) -> None:
    torch.set_num_threads(1)
    number = options.ranks
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(number))
    ranks = Ranks(Place(rank=rank, world_size=number, local_rank=rank, local_world_size=number))
    for kind, rows in (("strong", options.batch_size), ("weak", options.batch_size * number)):
        if kind not in options.kinds.split(","):
            continue
        found = _measured(ranks, options, rows_together=rows, rows_alone=options.batch_size)
        if rank == 0:
            print(json.dumps({"kind": kind, "ranks": number, "rows a step": rows, **found}), flush=True)
    ranks.close()


def _measured(ranks: Ranks, options: argparse.Namespace, *, rows_together: int, rows_alone: int) -> dict[str, Any]:
    config, components, examples = prepared(options)

    def loader(batch_size: int) -> StepLoader:
        settings = config.train.model_copy(update={"batch_size": batch_size, "epochs": 5})
        return StepLoader(examples, components.strategy, settings, seed=1)

    def load() -> Any:
        return components.backend.load(device="cpu", dtype="float32", seed=1)

    together = _trainer_of_all(ranks, options, config, load)
    alone = make_trainer(load(), config.train, num_steps=1000) if ranks.place.leads else None
    times: dict[str, list[float]] = {"alone": [], "alone, CPU": [], "together": [], "together, CPU": [], "sent": []}
    for count, (data, own) in enumerate(zip(loader(rows_together).steps(), loader(rows_alone).steps(), strict=False)):
        if count == options.steps + NUM_WARM:
            break
        if alone is not None:
            _timed(times, "alone", lambda own=own: alone.step(own))  # type: ignore[misc]
        dist.barrier()
        before = _sent()
        share = shared_step(data, ranks.place.world_size)[ranks.place.rank]
        _timed(times, "together", lambda share=share: together(share))  # type: ignore[misc]
        dist.barrier()
        times["sent"].append(_sent() - before)
    return _summary(times, ranks, rows_together / rows_alone)


def _trainer_of_all(
    ranks: Ranks, options: argparse.Namespace, config: RunConfig, load: Callable[[], Any]
) -> Callable[[StepData], object]:
    model = RankModel(ranks, load)
    is_resharding = options.parallel == "shard"
    plan = TrainingPlan(train=config.train, dtype="float32", seed=1, num_steps=1000, is_resharding=is_resharding)
    model.begin(plan)
    model.let_go()
    trainer = make_trainer(
        model.whole, config.train, num_steps=1000, passes=model.passes, optimizer_step=model.optimizer_step
    )
    if ranks.place.leads:
        assert model.sharded is not None
        parts = num_bytes(part.to_local() for part in model.sharded.parameters.values())  # type: ignore[misc]
        whole = num_bytes(load().module.parameters())
        print(f"weights, gradients and moments of rank 0: {parts / whole:.1%} of one process's, between steps")
    return trainer.step


def _timed(times: dict[str, list[float]], name: str, work: Callable[[], object]) -> None:
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    times[name].append(time.perf_counter() - clock)
    times[f"{name}, CPU"].append(time.process_time() - cpu)


def _sent() -> float:
    """Bytes sent over the loopback device so far, by all programs."""
    return float(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)


def _summary(times: dict[str, list[float]], ranks: Ranks, growth: float) -> dict[str, Any]:
    """Medians, and the efficiencies.

    Args:
        growth: rows of a step together over those of a step alone.
    """
    number = ranks.place.world_size
    cpu = torch.tensor(times["together, CPU"][NUM_WARM:])
    dist.all_reduce(cpu)
    if not ranks.place.leads:
        return {}
    alone, alone_cpu, together = (
        statistics.median(times[name][NUM_WARM:]) for name in ("alone", "alone, CPU", "together")
    )
    return {
        "seconds of one process": round(alone, 3),
        "seconds together": round(together, 3),
        "efficiency": round(alone * growth / (together * number), 3),
        "efficiency by CPU seconds": round(alone_cpu * growth / float(cpu.median()), 3),
        "MB sent a step": round(statistics.median(times["sent"][NUM_WARM:]) / 1e6, 1),
        "peak memory of rank 0, GB": round(peak_memory_bytes("cpu") / 1e9, 2),
    }


if __name__ == "__main__":
    main()
