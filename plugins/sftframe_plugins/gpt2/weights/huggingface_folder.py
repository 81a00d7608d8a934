"""Reads a folder in Hugging Face's form: `config.json`, safetensors (whole or sharded), tokenizer files.

`transformers`' `save_pretrained` writes this form; a run's `model/` and the bundled nano model have it too. Pickled
weights (`pytorch_model.bin`) are not read: unpickling runs code from the file.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError, read_named_text
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.config_file import read_config
from sftframe_plugins.gpt2.weights.safetensors_file import check_file, read_file
from sftframe_plugins.gpt2.weights.source import WeightSource

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT_FILES = ("model.safetensors", "weights.safetensors")
INDEX_FILE = "model.safetensors.index.json"


class HuggingFaceFolder(WeightSource):
    """Weights in a local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether a folder has this form, complete or not."""
        return (folder / "config.json").is_file()

    @property
    def identity(self) -> Mapping[str, str]:
        return {"weights": str(self.folder)}

    def check(self) -> None:
        self.config()
        for path in self._files():
            check_file(path)

    def config(self) -> NetworkConfig:
        return read_config(self.folder / "config.json")

    def tokenizer(self) -> BytePairTokenizer:
        return BytePairTokenizer.from_folder(self.folder)

    def tensors(self) -> Mapping[str, Tensor]:
        return {name: tensor for path in self._files() for name, tensor in read_file(path).items()}

    def _files(self) -> list[Path]:
        whole = next((self.folder / name for name in WEIGHT_FILES if (self.folder / name).is_file()), None)
        if whole is not None:
            return [whole]
        index = self.folder / INDEX_FILE
        if index.is_file():
            return [self._shard(name) for name in shards_of(index)]
        if (self.folder / "pytorch_model.bin").is_file():
            raise ModelError(
                f"{self.folder} has its weights as pytorch_model.bin, a pickle that could run any code; convert it "
                "to safetensors with transformers' save_pretrained"
            )
        raise ModelError(f"no weights in {self.folder}: looked for {', '.join(WEIGHT_FILES)} and {INDEX_FILE}")

    def _shard(self, name: str) -> Path:
        if not (self.folder / name).is_file():
            raise ModelError(f"{self.folder / INDEX_FILE} names {name}, which is missing; fetch it again")
        return self.folder / name


def shards_of(index: Path) -> list[str]:
    """Names of the files of a sharded checkpoint; they are next to the index.

    Raises:
        ModelError: the index cannot be read, or names a file that could be outside the folder.
    """
    try:
        names = sorted({str(name) for name in json.loads(read_named_text(index))["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"cannot read {index}: {error!r}; expected a JSON object with 'weight_map'") from error
    strange = next((name for name in names if not _SHARD_NAME.fullmatch(name)), None)
    if strange is not None:
        raise ModelError(f"{index} names {reprlib.repr(strange)}, expected names of safetensors files next to it")
    return names


_SHARD_NAME = re.compile(r"[\w-][\w.-]{0,200}\.safetensors", re.ASCII)
"""No path separator of any system, so that no name leads out of the folder."""
