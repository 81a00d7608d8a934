"""The base class of tokenizers. A model backend brings its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path


class Tokenizer(ABC):
    """Text to ids and back. The joined bytes of the ids are the text in UTF-8.

    Text is always encoded without special tokens: `<|endoftext|>` in the data is text.
    """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, the end token included."""

    @property
    @abstractmethod
    def end_id(self) -> int:
        """The id that ends a text (50256 for GPT-2). It also pads rows; padding is masked by length."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary, hexadecimal."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text."""

    @abstractmethod
    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token; empty for a control token."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what is needed to load the same tokenizer again."""

    @property
    def control_tokens(self) -> Mapping[str, int]:
        """Ids that no text is encoded to, by the name that other programs use, such as `<|endoftext|>`.

        If a prompt style writes such a name, sftframe trains ordinary tokens, but other programs read one control
        token. With these names the core can warn about that. By default there are none.
        """
        return {}

    def encode(self, text: str) -> list[int]:
        """Ids of one text."""
        return self.encode_batch([text])[0]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; bytes that are not UTF-8 (a cut character) become U+FFFD."""
        return b"".join(self.token_bytes(i) for i in ids).decode("utf-8", errors="replace")
