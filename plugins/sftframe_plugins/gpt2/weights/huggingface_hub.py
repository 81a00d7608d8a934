"""OpenAI's GPT-2 as Hugging Face keeps it: `openai-community/gpt2…`, fetched into Hugging Face's own cache.

`huggingface_hub` does the work, and with it `HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_TOKEN` mean what they
always mean; a broken download goes on where it stopped. Only safetensors are fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.huggingface_folder import HuggingFaceFolder
from sftframe_plugins.gpt2.weights.source import WeightSource

if TYPE_CHECKING:
    from torch import Tensor

TOKENIZER_FILES = ("vocab.json", "merges.txt")
WEIGHT_FILES = ("config.json", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors")


class HuggingFaceHub(WeightSource):
    """A repository on the hub."""

    def __init__(self, repository: str) -> None:
        self.repository = repository

    def __str__(self) -> str:
        return f"{self.repository} on Hugging Face"

    @property
    def identity(self) -> Mapping[str, str]:
        """The snapshot's folder is named by its commit."""
        return {"weights": f"huggingface:{self.repository}", "revision": self._snapshot.name}

    def check(self) -> None:
        self.config()

    def config(self) -> NetworkConfig:
        return HuggingFaceFolder(self._fetch(("config.json",))).config()

    def tokenizer(self) -> BytePairTokenizer:
        return BytePairTokenizer.from_folder(self._fetch(TOKENIZER_FILES))

    def tensors(self) -> Mapping[str, Tensor]:
        return HuggingFaceFolder(self._snapshot).tensors()

    @cached_property
    def _snapshot(self) -> Path:
        return self._fetch(WEIGHT_FILES)

    def _fetch(self, patterns: Sequence[str]) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return Path(snapshot_download(self.repository, allow_patterns=list(patterns)))
        except (OSError, HfHubHTTPError) as error:
            cause = str(error).partition("\n")[0]
            raise ModelError(
                f"cannot fetch {self.repository} from Hugging Face ({type(error).__name__}: {cause}); connect once, or "
                "name local files: --set model.weights=FOLDER and --set model.tokenizer=FOLDER"
            ) from error
