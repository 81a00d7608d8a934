"""A byte-level byte-pair vocabulary: which bytes every id stands for, and in which order pairs are merged.

An id's rank is the id itself, as in GPT-2: the pair whose union has the lowest id is merged first (Radford et al. 2019,
section 2.2). The same vocabulary is published in several forms of file; `vocabulary_files` reads and writes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from sftframe import ModelError

PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
"""GPT-2's word pattern; possessive, because the backtracking form overflows the stack on a million spaces."""

MAX_TOKEN_BYTES = 256
"""Twice GPT-2's longest token. The steps to find a token's merges grow with the square of its length."""

END_TOKEN = "<|endoftext|>"
"""The usual name of the control token that ends a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Ids 0 … n-1, each the bytes of a token or a control token.

    >>> ranks = {bytes([byte]): byte for byte in range(256)} | {b"he": 256}
    >>> vocabulary = Vocabulary(ranks=ranks, end_id=257)
    >>> vocabulary.size
    258
    """

    ranks: Mapping[bytes, int]
    """Bytes to id; pairs are merged in the order of these ids."""
    end_id: int
    end_token: str = END_TOKEN
    more_controls: Mapping[str, int] = field(default_factory=dict)
    """Further ids without bytes, such as one for padding."""

    @property
    def size(self) -> int:
        """Number of ids, control tokens included."""
        return len(self.ranks) + 1 + len(self.more_controls)

    @property
    def controls(self) -> dict[str, int]:
        """All ids without bytes, by name."""
        return {self.end_token: self.end_id, **self.more_controls}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the ids: tokens, word pattern and control ids; the form of the files does not
        matter.
        """
        digest = hashlib.sha256(PATTERN.encode())
        for token, rank in sorted(self.ranks.items(), key=lambda item: item[1]):
            digest.update(b"%d:%d:" % (rank, len(token)) + token)
        digest.update(repr((self.end_id, sorted(self.more_controls.values()))).encode())
        return digest.hexdigest()


def check(vocabulary: Vocabulary, source: object) -> Vocabulary:
    """Check that the ids are 0 … n-1, once each, that every byte can be written, and that no token is too long.

    Args:
        source: the vocabulary's source, for messages.

    Raises:
        ModelError: they are not.
    """
    ids = sorted([*vocabulary.ranks.values(), *vocabulary.controls.values()])
    wrong = next((place for place, found in enumerate(ids) if place != found), None)
    if wrong is not None:
        raise ModelError(
            f"{source}: token ids must be 0 to {len(ids) - 1}, once each, but id {wrong} is missing or "
            f"id {ids[wrong]} is there twice; the vocabulary is damaged, fetch it again"
        )
    longest = max(map(len, vocabulary.ranks), default=0)
    if longest > MAX_TOKEN_BYTES:
        raise ModelError(
            f"{source}: a token has {longest} bytes, expected at most {MAX_TOKEN_BYTES} (GPT-2's longest has 128); "
            "the vocabulary is damaged, fetch it again"
        )
    absent = next((byte for byte in range(256) if bytes([byte]) not in vocabulary.ranks), None)
    if absent is not None:
        raise ModelError(f"{source}: no token for the single byte {absent:#04x}; not a byte-level vocabulary")
    return vocabulary


def merges(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pair that makes each token of more than one byte, in order of rank.

    >>> ranks = {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b"the": 257}
    >>> merges(ranks)
    [(b'h', b'e'), (b't', b'he')]

    Raises:
        ModelError: a token cannot be made from a pair of earlier ones.
    """
    made = sorted((rank, token) for token, rank in ranks.items() if len(token) > 1)
    return [_last_pair(token, ranks) for _, token in made]


def _last_pair(token: bytes, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """The two parts of a token after all merges before its own."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        unions = [ranks.get(left + right, ranks[token]) for left, right in pairwise(parts)]
        first = min(range(len(unions)), key=unions.__getitem__)
        if unions[first] >= ranks[token]:
            raise ModelError(f"vocabulary: no two earlier tokens make token {ranks[token]} ({token!r})")
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return parts[0], parts[1]


def check_merges(ranks: Mapping[bytes, int], listed: Iterable[tuple[bytes, bytes]], source: object) -> None:
    """Check that a file's list of merges agrees with the ids.

    Raises:
        ModelError: the result of a merge has no id, or the order differs from the ids'.
    """
    listed = list(listed)
    for number, (left, right) in enumerate(listed, start=1):
        if left + right not in ranks:
            raise ModelError(f"{source}: merge {number} makes {left + right!r}, which is not in the vocabulary")
    derived = merges(ranks)
    for number, (found, expected) in enumerate(zip(listed, derived, strict=False), start=1):
        if found != expected:
            raise ModelError(
                f"{source}: merge {number} is {found}, but by its ids the vocabulary merges {expected} there; "
                "sftframe needs merges in the order of the ids, as GPT-2 has them"
            )
    if len(listed) != len(derived):
        raise ModelError(
            f"{source}: {len(listed)} merges, but the vocabulary has {len(derived)} tokens of more than one byte; "
            "one of the two files is cut off or belongs to another model"
        )
