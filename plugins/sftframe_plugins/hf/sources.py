"""Where a model's files are: in a folder. Every source gives local folders; nothing is loaded here."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from sftframe import ModelError

CONFIG = "config.json"


class Source(ABC):
    """The files of one model."""

    @abstractmethod
    def __str__(self) -> str:
        """The source's name in messages."""

    @abstractmethod
    def config_folder(self) -> Path:
        """A folder with `config.json`."""

    @abstractmethod
    def tokenizer_folder(self) -> Path:
        """A folder with the files of the tokenizer."""

    @abstractmethod
    def weights_folder(self) -> Path:
        """A folder with `config.json` and all files of the weights."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """The exact source of the weights, for a run's manifest."""


class Folder(Source):
    """A local folder, as `save_pretrained` writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def config_folder(self) -> Path:
        if not (self.path / CONFIG).is_file():
            raise ModelError(f"no model in {self.path}: it has no {CONFIG}, which save_pretrained() writes")
        return self.path

    def tokenizer_folder(self) -> Path:
        return self.config_folder()

    def weights_folder(self) -> Path:
        return self.config_folder()

    @property
    def identity(self) -> Mapping[str, str]:
        files = sorted(path for path in self.path.iterdir() if path.suffix in (".safetensors", ".bin"))
        return {"weights": str(self.path.absolute()), **{f"sha256:{path.name}": _sha256(path) for path in files}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_source(repo: str) -> Source:
    """The source that `model.repo` names.

    Raises:
        ModelError: there is none.
    """
    if not repo:
        raise ModelError("no model is named: write --model hf:OWNER/NAME for the hub, or --model hf:./FOLDER")
    path = Path(repo).expanduser()
    if path.is_dir():
        return Folder(path)
    raise ModelError(f"model.repo: no folder {repo!r}")
