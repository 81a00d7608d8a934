"""What every rank does with a model: load it, train its part of the weights, and measure and answer its share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from sftframe.config import TrainConfig
from sftframe.distributed.ranks import Ranks
from sftframe.distributed.sharding import Sharded, ShardedAdamW
from sftframe.plugins import CausalLM
from sftframe.records import Batch, Completion, GenerationSettings, StepData
from sftframe.training import LoraAdapters, Passes, batch_on, shards


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What a rank has to know to train."""

    train: TrainConfig
    dtype: str
    seed: int
    num_steps: int
    is_resharding: bool
    """See `Sharded`."""


class SharedPasses(Passes):
    """The passes of a step over the rows of this rank; the losses are those of all ranks together."""

    can_halve = False

    def __init__(self, sharded: Sharded, plan: TrainingPlan, rank: int) -> None:
        super().__init__(sharded.model, plan.dtype)
        self._sharded = sharded
        self._seed = plan.seed
        self._rank = rank

    def losses(self, data: StepData) -> Sequence[Tensor]:
        """As `Passes.losses`.

        Args:
            data: the rows of this rank, with the weight of all; every rank has as many micro-batches.
        """
        # dropout is other on every rank, and in every step the same after a resumption
        torch.manual_seed(_mixed(self._seed, data.number, self._rank))
        self.model.module.train()
        last = len(data.micro_batches) - 1
        losses = []
        for number, batch in enumerate(data.micro_batches):
            loss = self._sharded.compute(partial(self.loss, batch, data.weight), is_last=number == last)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        total = torch.stack(losses)
        dist.all_reduce(total)
        return list(total)


def _try_out(model: CausalLM) -> None:
    """Compute the loss of one position, for a model that finds something out about itself on first use.

    It may compute gradients for that, which it cannot do between the forward and the backward pass of spread weights.
    """
    position = torch.zeros(1, 1, dtype=torch.int64)
    with torch.no_grad():
        model.loss_sum(batch_on(Batch(inputs=position, targets=position), model.device))
    model.module.zero_grad()


def _mixed(seed: int, step: int, rank: int) -> int:
    """One seed of three numbers."""
    return hash((seed, step, rank)) % 2**63  # of whole numbers: the same in every process


class RankModel:
    """One rank's copy of the model, and its part of the training.

    Args:
        load: loads the model before training; called again for the copy that is trained.
    """

    def __init__(self, ranks: Ranks, load: Callable[[], CausalLM]) -> None:
        self.ranks = ranks
        self._load = load
        self.whole = load()
        self.sharded: Sharded | None = None
        self.passes: SharedPasses | None = None
        self.optimizer_step: ShardedAdamW | None = None
        self.is_current = True
        """Whether the whole model has the weights of the training."""

    def begin(self, plan: TrainingPlan, *, has_adapters: bool = False) -> None:
        """Get ready to train: a second copy of the model, spread over the ranks.

        Args:
            has_adapters: the whole model has its adapters already.
        """
        if plan.train.lora is not None and not has_adapters:
            LoraAdapters(self.whole.module, plan.train.lora, seed=plan.seed)
        self.whole.is_compacting = plan.train.compact
        trained = self._load()
        trained.is_compacting = plan.train.compact
        trained.is_recomputing = plan.train.gradient_checkpointing
        if plan.train.lora is not None:
            LoraAdapters(trained.module, plan.train.lora, seed=plan.seed)
        if plan.train.compile:
            trained.compile()
        _try_out(trained)
        mesh = self.ranks.mesh(str(trained.device))
        self.sharded = Sharded(trained, mesh, is_resharding=plan.is_resharding)
        self.sharded.spread_from(self.whole.module)
        self.passes = SharedPasses(self.sharded, plan, self.ranks.place.rank)
        self.optimizer_step = ShardedAdamW(self.sharded.parameters, plan.train)

    def let_go(self) -> None:
        """Give the memory of the whole weights back while training goes on; `gather` gets them again."""
        if self.is_current:
            for parameter in self.whole.module.parameters():
                parameter.data = parameter.data.new_empty(0)
            self.is_current = False

    def gather(self) -> None:
        """Make the whole model's weights those of the training."""
        if not self.is_current:
            assert self.sharded is not None
            self.sharded.gather_into(self.whole.module)
            self.is_current = True

    def token_nll(self, batch: Batch) -> Tensor:
        """As `CausalLM.token_nll`, in the CPU's memory."""
        self.whole.module.eval()
        with torch.inference_mode():
            return self.whole.token_nll(batch_on(batch, self.whole.device)).cpu()

    def loss_sum(self, batch: Batch) -> float:
        """As `CausalLM.loss_sum`, without gradient."""
        self.whole.module.eval()
        with torch.inference_mode():
            return float(self.whole.loss_sum(batch_on(batch, self.whole.device)))

    def complete(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> list[Completion]:
        """As `CausalLM.generate`."""
        self.whole.module.eval()
        return list(self.whole.generate(prompts, settings)) if prompts else []

    def write(self, folder: Path) -> None:
        """Write this rank's parts of weights and moments into a folder; all ranks must call it."""
        assert self.optimizer_step is not None
        moments = {shards.MOMENT + key: value for key, value in self.optimizer_step.state().items()}
        shards.write(folder, {**self._weights(), **moments})

    def read(self, folder: Path) -> None:
        """Take weights and moments back from a checkpoint, whatever number of processes wrote it; all must call it."""
        assert self.optimizer_step is not None
        moments = self.optimizer_step.empty_state()
        shards.read_parts(folder, {**self._weights(), **{shards.MOMENT + key: value for key, value in moments.items()}})
        self.optimizer_step.put(moments)
        self.is_current = False

    def _weights(self) -> dict[str, Tensor]:
        assert self.sharded is not None
        module = self.sharded.model.module
        kept = module.state_dict().keys()
        buffers = {name: buffer for name, buffer in module.named_buffers() if name in kept}
        weights = {name: part.detach() for name, part in self.sharded.parameters.items()}
        return {shards.WEIGHT + name: value for name, value in {**weights, **buffers}.items()}
