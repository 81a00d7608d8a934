"""The backend by its name. This module imports without torch; `loading` does the work."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sftframe import CausalLM, ModelBackend, ModelError, Tokenizer
from sftframe_plugins.export import GGUF_IS_MISSING
from sftframe_plugins.hf.options import Options

if TYPE_CHECKING:
    from sftframe_plugins.hf.loading import Loader

OLDEST_TRANSFORMERS = 5


class HFBackend(ModelBackend):
    """Any causal language model of transformers."""

    name = "hf"
    summary = "any causal language model of transformers: --model hf:OWNER/NAME from the hub, or hf:./FOLDER"
    Options = Options
    argument = "repo"
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"train": {"lr": 2e-5}}
    """TRL's learning rate for supervised fine-tuning; the models are newer than GPT-2 and were trained for longer."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._own_loader: Loader | None = None

    def tokenizer(self, saved: Path | None = None) -> Tokenizer:
        return self._loader(saved).tokenizer

    def tokenizer_folder(self, saved: Path | None = None) -> Path | None:
        return self._loader(saved).tokenizer_folder

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
        _check_transformers()
        from sftframe_plugins.hf.loading import Loader

        if saved is not None:
            return Loader(self.options, saved)
        if self._own_loader is None:
            self._own_loader = Loader(self.options)
        return self._own_loader


def _check_transformers() -> None:
    """Check that transformers is there and new enough; it is not imported.

    Raises:
        ModelError: it is not; the message says what to install.
    """
    try:
        found = version("transformers")
    except PackageNotFoundError:
        raise ModelError("the model backend hf needs the package transformers: pip install 'sftframe[hf]'") from None
    if int(found.partition(".")[0]) < OLDEST_TRANSFORMERS:
        raise ModelError(
            f"the model backend hf needs transformers {OLDEST_TRANSFORMERS} or newer, found {found}: "
            "pip install -U 'sftframe[hf]'"
        )
