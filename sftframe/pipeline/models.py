"""The two models of a run: before training and after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sftframe.errors import ConfigError
from sftframe.pipeline import manifest
from sftframe.pipeline.setup import Setup
from sftframe.plugins import CausalLM
from sftframe.progress import Observer
from sftframe.registry import Seam
from sftframe.runs import RunStore

if TYPE_CHECKING:
    from sftframe.distributed.following import LoadPlan


class RunModels:
    """The untuned and the fine-tuned model of a run.

    Args:
        untuned: the untuned model where it is loaded already.
    """

    def __init__(self, setup: Setup, folder: RunStore, observer: Observer, *, untuned: CausalLM | None = None) -> None:
        self._setup = setup
        self._folder = folder
        self._observer = observer
        self._untuned = untuned
        self._tuned: CausalLM | None = None

    @property
    def is_trained(self) -> bool:
        """Whether the folder has the fine-tuned model and the summary of its training."""
        return self._folder.is_trained

    @property
    def untuned(self) -> CausalLM:
        """The model before training.

        Raises:
            SftframeError: its weights are missing, or are not those of the run's manifest.
        """
        if self._untuned is None:
            self._untuned = load(self._setup, self._observer)
            manifest.check_weights(self._folder, self._untuned)
        return self._untuned

    @property
    def tuned(self) -> CausalLM:
        """The model after training.

        Raises:
            ConfigError: the run has none yet.
        """
        if self._tuned is None:
            if not self.is_trained:
                raise ConfigError(f"{self._folder.path} has no model yet: train it first with sftframe run --resume")
            self._tuned = load(self._setup, self._observer, saved=self._folder.model_dir)
        return self._tuned

    def have_trained(self) -> None:
        """Note that training changed the untuned model in place; `untuned` then loads it again."""
        is_alone = self._setup.ranks is None  # of several processes only the first one has the whole model's last state
        self._tuned, self._untuned = self._untuned if is_alone else None, None


def load(setup: Setup, observer: Observer, saved: Path | None = None) -> CausalLM:
    """Load a run's model: the untuned one, or what training saved."""
    observer.begin("load model", None, "models")
    backend = setup.components.backend
    if setup.ranks is None:
        model = backend.load(device=setup.device, dtype="float32", seed=setup.config.seed, saved=saved)
    else:
        from sftframe.distributed.leading import lead

        model = lead(setup.ranks, _load_plan(setup, saved), backend)
    observer.end()
    return model


def _load_plan(setup: Setup, saved: Path | None) -> LoadPlan:
    """What the other processes have to know to load the same model."""
    from sftframe.distributed.following import LoadPlan

    config, registry = setup.config, setup.registry
    provider = registry.provider(Seam.MODEL, config.model.name)
    return LoadPlan(
        name=config.model.name,
        options=config.model.options,
        provider=provider.id,
        version=provider.version,
        disabled=tuple(plugin.id for plugin in registry.plugins if plugin.status == "disabled"),
        device=setup.device,
        threads=config.threads,
        seed=config.seed,
        saved=saved,
    )
