"""GPT-2's tokenizer: byte-level byte-pair encoding through tiktoken, for vocabularies from any form of files.

Control tokens are never made from text: `<|endoftext|>` in the data is encoded letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import tiktoken

from sftframe import Tokenizer
from sftframe_plugins.gpt2.vocabulary import PATTERN, Vocabulary, read_vocabulary, write_vocabulary

TEXTS_AT_ONCE = 512
"""Texts per job of a thread: a job for a single text, as in tiktoken's own batches, takes longer than encoding it."""

LONG_BLANK = 100_000
"""A text is cut before this much white space in a row: above about 300,000 tiktoken's pattern overflows its stack."""
_WHITE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space, as tiktoken's `\\s`; Python's has four more characters."""
_BLANK = re.compile(f"[{_WHITE}]+")


class BytePairTokenizer(Tokenizer):
    """A tokenizer with a `Vocabulary`.

    >>> ranks = {bytes([byte]): byte for byte in range(256)} | {b"he": 256}
    >>> tokenizer = BytePairTokenizer(Vocabulary(ranks=ranks, end_id=257))
    >>> tokenizer.encode("the")
    [116, 256]
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._bytes = [b""] * vocabulary.size
        for token, rank in vocabulary.ranks.items():
            self._bytes[rank] = token

    @classmethod
    def from_folder(cls, folder: Path) -> BytePairTokenizer:
        """The tokenizer with files in a folder, in any form that `vocabulary_files` knows.

        Raises:
            ModelError: none is there, or it is damaged.
        """
        return cls(read_vocabulary(folder))

    @property
    def vocab_size(self) -> int:
        return self.vocabulary.size

    @property
    def end_id(self) -> int:
        return self.vocabulary.end_id

    @property
    def control_tokens(self) -> Mapping[str, int]:
        return self.vocabulary.controls

    @cached_property
    def fingerprint(self) -> str:
        return self.vocabulary.fingerprint

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        chunks = [texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE)]
        if len(chunks) < 2:
            return [self.encode(text) for text in texts]
        with ThreadPoolExecutor() as pool:  # tiktoken lets go of the interpreter's lock while it encodes
            return [ids for encoded in pool.map(self.encode_batch, chunks) for ids in encoded]

    def encode(self, text: str) -> list[int]:
        if len(text) < LONG_BLANK:
            return self._encoding.encode_ordinary(text)
        return [token_id for part in _parts(text) for token_id in self._encoding.encode_ordinary(part)]

    def token_bytes(self, token_id: int) -> bytes:
        return self._bytes[token_id]

    def save(self, folder: Path) -> None:
        write_vocabulary(self.vocabulary, folder)

    @cached_property
    def _encoding(self) -> tiktoken.Encoding:
        return tiktoken.Encoding(
            "sftframe",
            pat_str=PATTERN,
            mergeable_ranks=dict(self.vocabulary.ranks),
            special_tokens=self.vocabulary.controls,
        )


def _parts(text: str) -> Iterator[str]:
    """A text cut where the word pattern cuts it too: before the last character of long white space before a word."""
    start = 0
    for blank in _BLANK.finditer(text):  # each run once: a pattern with a length in it would start at every place
        if blank.end() - blank.start() >= LONG_BLANK and blank.end() < len(text):
            yield text[start : blank.end() - 1]
            start = blank.end() - 1
    yield text[start:]
