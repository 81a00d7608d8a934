"""The other ranks' side of a job: they wait for rank 0's orders, compute, and write and say nothing themselves."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from sftframe.device import available_devices, physical_cores, set_up_threads
from sftframe.distributed.place import Place
from sftframe.distributed.rank_model import RankModel, TrainingPlan
from sftframe.distributed.ranks import Order, Ranks, is_of_a_collective
from sftframe.errors import ConfigError, ModelError, SftframeError, TrainingError
from sftframe.plugins import CausalLM, ModelBackend
from sftframe.plugins.guard import describe, is_out_of_memory
from sftframe.records import StepData
from sftframe.registry import Registry, Seam, load_registry
from sftframe.training import Trainer, make_trainer, weights_hash
from sftframe.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """Which model every rank loads."""

    name: str
    options: Mapping[str, Any]
    provider: str
    """Id of the plugin that the model comes from."""
    version: str
    """Of that plugin."""
    disabled: tuple[str, ...] = ()
    """Plugins that are switched off."""
    device: str
    """A torch device; of several GPUs each rank takes its own."""
    threads: int | None
    seed: int
    saved: Path | None = None
    """A run's `model/`."""

    def facts(self, module: nn.Module) -> dict[str, str]:
        """What has to be the same on every rank."""
        return {
            "sftframe": __version__,
            "torch": importlib.metadata.version("torch"),
            f"plugin {self.provider}": self.version,
            "weights with SHA-256": weights_hash(module),
        }


def loaded(plan: LoadPlan, backend: ModelBackend, place: Place) -> CausalLM:
    """A rank's model, on its own device.

    Raises:
        SftframeError: it cannot be loaded, or there is no device for this rank.
    """
    set_up_threads(threads_of_rank(plan.threads, place))
    if plan.saved is not None and not plan.saved.is_dir():
        raise ModelError(f"no folder {plan.saved}: expected the run's folder on a disk that all machines see")
    return backend.load(device=device_of_rank(plan.device, place), dtype="float32", seed=plan.seed, saved=plan.saved)


def threads_of_rank(wanted: int | None, place: Place) -> int:
    """CPU threads of one rank: its share of the machine's cores, if the user did not say."""
    return wanted or max(1, physical_cores() // place.local_world_size)


def device_of_rank(device: str, place: Place) -> str:
    """A rank's own device: of GPUs the one with its number on this machine.

    Raises:
        ConfigError: there are fewer GPUs than ranks, or torch cannot spread weights over such devices.
    """
    if not place.is_alone and device.startswith("mps"):
        raise ConfigError("several processes train on NVIDIA's GPUs or on CPUs, not on mps: set --device cpu")
    if place.is_alone or not device.startswith("cuda"):
        return device
    number = sum(name.startswith("cuda") for name in available_devices())
    if place.local_rank >= number:
        raise ConfigError(
            f"{place.local_world_size} processes, but {number} GPUs: expected one GPU for each; start {number}, or set "
            "--device cpu"
        )
    return f"cuda:{place.local_rank}"


def backend_of(plan: LoadPlan, registry: Registry) -> ModelBackend:
    """The backend that a plan names, from the same plugin in the same version as rank 0's.

    Raises:
        SftframeError: it is not installed here, or in another version.
    """
    registry = registry.preferring({Seam.MODEL: plan.provider})
    backend = registry.model_backend(plan.name, plan.options)
    provider = registry.provider(Seam.MODEL, plan.name)
    if (provider.id, provider.version) != (plan.provider, plan.version):
        raise ModelError(
            f"model {plan.name!r} is of plugin {provider.id} {provider.version}, expected {plan.provider} "
            f"{plan.version} as on rank 0"
        )
    return backend


def follow(ranks: Ranks) -> None:
    """Do what rank 0 asks for until it lets this rank go."""
    follower = _Follower(ranks)
    while (order := ranks.next_order()).method:
        try:
            follower.do(order)
        except Exception as error:
            if is_of_a_collective(error):
                ranks.leave_after_others()
            ranks.report_failure(str(as_answer(error)))
    ranks.close()


def as_answer(error: Exception) -> SftframeError:
    """An error in words that rank 0 can tell."""
    if isinstance(error, SftframeError):
        return error
    return TrainingError("out of memory" if is_out_of_memory(error) else describe(error, "sftframe"))


class _Follower:
    """One rank's model and trainer, from order to order."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._model: RankModel | None = None
        self._trainer: Trainer | None = None

    def do(self, order: Order) -> None:
        """Carry out an order; what goes wrong in one that is answered is the answer."""
        if order.method == "step":
            self._step(*order.given)
            return
        self._read_steps()
        if order.method == "gather":
            self._own.gather()
            return
        methods: dict[str, Callable[..., Any]] = {"load": self._load, "begin": self._begin}
        method = methods.get(order.method) or getattr(self._own, order.method)
        try:
            value = method(*order.given)
        except Exception as error:
            if is_of_a_collective(error):
                raise
            value = as_answer(error)
        self._ranks.answer(order.number, value)

    @property
    def _own(self) -> RankModel:
        assert self._model is not None, "rank 0 has a model loaded first"
        return self._model

    def _load(self, plan: LoadPlan) -> dict[str, str]:
        self._model = self._trainer = None  # their memory first
        backend = backend_of(plan, load_registry(disabled=plan.disabled))
        self._model = RankModel(self._ranks, lambda: loaded(plan, backend, self._ranks.place))
        return plan.facts(self._model.whole.module)

    def _begin(self, plan: TrainingPlan) -> None:
        own = self._own
        own.begin(plan)
        assert own.passes is not None
        assert own.optimizer_step is not None
        self._trainer = make_trainer(
            own.whole, plan.train, num_steps=plan.num_steps, passes=own.passes, optimizer_step=own.optimizer_step
        )

    def _step(self, data: StepData) -> None:
        assert self._trainer is not None
        self._own.let_go()
        try:
            self._trainer.take(data)
            if self._trainer.is_due:
                self._read_steps()
        except TrainingError as error:
            if error.__cause__ is not None:  # memory ran out here
                raise
            # a loss that is not finite is so on every rank: rank 0 tells it

    def _read_steps(self) -> None:
        if self._trainer is not None:
            try:
                list(self._trainer.read())
            except TrainingError:
                return  # rank 0 reads the same
