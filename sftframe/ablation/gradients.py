"""Why arms differ: the cosine between their gradients on the same examples at the same weights.

The weights are those of the baseline arm during its training with the first seed. At some of its steps every other
arm's gradient is computed too, and not used for training.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import torch
from torch import Tensor

from sftframe.ablation.cells import AblationObserver
from sftframe.ablation.folder import GradientCosine
from sftframe.ablation.grid import Arm
from sftframe.ablation.running import Ablation
from sftframe.config import RunConfig, merge
from sftframe.device import choose_device, set_up_threads
from sftframe.files import write_whole
from sftframe.pipeline import Components, PreparedData, prepare_data, resolve
from sftframe.plugins import CausalLM
from sftframe.progress import Observer
from sftframe.records import StepData
from sftframe.registry import Registry
from sftframe.training import StepLoader, batch_on, training_parts

NUM_LOOKS = 20
"""Steps at which gradients are compared, spread evenly over the training, the first step among them."""


def write_gradient_cosines(ablation: Ablation, registry: Registry, observer: AblationObserver) -> None:
    """Measure, unless that is done, and write `gradients.jsonl`.

    Arms with another model than the baseline's, or with other batches, have no gradient to compare and are left out.
    """
    folder = ablation.folder
    if folder.gradients_path.exists():
        return
    grid = ablation.plan.grid
    arms = ablation.arms
    named = next((arm for arm in arms if arm.name == ablation.plan.config.baseline), arms[0])
    others = [arm for arm in arms if arm is not named]
    observer.note(f"gradients of {len(grid.arms)} arms on the same batches, during the training of {named.name}")
    found = list(gradient_cosines(named, others, registry, seed=grid.seeds[0]))
    write_whole(folder.gradients_path, "".join(f"{json.dumps(asdict(one))}\n" for one in found))


def gradient_cosines(
    baseline: Arm, others: Sequence[Arm], registry: Registry, *, seed: int, num_looks: int = NUM_LOOKS
) -> Iterator[GradientCosine]:
    """Train as the baseline arm does, and measure every arm's gradient at some steps.

    Args:
        num_looks: the largest number of these steps.
    """
    config, components, prepared = _prepared(baseline, registry, seed)
    set_up_threads(config.threads)
    torch.manual_seed(seed)
    model = components.backend.load(device=choose_device(config.device), dtype="float32", seed=seed)
    parts = training_parts(model, prepared.train, components.strategy, config)
    loader = parts.loader
    rivals = list(_rivals(config, loader, others, registry, seed))
    every = math.ceil(loader.num_steps / num_looks)
    for data, *rival_data in zip(loader.steps(), *(rival.steps() for _, rival in rivals), strict=True):
        if (data.number - 1) % every == 0:
            own = _gradient(model, data)
            for (arm, _), theirs in zip(rivals, rival_data, strict=True):
                yield _compared(data.number, baseline, arm, own, _gradient(model, theirs))
        parts.trainer.step(data)


def _prepared(arm: Arm, registry: Registry, seed: int) -> tuple[RunConfig, Components, PreparedData]:
    config = resolve(merge(arm.layer, {"seed": seed}), registry)
    components = Components.choose(config, registry)
    return config, components, prepare_data(config, components, Observer())


def _rivals(
    config: RunConfig, loader: StepLoader, others: Sequence[Arm], registry: Registry, seed: int
) -> Iterator[tuple[Arm, StepLoader]]:
    """The arms whose steps have the same examples, for the same model."""
    schedule = list(loader.schedule())
    for arm in others:
        own, components, prepared = _prepared(arm, registry, seed)
        rival = StepLoader(prepared.train, components.strategy, own.train, seed=seed)
        if own.model == config.model and list(rival.schedule()) == schedule:
            yield arm, rival


def _gradient(model: CausalLM, data: StepData) -> list[Tensor]:
    """The gradient of a step's loss, one tensor per trainable parameter; the model is left without gradients."""
    parameters = [parameter for parameter in model.module.parameters() if parameter.requires_grad]
    model.module.zero_grad(set_to_none=True)  # the step before has left its own
    model.module.eval()  # without dropout: two gradients of the same batch are then equal
    for batch in data.micro_batches:
        (model.loss_sum(batch_on(batch, model.device)) / data.weight).backward()  # type: ignore[no-untyped-call]
    found = [torch.zeros(1) if parameter.grad is None else parameter.grad.detach() for parameter in parameters]
    model.module.zero_grad(set_to_none=True)
    return found


def _compared(step: int, baseline: Arm, arm: Arm, own: list[Tensor], theirs: list[Tensor]) -> GradientCosine:
    dot = sum(float((a.double() * b.double()).sum()) for a, b in zip(own, theirs, strict=True) if a.shape == b.shape)
    norm, other = _norm(own), _norm(theirs)
    return GradientCosine(
        step=step,
        baseline=baseline.name,
        candidate=arm.name,
        cosine=dot / (norm * other) if norm and other else None,
        norm_ratio=other / norm if norm else None,
    )


def _norm(gradient: list[Tensor]) -> float:
    return math.sqrt(sum(float(one.double().square().sum()) for one in gradient))
