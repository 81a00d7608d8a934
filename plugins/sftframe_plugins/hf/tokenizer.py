"""The tokenizer of a folder, through the `tokenizers` library; byte-level vocabularies only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import transformers

from sftframe import ModelError, Tokenizer


def _byte_letters() -> dict[str, int]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's `bytes_to_unicode`)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + number): byte for number, byte in enumerate(hidden)}


class HFTokenizer(Tokenizer):
    """A fast tokenizer of transformers."""

    def __init__(self, theirs: Any) -> None:
        self.theirs = theirs
        self._fast = theirs.backend_tokenizer
        self._fast.encode_special_tokens = True
        self._letters = _byte_letters()

    @classmethod
    def from_folder(cls, folder: Path) -> HFTokenizer:
        """The tokenizer with files in a folder.

        Raises:
            ModelError: none is there, or it has no end token.
        """
        try:
            theirs = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"no tokenizer in {folder}: {str(error).partition(chr(10))[0]}") from error
        if theirs.eos_token_id is None:
            raise ModelError(f"the tokenizer in {folder} has no end token")
        return cls(theirs)

    @property
    def vocab_size(self) -> int:
        return len(self.theirs)

    @property
    def end_id(self) -> int:
        return int(self.theirs.eos_token_id)

    @property
    def control_tokens(self) -> Mapping[str, int]:
        return {token.content: number for number, token in self.theirs.added_tokens_decoder.items() if token.special}

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self._fast.to_str().encode()).hexdigest()

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._fast.encode_batch(list(texts), add_special_tokens=False)
        return [list(encoding.ids) for encoding in encoded]

    def token_bytes(self, token_id: int) -> bytes:
        if token_id in self.theirs.added_tokens_decoder:
            added = self.theirs.added_tokens_decoder[token_id]
            return b"" if added.special else str(added.content).encode()
        return bytes(self._letters[letter] for letter in self._fast.id_to_token(token_id) or "")

    def save(self, folder: Path) -> None:
        self.theirs.save_pretrained(folder)
