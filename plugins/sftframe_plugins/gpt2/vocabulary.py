"""GPT-2's vocabulary, and the files that hold one: OpenAI's, tiktoken's and Hugging Face's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from sftframe import ModelError, read_named_file, read_named_text

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
    return list(_merges(tuple(sorted(ranks.items(), key=lambda item: item[1]))))


@lru_cache(maxsize=2)  # a run reads and writes the same vocabulary several times; GPT-2's takes half a second
def _merges(ranked: tuple[tuple[bytes, int], ...]) -> tuple[tuple[bytes, bytes], ...]:
    ranks = dict(ranked)
    return tuple(_last_pair(token, ranks) for token, _ in ranked if len(token) > 1)


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


GPT2_SHA256 = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
"""GPT-2's own two files, which Hugging Face has as `vocab.json` and `merges.txt`."""


def _byte_of_character() -> dict[str, int]:
    """Printable Latin-1 is written as it is; the other bytes, in order, as the characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


BYTE_OF = _byte_of_character()
"""The byte for each of GPT-2's 256 printable characters; `Ġ` is the space."""

MOST_BYTES = 64 * 2**20
"""The largest file of a vocabulary; a tokenizer of 256,000 tokens takes 20 MB."""

CHARACTER_OF = {byte: character for character, byte in BYTE_OF.items()}


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary in a folder, in any form.

    Raises:
        ModelError: no form is complete, or the files are damaged or do not fit each other.
    """
    forms: dict[tuple[str, ...], Callable[[Path], Vocabulary]] = {
        ("vocab.tiktoken",): _read_tiktoken,
        ("encoder.json", "vocab.bpe"): _read_openai,
        ("vocab.json", "merges.txt"): _read_huggingface_pair,
        ("tokenizer.json",): _read_tokenizer_json,
    }
    _check_folder(folder)
    for names, read in forms.items():
        if all((folder / name).is_file() for name in names):
            with _in_form(folder / names[0]):
                return read(folder)
    for names in forms:
        present = [name for name in names if (folder / name).is_file()]
        if present:
            absent = next(name for name in names if name not in present)
            raise ModelError(f"{folder}: {present[0]} is there but {absent} is missing; a vocabulary needs both")
    looked_for = ", ".join(" + ".join(names) for names in forms)
    raise ModelError(
        f"no tokenizer in {folder}: looked for {looked_for}; set another folder with --set model.tokenizer=FOLDER"
    )


def _check_folder(folder: Path) -> None:
    try:
        folder.is_dir()
    except (OSError, ValueError) as error:  # too long, or with a character that no path has
        raise ModelError(
            f"no tokenizer in {folder}: {error}; set another folder with --set model.tokenizer=FOLDER"
        ) from error


def is_published_file(path: Path) -> bool:
    """Whether a file is one of GPT-2's own two, under whatever name."""
    try:
        return _sha256(path) in GPT2_SHA256.values()
    except OSError:
        return False


