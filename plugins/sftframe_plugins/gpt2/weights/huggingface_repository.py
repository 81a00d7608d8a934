"""OpenAI's GPT-2 on Hugging Face (`openai-community/gpt2…`). Only safetensors are downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.vocabulary import is_published_file
from sftframe_plugins.gpt2.weights.folder import WEIGHT_FILES, HuggingFaceFolder
from sftframe_plugins.gpt2.weights.source import WeightSource
from sftframe_plugins.hub.checkpoints import INDEX_FILE, shards_of
from sftframe_plugins.hub.repository import CONFIG, MissingFileError, Repository

if TYPE_CHECKING:
    from torch import Tensor

_INSTEAD = "connect once, or name local files: --set model.weights=FOLDER (or random) and --set model.tokenizer=FOLDER"


class HuggingFaceRepository(WeightSource):
    """A repository on the hub, at the commit that its main branch has now, or had when it was fetched last."""

    def __init__(self, name: str) -> None:
        self._files = Repository(name, instead=_INSTEAD)

    def __str__(self) -> str:
        return str(self._files)

    @property
    def identity(self) -> Mapping[str, str]:
        return {"weights": f"huggingface:{self._files.name}", "revision": self._files.commit}

    def check(self) -> None:
        self.config()

    def config(self) -> NetworkConfig:
        return HuggingFaceFolder(self._files.folder_with(CONFIG)).config()

    def tokenizer(self) -> BytePairTokenizer:
        return HuggingFaceFolder(self._known_vocabulary() or self._files.folder_with(*_VOCABULARY)).tokenizer()

    def _known_vocabulary(self) -> Path | None:
        """The cache's folder with GPT-2's own vocabulary, if it is there: newer commits cannot change it."""
        paths = [path for path in map(self._files.cached, _VOCABULARY) if path is not None and is_published_file(path)]
        is_whole = len(paths) == len(_VOCABULARY) and len({path.parent for path in paths}) == 1
        return paths[0].parent if is_whole else None

    def tensors(self) -> Mapping[str, Tensor]:
        try:
            self._files.fetch(WEIGHT_FILES[0])
        except MissingFileError:
            self._files.folder_with(*shards_of(self._files.folder_with(INDEX_FILE) / INDEX_FILE))
        return HuggingFaceFolder(self._files.folder_with(CONFIG)).tensors()


_VOCABULARY = ("vocab.json", "merges.txt")
