"""Weights in a folder: Hugging Face's, OpenAI's, or a single file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError, cache_dir
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.layout import read_config, read_hparams
from sftframe_plugins.gpt2.weights.source import WeightSource
from sftframe_plugins.gpt2.weights.tensorflow_checkpoint import read_checkpoint, require_tensorflow
from sftframe_plugins.gpt2.weights.torch_file import TorchFile
from sftframe_plugins.hub.checkpoints import INDEX_FILE, check_file, check_shards, read_file
from sftframe_plugins.hub.folders import adapter_advice, inner_model, is_dir

if TYPE_CHECKING:
    from torch import Tensor


def copy_path_of(*key: str) -> Path:
    """The path of the copy for `key`."""
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()
    return cache_dir() / "gpt2" / "converted" / f"{digest[:32]}.safetensors"


def read_copy(path: Path) -> dict[str, Tensor] | None:
    """A copy, memory-mapped; None if there is none, or it cannot be read."""
    if not path.is_file():
        return None
    with suppress(ModelError):
        return read_file(path)
    return None


def write_copy(tensors: Mapping[str, Tensor], path: Path) -> Mapping[str, Tensor]:
    """Write a copy and return it, so that the memory of `tensors` can be freed; if that fails, return `tensors`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    making = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(tensors), making)
        making.replace(path)
    except (OSError, SafetensorError):
        with suppress(OSError):
            making.unlink()
        return tensors
    return read_copy(path) or tensors


WEIGHT_FILES = ("model.safetensors", "weights.safetensors")


class _Folder(WeightSource):
    """Weights and a tokenizer in a local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def tokenizer(self) -> BytePairTokenizer:
        return BytePairTokenizer.from_folder(self.folder)


class HuggingFaceFolder(_Folder):
    """Weights as transformers saves them."""

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

    def tensors(self) -> Mapping[str, Tensor]:
        return {name: tensor for path in self._files() for name, tensor in read_file(path).items()}

    def _files(self) -> list[Path]:
        whole = next((self.folder / name for name in WEIGHT_FILES if (self.folder / name).is_file()), None)
        if whole is not None:
            return [whole]
        index = self.folder / INDEX_FILE
        if index.is_file():
            return check_shards(index)
        if (self.folder / "pytorch_model.bin").is_file():
            raise ModelError(
                f"{self.folder} has its weights as pytorch_model.bin, a pickle that could run any code; convert it "
                "to safetensors with transformers' save_pretrained"
            )
        raise ModelError(f"no weights in {self.folder}: looked for {', '.join(WEIGHT_FILES)} and {INDEX_FILE}")


HPARAMS = "hparams.json"
PREFIX = "model.ckpt"
INDEX = f"{PREFIX}.index"
DATA = f"{PREFIX}.data-00000-of-00001"
VOCABULARY = ("encoder.json", "vocab.bpe")
FILES = ("checkpoint", *VOCABULARY, HPARAMS, DATA, INDEX, f"{PREFIX}.meta")
"""All files of one size in OpenAI's bucket; `checkpoint` and the graph (`.meta`) are not needed for reading."""

NEEDED = (HPARAMS, INDEX, DATA)
FLOAT_BYTES = 4


class OpenAIFolder(_Folder):
    """Weights as OpenAI published them."""

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

    def tensors(self) -> Mapping[str, Tensor]:
        self._check_files()
        copy = self.copy_path
        return read_copy(copy) or write_copy(read_checkpoint(self.folder / PREFIX, self.config()), copy)

    @property
    def copy_path(self) -> Path:
        """The path of the safetensors copy: named by the index, which has a checksum of every tensor."""
        return copy_path_of(_sha256(self.folder / INDEX), _sha256(self.folder / HPARAMS))

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


def open_folder(folder: Path, other_choices: Mapping[str, WeightSource] | None = None) -> WeightSource:
    """The source for a folder, or for a file of torch.

    Args:
        other_choices: the other possible values, for messages; the source `random` gives the tokenizer for a torch file
            that has none next to it.

    Raises:
        ModelError: it is missing, or contains no known form of GPT-2.
    """
    others = other_choices or {}
    if TorchFile.is_one(folder):
        return TorchFile(folder, others.get("random"))
    if not is_dir(folder):
        raise ModelError(_no_folder(folder, others))
    if HuggingFaceFolder.is_one(folder):
        return HuggingFaceFolder(folder)
    if OpenAIFolder.is_one(folder):
        return OpenAIFolder(folder)
    adapter = adapter_advice(folder)
    if adapter is not None:
        raise ModelError(adapter)
    inner = inner_model(folder)
    if inner is not None:
        raise ModelError(f"no GPT-2 in {folder} itself; there is one in {inner}: use that folder")
    raise ModelError(
        f"no GPT-2 in {folder}: looked for config.json (Hugging Face's form, or a run's model/) "
        f"and hparams.json (OpenAI's form)"
    )


def _no_folder(path: Path, others: Mapping[str, WeightSource]) -> str:
    expected = f"expected a folder, a .pth file, or {', '.join(others)}"
    try:
        is_there = path.exists()
    except (OSError, ValueError):
        is_there = False
    if is_there and path.suffix in (".safetensors", ".bin", ".gguf"):
        return f"model.weights: {path} is a file; name the folder that it is in, with its config.json"
    name = str(path)
    hint = (
        "; TOML reads \\n and \\t in double quotes: write the path in 'single quotes'"
        if "\n" in name or "\t" in name
        else ""
    )
    return f"model.weights: no folder {path if name.isprintable() else repr(name)}; {expected}{hint}"
