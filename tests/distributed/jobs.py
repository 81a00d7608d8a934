"""What the ranks of a test do: each function runs in every process, and rank 0 returns what the test looks at."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from torch import Tensor, nn

from sftframe import (
    Batch,
    CausalLM,
    Completion,
    GenerationSettings,
    ModelBackend,
    Role,
    SftframeError,
    TokenizedExample,
    load_registry,
)
from sftframe.config import LoraConfig, TrainConfig
from sftframe.distributed import Place
from sftframe.distributed.following import LoadPlan, follow
from sftframe.distributed.leading import lead
from sftframe.distributed.rank_model import RankModel, TrainingPlan
from sftframe.distributed.ranks import Ranks
from sftframe.distributed.sharing import shared_step
from sftframe.registry import Seam
from sftframe.training import LoraAdapters, StepLoader, Trainer, collate, make_trainer

Job = Callable[[Ranks, Path], dict[str, Any]]


def start(jobs: Sequence[tuple[Job, int]], folder: Path) -> None:
    """Do jobs one after the other, each with a number of ranks, in processes that are started once."""
    most = max(number for _, number in jobs)
    mp.spawn(_work, (jobs, [free_port() for _ in jobs], folder), nprocs=most)  # type: ignore[no-untyped-call]


def _work(rank: int, jobs: Sequence[tuple[Job, int]], ports: Sequence[int], folder: Path) -> None:
    torch.set_num_threads(1)
    for (job, number), port in zip(jobs, ports, strict=True):
        if rank >= number:
            continue
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(number))
        ranks = Ranks(Place(rank=rank, world_size=number, local_rank=rank, local_world_size=number))
        found = job(ranks, folder)
        ranks.close()
        if rank == 0:
            (folder / f"{job.__name__}-{number}.json").write_text(json.dumps(found), encoding="utf-8")


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


class Tied(nn.Module):
    """Somebody's network: the head is the embedding's own parameter, one layer has a weight that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 12)
        self.body = nn.ModuleList([nn.Linear(12, 12) for _ in range(3)])
        self.head = nn.Linear(12, 50, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for layer in self.body:
            x = x + torch.tanh(layer(x.cumsum(dim=1) * self.scale))
        logits: Tensor = self.head(x)
        return logits


class TiedLM(CausalLM):
    """It computes gradients of its own when it is used first."""

    has_tried = False

    def loss_sum(self, batch: Batch) -> Tensor:
        if not self.has_tried:
            self.has_tried = True
            with torch.enable_grad():
                super().loss_sum(batch).backward()  # type: ignore[no-untyped-call]
            self.module.zero_grad()
        return super().loss_sum(batch)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def tied(dtype: torch.dtype) -> CausalLM:
    torch.manual_seed(5)
    return TiedLM(Tied().to(dtype), None, 64)  # type: ignore[arg-type]


def small_gpt2(dtype: torch.dtype, dropout: float = 0.0) -> CausalLM:
    sizes = NetworkConfig(vocab_size=50, context_length=40, width=12, num_layers=3, num_heads=2, dropout=dropout)
    network = GPT2(sizes)
    network.initialise(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(5)  # logits that differ, so that gradients do
    return GPT2LM(network.to(dtype), None)  # type: ignore[arg-type]


def rows() -> list[TokenizedExample]:
    """Eleven rows of uneven length, four of them with the same beginning."""
    draws = torch.Generator().manual_seed(3)
    made = []
    for index in range(11):
        length = int(torch.randint(7, 30, (1,), generator=draws))
        ids = torch.randint(0, 49, (length,), generator=draws).tolist()
        ids[:5] = [1, 2, 3, 4, 5] if index < 4 else ids[:5]
        num_prompt = length // 2
        roles = [Role.TEMPLATE] * num_prompt + [Role.RESPONSE] * (length - num_prompt - 1) + [Role.END]
        made.append(TokenizedExample(ids=[*ids[:-1], 49], roles=roles, num_truncated=0, index=index))
    return made


CASES: dict[str, tuple[str, Callable[[torch.dtype], CausalLM], torch.dtype, bool, dict[str, Any]]] = {
    "mask-pad": ("mask-pad", small_gpt2, torch.float64, False, {"batch_size": 4}),
    "mask-instruction, shared layers, accumulated, clipped": (
        "mask-instruction",
        small_gpt2,
        torch.float64,
        True,
        {"batch_size": 2, "accumulate": 3, "clip_norm": 0.1},
    ),
    "pad-only, without compaction": (
        "pad-only",
        small_gpt2,
        torch.float64,
        True,
        {"batch_size": 4, "compact": False},
    ),
    "prompt-weight, LoRA, accumulated": (
        "prompt-weight",
        small_gpt2,
        torch.float64,
        False,
        {"batch_size": 3, "accumulate": 2, "lora": LoraConfig(rank=2)},
    ),
    "gradient checkpointing, float32": (
        "mask-pad",
        small_gpt2,
        torch.float32,
        True,
        {"batch_size": 5, "gradient_checkpointing": True, "clip_norm": 1.0},
    ),
    "somebody's model, with tied weights": ("mask-pad", tied, torch.float64, True, {"batch_size": 4, "accumulate": 2}),
}
"""Name to strategy, model, dtype, whether layers are given back, settings."""


def gradients(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """By case the largest difference from one process: of the first step's gradients, relative to the largest of their
    tensor, of loss and norm over all steps, relative, and of the weights after the last.
    """
    return {name: _differences(ranks, *case) for name, case in CASES.items()}


def _differences(
    ranks: Ranks,
    strategy: str,
    model: Callable[[torch.dtype], CausalLM],
    dtype: torch.dtype,
    is_resharding: bool,
    settings: dict[str, Any],
) -> dict[str, float]:
    config = TrainConfig(lr=1e-3, eps=1e-3, epochs=1, **settings)
    loader = StepLoader(rows(), load_registry().collate_strategy(strategy, {}, pad_id=49), config, seed=7)
    ours, trainer = _spread(ranks, lambda: model(dtype), config, loader, is_resharding=is_resharding)
    alone = model(dtype)
    alone.is_compacting, alone.is_recomputing = config.compact, config.gradient_checkpointing
    if config.lora is not None:
        LoraAdapters(alone.module, config.lora, seed=7)
    reference = make_trainer(alone, config, num_steps=loader.num_steps)
    found = {"gradient": 0.0, "loss": 0.0, "norm": 0.0}
    for data in loader.steps():
        expected = reference.step(data)
        record = trainer.step(shared_step(data, ranks.place.world_size)[ranks.place.rank])
        found["loss"] = max(found["loss"], abs(record.loss - expected.loss) / expected.loss)
        found["norm"] = max(found["norm"], abs(record.grad_norm - expected.grad_norm) / expected.grad_norm)
        assert ours.sharded is not None
        for name, parameter in alone.module.named_parameters():
            if parameter.grad is not None and data.number == 1:
                whole = ours.sharded.parameters[name].grad.full_tensor()  # type: ignore[union-attr]
                gap = (whole - parameter.grad).abs().max() / parameter.grad.abs().max()
                found["gradient"] = max(found["gradient"], float(gap))
    ours.let_go()
    ours.gather()
    both = zip(ours.whole.module.parameters(), alone.module.parameters(), strict=True)
    return {**found, "weights": max(float((one - other).detach().abs().max()) for one, other in both)}


def _spread(
    ranks: Ranks, load: Callable[[], CausalLM], config: TrainConfig, loader: StepLoader, *, is_resharding: bool
) -> tuple[RankModel, Trainer]:
    ours = RankModel(ranks, load)
    plan = TrainingPlan(train=config, dtype="float32", seed=7, num_steps=loader.num_steps, is_resharding=is_resharding)
    ours.begin(plan)
    trainer = make_trainer(
        ours.whole, config, num_steps=loader.num_steps, passes=ours.passes, optimizer_step=ours.optimizer_step
    )
    return ours, trainer


def leading(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Rank 0 has the others load models that they do not have, then one that they have, and asks it."""
    if not ranks.place.leads:
        follow(ranks)
        return {}
    registry = load_registry()
    options = {"weights": "random"}
    backend = registry.model_backend("gpt2-nano", options)
    provider = registry.provider(Seam.MODEL, "gpt2-nano")
    plan = LoadPlan(
        name="gpt2-nano",
        options=options,
        provider=provider.id,
        version=provider.version,
        device="cpu",
        threads=1,
        seed=3,
    )
    wrong = {
        "other version": replace(plan, version="0.0.1"),
        "switched off": replace(plan, disabled=(provider.id,)),
        "other weights": replace(plan, options={"weights": "bundled"}),
        "no folder": replace(plan, saved=folder / "nowhere"),
    }
    found: dict[str, Any] = {name: _message(ranks, one, backend) for name, one in wrong.items()}
    model = lead(ranks, plan, backend)
    alone = backend.load(device="cpu", dtype="float32", seed=3)
    batch = collate(registry.collate_strategy("mask-instruction", {}, pad_id=49), rows())
    with torch.inference_mode():
        found["nll"] = float((model.token_nll(batch) - alone.token_nll(batch)).abs().max())
        found["loss"] = float((model.loss_sum(batch) - alone.loss_sum(batch)).abs())
    prompts = [list(example.ids[:6]) for example in rows()]
    settings = GenerationSettings(max_new_tokens=5, temperature=1.0, seed=4)  # each prompt has its own random numbers
    together, wanted = (sorted(one.generate(prompts, settings), key=_position) for one in (model, alone))
    found["answers"] = together == wanted
    ranks.dismiss()
    return found


def _message(ranks: Ranks, plan: LoadPlan, backend: ModelBackend) -> str:
    try:
        lead(ranks, plan, backend)
    except SftframeError as error:
        return str(error)
    return ""


def _position(completion: Completion) -> int:
    return completion.position


NUM_BEFORE = 3
"""Steps before the checkpoint."""


def writing(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Train with dropout twice, write a checkpoint after the third step, and train on."""
    first, again = (_steps(ranks, range(0, 6), dropout=0.3) for _ in range(2))
    ours = _steps(ranks, range(0, NUM_BEFORE))
    made = folder / f"by-{ranks.place.world_size}" / f"step-{NUM_BEFORE}"
    made.mkdir(parents=True, exist_ok=True)
    torch.distributed.barrier()
    ours.write(made)
    if ranks.place.leads:
        save_file(weights(ours.whole), str(folder / "before.safetensors"))
    return {"same bytes": all(map(torch.equal, weights(first.whole).values(), weights(again.whole).values()))}


def reading(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Train on from the checkpoints that one process and two wrote: the largest difference from one process."""
    expected = load_file(str(folder / "after.safetensors"))
    before = load_file(str(folder / "before.safetensors"))
    found = {}
    for writer in ("by-1", "by-2"):
        read = folder / writer / f"step-{NUM_BEFORE}"
        ours = _steps(ranks, range(NUM_BEFORE, NUM_BEFORE), read=read)
        found[f"{writer}, read"] = gap(weights(ours.whole), before)
        ours = _steps(ranks, range(NUM_BEFORE, 6), read=read)
        found[f"{writer}, trained on"] = gap(weights(ours.whole), expected)
    return found


def _steps(ranks: Ranks, numbers: range, *, read: Path | None = None, dropout: float = 0.0) -> RankModel:
    """The model after some steps, from the start or from a checkpoint."""
    ours, trainer = _spread(
        ranks, lambda: small_gpt2(torch.float32, dropout), CHECKPOINTED, loader(), is_resharding=False
    )
    if read is not None:
        ours.read(read)
    for data in loader().steps(after=numbers.start):
        if data.number <= numbers.stop:
            trainer.step(shared_step(data, ranks.place.world_size)[ranks.place.rank])
    ours.let_go()
    ours.gather()
    return ours


CHECKPOINTED = TrainConfig(batch_size=4, lr=1e-2, eps=1e-3)


def loader() -> StepLoader:
    """Six steps: two epochs of three."""
    return StepLoader(rows(), load_registry().collate_strategy("mask-pad", {}, pad_id=49), CHECKPOINTED, seed=7)


def weights(model: CausalLM) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.module.named_parameters()}


def gap(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
