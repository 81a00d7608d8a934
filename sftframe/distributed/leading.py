"""Rank 0's side of a job: a run's model whose work all ranks share, and the training that they do together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sftframe.config import RunConfig
from sftframe.distributed.following import LoadPlan, loaded
from sftframe.distributed.rank_model import RankModel, SharedPasses, TrainingPlan
from sftframe.distributed.ranks import Ranks
from sftframe.distributed.sharing import needed_lengths, rows_of, share_out, shared_step
from sftframe.errors import ConfigError, ModelError
from sftframe.plugins import CausalLM, ModelBackend
from sftframe.records import Batch, Completion, ExportSettings, GenerationSettings, StepData
from sftframe.training import Checkpoint, Spread, checkpoints


def lead(ranks: Ranks, plan: LoadPlan, backend: ModelBackend) -> LeadingModel:
    """Have all ranks load a model.

    Args:
        backend: loads rank 0's own.

    Raises:
        SftframeError: a rank cannot load it, or has another version of something or other weights.
    """
    number = ranks.order_all("load", plan)
    own = RankModel(ranks, lambda: loaded(plan, backend, ranks.place))
    facts = plan.facts(own.whole.module)
    for rank, others in enumerate(ranks.answers(number), start=1):
        for name, value in facts.items():
            if others.get(name) != value:
                raise ModelError(
                    f"{ranks.name(rank)} has {name} {others.get(name)}, {ranks.name(0)} has {value}: expected the same "
                    "on every rank"
                )
    return LeadingModel(own)


class LeadingModel(CausalLM):
    """A model that looks like any other; batches and prompts are shared out over all ranks."""

    def __init__(self, own: RankModel) -> None:
        super().__init__(own.whole.module, own.whole.tokenizer, own.whole.context_length)
        self._own = own
        self._ranks = own.ranks

    @property
    def ignores_recomputing(self) -> bool:
        sharded = self._own.sharded
        return sharded is not None and sharded.model.ignores_recomputing

    @property
    def layers(self) -> Sequence[torch.nn.Module]:
        return self._own.whole.layers

    def gather(self) -> None:
        """Make the module's weights those of the training, on every rank."""
        if not self._own.is_current:
            self._ranks.order_all("gather")
            self._own.gather()

    def logits(self, ids: Tensor) -> Tensor:
        self.gather()
        return self._own.whole.logits(ids)

    def token_nll(self, batch: Batch) -> Tensor:
        """As `CausalLM.token_nll`, without gradient; every rank measures some of the rows."""
        self.gather()
        shares, parts = self._shared(batch)
        number = self._ranks.order("token_nll", [(part,) for part in parts])
        found = [self._own.token_nll(parts[0]), *self._ranks.answers(number)]
        whole: Tensor = found[0].new_zeros(batch.targets.shape)
        for rows, values in zip(shares, found, strict=True):
            whole[rows, : values.shape[1]] = values[: len(rows)]
        return whole.to(batch.inputs.device)

    def loss_sum(self, batch: Batch) -> Tensor:
        """As `CausalLM.loss_sum`; with gradient it is this rank's model alone."""
        self.gather()
        if torch.is_grad_enabled():
            return self._own.whole.loss_sum(batch)
        _, parts = self._shared(batch)
        number = self._ranks.order("loss_sum", [(part,) for part in parts])
        return torch.tensor(self._own.loss_sum(parts[0]) + sum(self._ranks.answers(number)))

    def generate(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> Iterator[Completion]:
        """As `CausalLM.generate`; every rank answers some of the prompts."""
        self.gather()
        if len(prompts) == 1:
            yield from self._own.whole.generate(prompts, settings)
            return
        shares = share_out([len(prompt) for prompt in prompts], self._ranks.place.world_size)
        numbers = settings.numbers or range(len(prompts))
        parts = [
            ([prompts[i] for i in share], replace(settings, numbers=tuple(numbers[i] for i in share)))
            for share in shares
        ]
        number = self._ranks.order("complete", parts)
        if shares[0]:
            for completion in self._own.whole.generate(*parts[0]):
                yield replace(completion, position=shares[0][completion.position])
        for share, found in zip(shares[1:], self._ranks.answers(number), strict=True):
            for completion in found:
                yield replace(completion, position=share[completion.position])

    def stream(self, prompt: Sequence[int], settings: GenerationSettings, on_text: Callable[[str], None]) -> Completion:
        self.gather()
        return self._own.whole.stream(prompt, settings, on_text)

    def save(self, folder: Path) -> None:
        self.gather()
        self._own.whole.save(folder)

    def export(self, folder: Path, settings: ExportSettings) -> None:
        self.gather()
        self._own.whole.export(folder, settings)

    def spread(self, config: RunConfig, num_steps: int, *, is_resharding: bool) -> LeadingSpread:
        """Have all ranks get ready to train, from the weights as they are."""
        plan = TrainingPlan(
            train=config.train, dtype=config.dtype, seed=config.seed, num_steps=num_steps, is_resharding=is_resharding
        )
        number = self._ranks.order_all("begin", plan)
        self._own.begin(plan, has_adapters=True)
        self._ranks.answers(number)
        return LeadingSpread(self, self._own, plan)

    def _shared(self, batch: Batch) -> tuple[list[list[int]], list[Batch]]:
        """The rows of each rank, and their batches in the CPU's memory."""
        host = batch.host or batch
        shares = share_out(needed_lengths(host.targets).tolist(), self._ranks.place.world_size)
        return shares, [rows_of(host, rows) for rows in shares]


class _LeadingPasses(SharedPasses):
    """Rank 0's passes: it shares the rows of the step out first."""

    def __init__(self, own: RankModel, plan: TrainingPlan) -> None:
        assert own.sharded is not None
        super().__init__(own.sharded, plan, rank=0)
        self._own = own

    def losses(self, data: StepData) -> Sequence[Tensor]:
        parts = shared_step(data, self._own.ranks.place.world_size)
        self._own.ranks.order("step", [(part,) for part in parts])
        self._own.let_go()
        return super().losses(parts[0])


class LeadingSpread(Spread):
    """A training that rank 0 leads."""

    def __init__(self, model: LeadingModel, own: RankModel, plan: TrainingPlan) -> None:
        assert own.optimizer_step is not None
        self._model = model
        self._own = own
        self.passes = _LeadingPasses(own, plan)
        self.optimizer_step = own.optimizer_step

    def gather(self) -> None:
        self._model.gather()

    def save(self, folder: Path, *, step: int, state: Mapping[str, Any]) -> None:
        def write(making: Path) -> None:
            number = self._own.ranks.order_all("write", making)
            self._own.write(making)
            self._own.ranks.answers(number)

        checkpoints.save_with(folder, write, step=step, state=state)

    def restore(self, checkpoint: Checkpoint) -> None:
        number = self._own.ranks.order_all("read", checkpoint.folder)
        try:
            self._own.read(checkpoint.folder)
        except (RuntimeError, ValueError, LookupError, OSError) as error:
            raise ConfigError(
                f"{checkpoint.folder} does not fit the model ({error}): expected the model that started the run; "
                "start a new run"
            ) from error
        self._own.ranks.answers(number)
