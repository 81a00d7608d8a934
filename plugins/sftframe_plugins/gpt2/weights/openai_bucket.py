"""Downloads GPT-2 as OpenAI published it, seven files per size from a public bucket, into sftframe's cache.

Files are checked: the two of the vocabulary by their SHA-256, the weights by their length (four bytes per parameter).
When the weights are read, TensorFlow checks the checksum of every tensor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftframe import ModelError, SftframeError, cache_dir, fetch
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.vocabulary import GPT2_SHA256
from sftframe_plugins.gpt2.weights.folder import DATA, FILES, FLOAT_BYTES, HPARAMS, INDEX, VOCABULARY, OpenAIFolder
from sftframe_plugins.gpt2.weights.source import WeightSource
from sftframe_plugins.gpt2.weights.tensorflow_checkpoint import require_tensorflow

if TYPE_CHECKING:
    from torch import Tensor


_MOST_BYTES = 32_000_000
"""The largest file apart from the weights; OpenAI's longest has 2 MB."""
BUCKET = "https://openaipublic.blob.core.windows.net/gpt-2/models"
"""Where OpenAI has published the weights."""


class OpenAIBucket(WeightSource):
    """One size in the bucket, or in a mirror of it.

    Args:
        url: the size's folder there, ending in `124M`, `355M`, `774M` or `1558M`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._size = url.rpartition("/")[2]
        place = url.rpartition("/")[0]
        # a mirror has its own folder: its files must never be taken for OpenAI's
        own = "" if place == BUCKET else f"-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
        self._folder = cache_dir() / "gpt2" / f"openai{own}" / self._size

    def __str__(self) -> str:
        return self._url

    @property
    def identity(self) -> Mapping[str, str]:
        return {**OpenAIFolder(self._fetched(INDEX)).identity, "weights": self._url}

    def check(self) -> None:
        if not self._is_converted:
            require_tensorflow()

    def config(self) -> NetworkConfig:
        return OpenAIFolder(self._fetched(HPARAMS)).config()

    def tokenizer(self) -> BytePairTokenizer:
        return OpenAIFolder(self._fetched(*VOCABULARY)).tokenizer()

    def tensors(self) -> Mapping[str, Tensor]:
        if self._is_converted:
            return OpenAIFolder(self._folder).tensors()
        try:
            return OpenAIFolder(self._fetched(*FILES)).tensors()
        except ModelError as error:
            raise ModelError(f"{error}; or delete {self._folder}: the next run fetches it again") from error

    @property
    def _is_converted(self) -> bool:
        return OpenAIFolder(self._fetched(HPARAMS, INDEX)).copy_path.is_file()

    def _fetched(self, *names: str) -> Path:
        """The cache's folder, with these files in it."""
        for name in names:
            size = self.config().num_parameters * FLOAT_BYTES if name == DATA else None
            try:
                with _shown(f"{self._size}/{name}") as on_bytes:
                    target = self._folder / name
                    fetch(
                        f"{self._url}/{name}",
                        target,
                        sha256=GPT2_SHA256.get(name),
                        size=size,
                        max_bytes=_MOST_BYTES,
                        on_bytes=on_bytes,
                    )
            except SftframeError as error:
                raise ModelError(
                    f"{error}; use another place with the same files (--set model.mirror=URL), "
                    "or a folder that has them (--set model.weights=FOLDER)"
                ) from error
        return self._folder


@contextmanager
def _shown(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar that looks like Hugging Face's; none without a terminal."""
    from tqdm.auto import tqdm

    bars: list[Any] = []

    def show(done: int, total: int | None) -> None:
        if not bars:
            bars.append(tqdm(desc=name, total=total, unit="B", unit_scale=True, disable=None))  # None: no terminal
        bars[0].update(done - bars[0].n)

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()