def write_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Write `vocab.json`, `merges.txt` and `tokenizer_config.json`, and read them back to be sure.

    For GPT-2's own vocabulary the first two are byte for byte those that OpenAI published.
    """
    tokens = {_characters(token): rank for token, rank in vocabulary.ranks.items()} | vocabulary.controls
    ordered = dict(sorted(tokens.items(), key=lambda item: item[1]))
    lines = (f"{_characters(left)} {_characters(right)}\n" for left, right in merges(vocabulary.ranks))
    _write_json(folder / "vocab.json", ordered)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(lines), encoding="utf-8", newline="\n")
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(vocabulary))
    assert _read_huggingface_pair(folder) == vocabulary, "what was written reads differently"


def _tokenizer_config(vocabulary: Vocabulary) -> dict[str, Any]:
    end = vocabulary.end_token
    config: dict[str, Any] = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}
    config |= {"bos_token": end, "eos_token": end, "unk_token": end}
    config["added_tokens_decoder"] = {
        str(token_id): {"content": name, "special": True, "normalized": False}
        for name, token_id in vocabulary.controls.items()
    }
    return config


def _read_tiktoken(folder: Path) -> Vocabulary:
    path = folder / "vocab.tiktoken"
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise ModelError(f"{path}, line {number}: expected base64 and a number, found {line[:40]!r}") from error
    vocabulary = check(Vocabulary(ranks=ranks, end_id=len(ranks)), path)
    merges(ranks)
    return vocabulary


def _read_openai(folder: Path) -> Vocabulary:
    return _read_pair(folder / "encoder.json", folder / "vocab.bpe", {}, END_TOKEN)


def _read_huggingface_pair(folder: Path) -> Vocabulary:
    return _read_pair(folder / "vocab.json", folder / "merges.txt", *_declared_controls(folder))


def _read_tokenizer_json(folder: Path) -> Vocabulary:
    path = folder / "tokenizer.json"
    content = _read_object(path)
    model = content.get("model") or {}
    splitter = content.get("pre_tokenizer") or {}
    if model.get("type", "BPE") != "BPE" or splitter.get("type") != "ByteLevel" or content.get("normalizer"):
        raise ModelError(f"{path}: not a tokenizer of GPT-2's kind (byte-level BPE, no normaliser)")
    if splitter.get("add_prefix_space") or not splitter.get("use_regex", True):
        raise ModelError(f"{path}: splits text differently from GPT-2; expected add_prefix_space=false, use_regex=true")
    added = {entry["content"]: entry["id"] for entry in content.get("added_tokens", [])}
    controls, end_token = _declared_controls(folder)
    listed = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model.get("merges", [])]
    return _build(model.get("vocab", {}), listed, controls | added, end_token, path)


def _declared_controls(folder: Path) -> tuple[dict[str, int], str]:
    """Control tokens that a Hugging Face folder adds to its vocabulary, and the name of the one that ends a text."""
    path = folder / "tokenizer_config.json"
    config = _read_object(path) if path.is_file() else {}
    added = _read_object(folder / "added_tokens.json") if (folder / "added_tokens.json").is_file() else {}
    with _in_form(path):
        declared = config.get("added_tokens_decoder", {}).items()
        controls = {entry["content"]: int(token_id) for token_id, entry in declared}
        end = config.get("eos_token") or END_TOKEN
        return controls | added, end["content"] if isinstance(end, dict) else end


def _read_pair(ids_path: Path, merges_path: Path, controls: Mapping[str, int], end_token: str) -> Vocabulary:
    ids, lines = _read_object(ids_path), _read(merges_path).split("\n")
    listed = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    # GPT-2's own two files fit each other: no need to check 50,000 merges (0.5 s)
    is_known = [_sha256(ids_path), _sha256(merges_path)] == list(GPT2_SHA256.values())
    return _build(ids, listed, controls, end_token, merges_path, is_known=is_known)


def _build(
    ids: Mapping[str, int],
    listed: Iterable[tuple[str, ...]],
    controls: Mapping[str, int],
    end_token: str,
    source: Path,
    *,
    is_known: bool = False,
) -> Vocabulary:
    """A vocabulary from tokens in printable characters, its merges, and the declared control tokens."""
    ids = {**ids, **controls}
    _check_numbers(ids, source.parent)
    if end_token not in ids:
        raise ModelError(f"{source.parent}: the vocabulary has no end token {end_token!r}")
    more = {name: ids[name] for name in controls if name != end_token}
    tokens = {name: token_id for name, token_id in ids.items() if name not in more and name != end_token}
    ranks = {_bytes(name, source): token_id for name, token_id in tokens.items()}
    made = Vocabulary(ranks=ranks, end_id=ids[end_token], end_token=end_token, more_controls=more)
    vocabulary = check(made, source.parent)
    if not is_known:
        check_merges(ranks, [_pair(pair, number, source) for number, pair in enumerate(listed, start=1)], source)
    return vocabulary


def _check_numbers(ids: Mapping[str, Any], folder: Path) -> None:
    wrong = next((name for name, token_id in ids.items() if type(token_id) is not int), None)  # a bool is no id
    if wrong is not None:
        found = reprlib.repr(ids[wrong])
        raise ModelError(f"{folder}: token {reprlib.repr(wrong)} has the id {found}, expected a whole number")


def _pair(pair: tuple[str, ...], number: int, source: Path) -> tuple[bytes, bytes]:
    if len(pair) != 2:
        raise ModelError(f"{source}: merge {number} is {reprlib.repr(' '.join(pair))}, expected two tokens")
    return _bytes(pair[0], source), _bytes(pair[1], source)


def _bytes(characters: str, source: Path) -> bytes:
    try:
        return bytes(map(BYTE_OF.__getitem__, characters))
    except KeyError as error:
        raise ModelError(
            f"{source}: token {reprlib.repr(characters)} has {error.args[0]!r}, which means no byte; "
            "a control token has to be declared in tokenizer_config.json or added_tokens.json"
        ) from error


def _characters(token: bytes) -> str:
    return "".join(CHARACTER_OF[byte] for byte in token)


def _read(path: Path) -> str:
    try:
        return read_named_text(path, most=MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise ModelError(
            f"{path} is not valid JSON (line {error.lineno}, column {error.colno}): cut off or damaged, fetch it again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is JSON that cannot be read ({error}): damaged, fetch it again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(content).__name__}; fetch it again")
    return content


@contextmanager
def _in_form(path: Path) -> Iterator[None]:
    """JSON of an unexpected structure raises one of Python's own errors; the message names the file.

    Checks of the values come first, with their own messages.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: not in GPT-2's published form ({type(error).__name__}: {error}); fetch it again"
        ) from error


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8", newline="\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_named_file(path, most=MOST_BYTES)).hexdigest()
