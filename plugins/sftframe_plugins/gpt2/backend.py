"""The model backends by name. This module imports without torch; `loading` does the work."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sftframe import CausalLM, ModelBackend, ModelError
from sftframe_plugins.export import GGUF_IS_MISSING
from sftframe_plugins.gpt2.options import NanoOptions, Options, Published

if TYPE_CHECKING:
    from sftframe_plugins.gpt2.loading import Loader
    from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer


class GPT2Backend(ModelBackend):
    """A GPT-2 of a published size."""

    Options: ClassVar[type[Any]] = Options
    published: ClassVar[Published | None] = None
    """None: bundled, not published."""
    has_fixed_size: ClassVar[bool] = True
    """False: a folder of weights may have any size."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._own_loader: Loader | None = None

    def tokenizer(self, saved: Path | None = None) -> BytePairTokenizer:
        return self._loader(saved).tokenizer

    def context_length(self, saved: Path | None = None) -> int:
        return self._loader(saved).context_length

    def load(self, *, device: str, dtype: str, seed: int, saved: Path | None = None) -> CausalLM:
        return self._loader(saved).load(device, dtype, seed)

    def training_bytes(self, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int:
        return self._loader().training_bytes(num_positions, trains_all=trains_all, is_recomputing=is_recomputing)

    def check(self) -> None:
        self._loader().check()

    def check_export(self, target: str) -> None:
        if target == "gguf" and find_spec("gguf") is None:
            raise ModelError(GGUF_IS_MISSING)

    @property
    def identity(self) -> Mapping[str, str]:
        return self._loader().identity

    def _loader(self, saved: Path | None = None) -> Loader:
        from sftframe_plugins.gpt2.loading import Loader

        if saved is not None:
            return Loader(type(self), self.options, saved)
        if self._own_loader is None:
            self._own_loader = Loader(type(self), self.options)
        return self._own_loader


class GPT2Nano(GPT2Backend):
    name = "gpt2-nano"
    summary = "bundled small GPT-2 with its own vocabulary, for trying things out offline"
    Options = NanoOptions
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "train": {"lr": 1.5e-3, "epochs": 2, "batch_size": 8, "schedule": "linear"},
        "generate": {"max_new_tokens": 64},
    }


class GPT2Small(GPT2Backend):
    name = "gpt2-small"
    summary = "OpenAI's GPT-2, 124M parameters"
    published = Published(width=768, num_layers=12, num_heads=12, repository="openai-community/gpt2", bucket="124M")


class GPT2Medium(GPT2Backend):
    name = "gpt2-medium"
    summary = "OpenAI's GPT-2, 355M parameters"
    published = Published(
        width=1024, num_layers=24, num_heads=16, repository="openai-community/gpt2-medium", bucket="355M"
    )


class GPT2Large(GPT2Backend):
    name = "gpt2-large"
    summary = "OpenAI's GPT-2, 774M parameters"
    published = Published(
        width=1280, num_layers=36, num_heads=20, repository="openai-community/gpt2-large", bucket="774M"
    )


class GPT2XL(GPT2Backend):
    name = "gpt2-xl"
    summary = "OpenAI's GPT-2, 1558M parameters"
    published = Published(
        width=1600, num_layers=48, num_heads=25, repository="openai-community/gpt2-xl", bucket="1558M"
    )


class GPT2Any(GPT2Backend):
    name = "gpt2"
    summary = "any GPT-2: the sizes come from the folder named by `weights` (without one, 124M)"
    published = GPT2Small.published
    has_fixed_size = False
