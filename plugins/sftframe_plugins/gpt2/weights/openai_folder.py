"""Reads a folder in OpenAI's form: a TensorFlow checkpoint, `hparams.json`, `encoder.json` and `vocab.bpe`.

TensorFlow reads it and checks every tensor's checksum. That takes seconds and needs a large package. So a safetensors
copy is kept in the cache and used from then on (`converted`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights import converted
from sftframe_plugins.gpt2.weights.config_file import read_hparams
from sftframe_plugins.gpt2.weights.source import WeightSource
from sftframe_plugins.gpt2.weights.tensorflow_checkpoint import read_checkpoint, require_tensorflow

if TYPE_CHECKING:
    from torch import Tensor

HPARAMS = "hparams.json"
PREFIX = "model.ckpt"
INDEX = f"{PREFIX}.index"
DATA = f"{PREFIX}.data-00000-of-00001"
VOCABULARY = ("encoder.json", "vocab.bpe")
FILES = ("checkpoint", *VOCABULARY, HPARAMS, DATA, INDEX, f"{PREFIX}.meta")
"""All files of one size in OpenAI's bucket; `checkpoint` and the graph (`.meta`) are not needed for reading."""

NEEDED = (HPARAMS, INDEX, DATA)
FLOAT_BYTES = 4


class OpenAIFolder(WeightSource):
    """Weights in a local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether a folder has this form, complete or not."""
        return (folder / HPARAMS).is_file()

    @property
    def identity(self) -> Mapping[str, str]:
        return {"weights": str(self.folder), "index_sha256": _sha256(self.folder / INDEX)}

    def check(self) -> None:
        self._check_files()
        if not self.copy_path.is_file():
            require_tensorflow()

    def config(self) -> NetworkConfig:
        return read_hparams(self.folder / HPARAMS)

    def tokenizer(self) -> BytePairTokenizer:
        return BytePairTokenizer.from_folder(self.folder)

    def tensors(self) -> Mapping[str, Tensor]:
        self._check_files()
        copy = self.copy_path
        return converted.read(copy) or converted.keep(read_checkpoint(self.folder / PREFIX, self.config()), copy)

    @property
    def copy_path(self) -> Path:
        """The path of the safetensors copy: named by the index, which has a checksum of every tensor."""
        return converted.path_for(_sha256(self.folder / INDEX), _sha256(self.folder / HPARAMS))

    def _check_files(self) -> None:
        absent = next((name for name in NEEDED if not (self.folder / name).is_file()), None)
        if absent is not None:
            raise ModelError(f"{self.folder / absent} is missing; OpenAI's form has {', '.join(NEEDED)}")
        expected, found = self.config().num_parameters * FLOAT_BYTES, (self.folder / DATA).stat().st_size
        if found < expected:
            raise ModelError(
                f"{self.folder / DATA} has {found} bytes, expected {expected} by {HPARAMS}: cut off, or of another "
                "size; fetch it again"
            )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
