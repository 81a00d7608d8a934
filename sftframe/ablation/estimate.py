"""How long a run would take, from a few of its own steps; shown before large grids."""

from __future__ import annotations

import itertools
from statistics import median

from sftframe.config import Layer
from sftframe.device import choose_device, set_up_threads
from sftframe.pipeline.setup import Components, prepare_data, resolve
from sftframe.progress import Observer
from sftframe.registry import Registry
from sftframe.stages.batches import StepLoader
from sftframe.stages.train import Trainer

NUM_STEPS = 4
"""Number of steps; the first one is slower and does not count."""


def estimated_training_s(layer: Layer, registry: Registry) -> float:
    """Seconds that the training of a run would take; nothing is written.

    Raises:
        SftframeError: the run could not be started.
    """
    config = resolve(layer, registry)
    components = Components.choose(config, registry)
    set_up_threads(config.threads)
    material = prepare_data(config, components, Observer())
    model = components.backend.load(device=choose_device(config.device), dtype="float32", seed=config.seed)
    loader = StepLoader(material.train, components.strategy, config.train, seed=config.seed)
    trainer = Trainer(model, config.train, num_steps=loader.num_steps, dtype=config.dtype)
    seconds = []
    for data in itertools.islice(loader.steps(), NUM_STEPS):
        before = trainer.last.seconds if trainer.last else 0.0
        seconds.append(trainer.step(data).seconds - before)
    return median(seconds[1:] or seconds) * loader.num_steps
