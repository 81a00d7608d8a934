"""Where a model's files are: in a folder, or in a repository on the hub. Nothing is loaded here."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError
from sftframe_plugins.hub.checkpoints import INDEX_FILE, check_file, check_shards, read_file, shards_of
from sftframe_plugins.hub.folders import adapter_advice, inner_model, is_dir
from sftframe_plugins.hub.repository import CONFIG, MissingFileError, Repository

if TYPE_CHECKING:
    from torch import Tensor

_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")
"""One of them is there, or there is no tokenizer."""

TOKENIZER_FILES = (
    *_VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
"""All that a tokenizer of transformers may be made of; no model has all of them."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How a checkpoint is written: as one file, or as an index and several files."""

    whole: str
    index: str
    ending: str


_SAFETENSORS = _Form("model.safetensors", INDEX_FILE, "safetensors")
_PICKLES = _Form("pytorch_model.bin", "pytorch_model.bin.index.json", "bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The files of the weights."""

    files: tuple[Path, ...]
    is_pickle: bool = False

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name; those in safetensors are read when they are used.

        Raises:
            ModelError: a file is damaged, or a pickle contains anything but tensors.
        """
        return {name: tensor for path in self.files for name, tensor in self._read(path).items()}

    def _read(self, path: Path) -> Mapping[str, Tensor]:
        return _read_pickle(path) if self.is_pickle else read_file(path)


def _read_pickle(path: Path) -> Mapping[str, Tensor]:
    import torch

    unpickling = torch.serialization.pickle.UnpicklingError  # type: ignore[attr-defined]
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)  # no code of the file is run
    except (unpickling, RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise ModelError(
            f"{path} contains more than tensors, or is damaged: it is not loaded, because that could run any code; "
            "look for a revision with safetensors"
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise ModelError(f"{path} is no state dict: expected tensors by name; look for a revision with safetensors")
    return found


class Source(ABC):
    """The files of one model."""

    @abstractmethod
    def __str__(self) -> str:
        """The source's name in messages."""

    @abstractmethod
    def find(self, name: str) -> Path | None:
        """A file, fetched if it has to be; None where the model does not have it."""

    @abstractmethod
    def config_folder(self) -> Path:
        """A folder with `config.json`.

        Raises:
            ModelError: there is none; the message says what is there instead.
        """

    @property
    @abstractmethod
    def place(self) -> Mapping[str, str]:
        """The place of the files in a run's manifest."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether the model has a file; it is not fetched."""

    def check_weights(self, *, takes_pickles: bool) -> None:
        """Check the weights as far as that costs no large download.

        Raises:
            ModelError: as `checkpoint`.
        """
        self._form(takes_pickles=takes_pickles)

    def tokenizer_folder(self) -> Path:
        """A folder with all files of the tokenizer.

        Raises:
            ModelError: there is no vocabulary.
        """
        found = [name for name in TOKENIZER_FILES if self.find(name) is not None]
        if not set(found) & set(_VOCABULARIES):
            raise ModelError(
                f"{self} has no tokenizer: looked for {', '.join(_VOCABULARIES)}; save the one that the model was "
                "trained with beside the weights (its save_pretrained)"
            )
        return self.config_folder()

    def checkpoint(self, *, takes_pickles: bool = False) -> Checkpoint:
        """The files of the weights: safetensors, or pickles where there is nothing else and they are allowed.

        Raises:
            ModelError: there are none, one is missing or damaged, or they are pickles and not allowed.
        """
        form = self._form(takes_pickles=takes_pickles)
        single = self.find(form.whole)
        files = [single] if single is not None else self._shards(form)
        for path in files if form is _SAFETENSORS else ():
            check_file(path)
        return Checkpoint(files=tuple(files), is_pickle=form is _PICKLES)

    @property
    def licence(self) -> str:
        """What the model's card gives as its licence; empty where it gives none."""
        card = self.find("README.md")
        if card is None:
            return ""
        head = re.match(r"\s*---\s*\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
        named = re.search(r"^license: *['\"]?([\w.+-]+)", head[1], re.MULTILINE) if head else None
        return named[1] if named else ""

    @cached_property
    def facts(self) -> Mapping[str, str]:
        """Place, licence and the hash of `config.json`."""
        licence = {"licence": self.licence} if self.licence else {}
        return {**self.place, **licence, f"sha256:{CONFIG}": _sha256(self.config_folder() / CONFIG)}

    def identity(self, *, takes_pickles: bool = False) -> Mapping[str, str]:
        """The exact source of the weights, for a run's manifest: `facts` and the hash of every file of the weights."""
        files = self.checkpoint(takes_pickles=takes_pickles).files
        return {**self.facts, **{f"sha256:{path.name}": _sha256(path) for path in files}}

    def _form(self, *, takes_pickles: bool) -> _Form:
        """The form that the weights have.

        Raises:
            ModelError: there are none, or they are pickles and not allowed.
        """
        if self.has(_SAFETENSORS.whole) or self.has(_SAFETENSORS.index):
            return _SAFETENSORS
        if not self.has(_PICKLES.whole) and not self.has(_PICKLES.index):
            looked_for = f"{_SAFETENSORS.whole}, {_SAFETENSORS.index} and {_PICKLES.whole}"
            raise ModelError(f"{self} has no weights: looked for {looked_for}; --set model.weights=random needs none")
        if not takes_pickles:
            raise ModelError(
                f"{self} has its weights as {_PICKLES.whole}, a pickle, which can contain code: look for a revision "
                "with safetensors, or read only the tensors of it with --set model.allow_pickle=true"
            )
        return _PICKLES

    def _shards(self, form: _Form) -> list[Path]:
        index = self._required(form.index)
        for name in shards_of(index, form.ending):
            self._required(name)
        return check_shards(index, form.ending)

    @abstractmethod
    def _required(self, name: str) -> Path:
        """A file that the model must have.

        Raises:
            ModelError: it has not.
        """


class Folder(Source):
    """A local folder, as `save_pretrained` writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def place(self) -> Mapping[str, str]:
        return {"weights": str(self.path.absolute())}

    def find(self, name: str) -> Path | None:
        path = self.path / name
        return path if path.is_file() else None

    def has(self, name: str) -> bool:
        return self.find(name) is not None

    def config_folder(self) -> Path:
        if not self.has(CONFIG):
            raise ModelError(self._what_it_is())
        return self.path

    def _required(self, name: str) -> Path:
        path = self.find(name)
        if path is None:
            raise ModelError(f"{self.path / name} is missing; fetch it again")
        return path

    def check_weights(self, *, takes_pickles: bool) -> None:
        """Check that every file of the weights is there and complete."""
        self.checkpoint(takes_pickles=takes_pickles)

    def _what_it_is(self) -> str:
        adapter = adapter_advice(self.path)
        if adapter is not None:
            return adapter
        inner = inner_model(self.path)
        if inner is not None:
            return f"no model in {self.path} itself; there is one in {inner}: use that folder"
        if any(self.path.glob("*.gguf")):
            return f"{self.path} has a GGUF file, which is for running a model, not for training: name its original"
        return f"no model in {self.path}: it has no {CONFIG}, which save_pretrained() writes"


class HubRepository(Source):
    """A repository on the hub; files are fetched when they are needed."""

    def __init__(self, name: str, revision: str) -> None:
        self._files_of = Repository(
            name, revision, instead="connect once, or name a folder with its files: --model hf:./FOLDER"
        )

    def __str__(self) -> str:
        return str(self._files_of)

    @property
    def place(self) -> Mapping[str, str]:
        return {"weights": f"huggingface:{self._files_of.name}", "revision": self._files_of.commit}

    def find(self, name: str) -> Path | None:
        try:
            return self._files_of.fetch(name)
        except MissingFileError:
            return None

    def has(self, name: str) -> bool:
        return self._files_of.has(name)

    def config_folder(self) -> Path:
        return self._files_of.folder_with(CONFIG)

    def _required(self, name: str) -> Path:
        return self._files_of.folder_with(name) / name


def _sha256(path: Path) -> str:
    name = path.resolve().name  # Hugging Face's cache names large files by their SHA-256
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[^@\s]+))?", re.ASCII)
_PAGE = re.compile(r"https?://(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/?", re.ASCII)


def open_source(repo: str) -> Source:
    """The source that `model.repo` names: a folder if there is one of this name, else a repository on the hub.

    Raises:
        ModelError: it is neither.
    """
    if not repo.strip():
        raise ModelError("no model is named: write --model hf:OWNER/NAME for the hub, or --model hf:./FOLDER")
    path = Path(repo).expanduser()
    if is_dir(path):
        return Folder(path)
    page = _PAGE.fullmatch(repo)
    if page is not None:
        raise ModelError(f"model.repo: expected OWNER/NAME, found the address {repo}: write --model hf:{page[1]}")
    found = _NAME.fullmatch(repo)
    if found is None or repo.startswith((".", "/", "~")):
        raise ModelError(_no_folder(repo, path))
    return HubRepository(found["name"], found["revision"] or "main")


def _no_folder(repo: str, path: Path) -> str:
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if is_file:
        return f"model.repo: {repo} is a file; name the folder that it is in, with its {CONFIG}"
    shown = repo if repo.isprintable() else repr(repo)
    return f"model.repo: no folder {shown}; expected a folder, or OWNER/NAME or OWNER/NAME@REVISION on the hub"
