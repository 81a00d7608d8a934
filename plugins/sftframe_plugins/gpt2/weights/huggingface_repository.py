"""Downloads OpenAI's GPT-2 from Hugging Face (`openai-community/gpt2…`) into Hugging Face's own cache.

`huggingface_hub` does the work, so `HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_TOKEN` have their usual meaning,
and a broken download continues where it stopped. Only safetensors are downloaded. If the hub cannot be reached, the
files in the cache are used. One request finds that out: the library itself would try for 20 seconds and more. The
library sends no token to another host after a redirect.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError, why_unreachable
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.vocabulary import is_published_file
from sftframe_plugins.gpt2.weights.folder import INDEX_FILE, WEIGHT_FILES, HuggingFaceFolder, shards_of
from sftframe_plugins.gpt2.weights.source import WeightSource

if TYPE_CHECKING:
    from torch import Tensor


class _MissingError(Exception):
    """A file that is not in the repository, as far as is known."""


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
        return HuggingFaceFolder(self._known_vocabulary() or self._fetched(*_VOCABULARY)).tokenizer()

    def _known_vocabulary(self) -> Path | None:
        """The cache's folder with GPT-2's own vocabulary, if it is there: newer commits cannot change it."""
        paths = [path for path in map(self._cached, _VOCABULARY) if path is not None and is_published_file(path)]
        is_whole = len(paths) == len(_VOCABULARY) and len({path.parent for path in paths}) == 1
        return paths[0].parent if is_whole else None

    def tensors(self) -> Mapping[str, Tensor]:
        try:
            self._fetch(WEIGHT_FILES[0])
        except _MissingError:
            self._fetched(*shards_of(self._fetched(INDEX_FILE) / INDEX_FILE))
        return HuggingFaceFolder(self._fetched("config.json")).tensors()

    @cached_property
    def _revision(self) -> str:
        """One commit for all files; a file in the cache is never downloaded again for the same commit."""
        return self._fetched("config.json").name

    def _fetched(self, *names: str) -> Path:
        """The cache's folder, with these files in it."""
        for name in names:
            try:
                path = self._fetch(name)
            except _MissingError as error:
                raise self._explained(name, error.__cause__ or error) from error
        return path.parent

    def _fetch(self, name: str) -> Path:
        """One file, in the cache.

        Raises:
            _MissingError: the repository does not have it, or the cache does not and the hub cannot be reached.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        revision = None if name == "config.json" else self._revision
        cached = self._cached(name, revision)
        if cached is not None and (revision is not None or self._why_unreachable is not None):
            return cached
        if self._why_unreachable is not None:
            raise _MissingError(name)
        try:
            with _without_their_words():
                return Path(hf_hub_download(self._name, name, revision=revision))
        except EntryNotFoundError as error:
            raise _MissingError(name) from error
        except _transport_errors() as error:
            raise self._explained(name, error) from error

    def _cached(self, name: str, revision: str | None = None) -> Path | None:
        """The file in the cache, at the last known commit of the main branch or at `revision`; nothing is downloaded.

        `hf_hub_download` makes requests even when it may use the cache only.
        """
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self._name, name, revision=revision)
        return Path(found) if isinstance(found, str) else None

    @cached_property
    def _why_unreachable(self) -> str | None:
        """Why the hub does not answer; None = it does, or requests are not allowed."""
        from huggingface_hub import constants

        return None if constants.HF_HUB_OFFLINE else why_unreachable(constants.ENDPOINT)

    def _explained(self, name: str, error: BaseException) -> ModelError:
        from huggingface_hub import constants

        cause = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if self._why_unreachable is not None:
            cause = f"{constants.ENDPOINT} cannot be reached: {self._why_unreachable}"
        return ModelError(
            f"cannot fetch {name} of {self._name} from Hugging Face ({cause}); connect once, "
            "or name local files: --set model.weights=FOLDER (or random) and --set model.tokenizer=FOLDER"
        )


_VOCABULARY = ("vocab.json", "merges.txt")


@contextmanager
def _without_their_words() -> Iterator[None]:
    """Silence the library's own messages about its attempts; sftframe reports the result in one line."""
    from huggingface_hub.utils import logging as theirs

    if os.environ.get("HF_HUB_VERBOSITY"):  # the user wants to read them
        yield
        return
    before = theirs.get_verbosity()
    theirs.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        theirs.set_verbosity(before)


def _transport_errors() -> tuple[type[Exception], ...]:
    """Errors that `huggingface_hub` raises when a connection fails: those of its HTTP library.

    That library raises ValueError and ImportError where it cannot use a proxy of the environment.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, ValueError, ImportError, *(b for b in HfHubHTTPError.__bases__ if issubclass(b, Exception)))
