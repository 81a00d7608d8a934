"""What the core needs of a tokenizer. A model backend brings its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path


class Tokenizer(ABC):
    """Text to ids and back, byte by byte: the bytes of the ids, joined, are the text's UTF-8.

    Text is always encoded without special tokens: `<|endoftext|>` in the data is text.
    """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, the end token included."""

    @property
    @abstractmethod
    def end_id(self) -> int:
        """The id that ends a text (50256 for GPT-2); used for padding too, which is masked by length."""

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
        """Ids that no text gives, by the name that other programs write them with, such as `<|endoftext|>`.

        A prompt style that writes such a name trains ordinary tokens, and other programs read one control token: the
        name makes that visible. By default none is known.
        """
        return {}

    def encode(self, text: str) -> list[int]:
        """Ids of one text."""
        return self.encode_batch([text])[0]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; bytes that are no UTF-8 (a cut character) become U+FFFD."""
        return b"".join(self.token_bytes(i) for i in ids).decode("utf-8", errors="replace")
