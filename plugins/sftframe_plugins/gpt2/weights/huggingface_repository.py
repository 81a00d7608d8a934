"""OpenAI's GPT-2 as Hugging Face keeps it: `openai-community/gpt2…`, fetched into Hugging Face's own cache.

`huggingface_hub` does the work, and with it `HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_TOKEN` mean what they
always mean; a broken download goes on where it stopped. Only safetensors are fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.huggingface_folder import INDEX_FILE, WEIGHT_FILES, HuggingFaceFolder, shards_of
from sftframe_plugins.gpt2.weights.source import WeightSource

if TYPE_CHECKING:
    from torch import Tensor


class HuggingFaceRepository(WeightSource):
    """A repository on the hub, at the commit that its main branch has now, or had when it was fetched last."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return f"{self._name} on Hugging Face"

    @property
    def identity(self) -> Mapping[str, str]:
        return {"weights": f"huggingface:{self._name}", "revision": self._revision}

    def check(self) -> None:
        self.config()

    def config(self) -> NetworkConfig:
        return HuggingFaceFolder(self._fetched("config.json")).config()

    def tokenizer(self) -> BytePairTokenizer:
        return HuggingFaceFolder(self._fetched("vocab.json", "merges.txt")).tokenizer()

    def tensors(self) -> Mapping[str, Tensor]:
        from huggingface_hub.errors import EntryNotFoundError

        try:
            self._fetch(WEIGHT_FILES[0])
        except EntryNotFoundError:
            self._fetched(*shards_of(self._fetched(INDEX_FILE) / INDEX_FILE))
        return HuggingFaceFolder(self._fetched("config.json")).tensors()

    @cached_property
    def _revision(self) -> str:
        """One commit for all files; a file of a commit that is in the cache is never asked for again."""
        return self._fetched("config.json").name

    def _fetched(self, *names: str) -> Path:
        """The cache's folder, with these files in it."""
        from huggingface_hub.errors import EntryNotFoundError

        for name in names:
            try:
                path = self._fetch(name)
            except EntryNotFoundError as error:
                raise self._explained(name, error) from error
        return path.parent

    def _fetch(self, name: str) -> Path:
        """One file, in the cache.

        Raises:
            EntryNotFoundError: the repository does not have it, or the cache does not and the hub cannot be reached.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        revision = None if name == "config.json" else self._revision
        try:
            return Path(hf_hub_download(self._name, name, revision=revision))
        except EntryNotFoundError:
            raise
        except _transport_errors() as error:
            raise self._explained(name, error) from error

    def _explained(self, name: str, error: Exception) -> ModelError:
        cause = str(error).partition("\n")[0]
        return ModelError(
            f"cannot fetch {name} of {self._name} from Hugging Face ({type(error).__name__}: {cause}); connect once, "
            "or name local files: --set model.weights=FOLDER (or random) and --set model.tokenizer=FOLDER"
        )


def _transport_errors() -> tuple[type[Exception], ...]:
    """What `huggingface_hub` lets through when a connection fails: errors of the HTTP library that it is built on."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)))
