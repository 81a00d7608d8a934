"""Tokenizers of Hugging Face's models: read by transformers, encoded by the tokenizers library.

A *control token* is one that no text may give: a special token, or another added one with the shape of a mark, such as
`<tool_call>`. Where a prompt style writes its name, the library gets a placeholder that no text can contain and knows
it as the control token. So control tokens and text are tokenised in one pass, as by the model's own tokenizer, and a
name that stands in the data is text.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftframe import ModelError, Role, Segment, Tokenizer

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
    "*.model",
    "*.tiktoken",
    "chat_template.json",
    "*.jinja",
    "additional_chat_templates/*.jinja",
)
"""Files of a tokenizer, by the names that transformers gives them."""


class HFTokenizer(Tokenizer):
    """A tokenizer that transformers has loaded.

    Args:
        loaded: what `AutoTokenizer` gave. Its library tokenizer is changed; nobody else may use it.
        files: the tokenizer's files by name, relative to their folder.
        where: names the tokenizer in messages.

    Raises:
        ModelError: it has no end token.
    """

    def __init__(self, loaded: Any, files: Mapping[str, bytes], where: str) -> None:
        if loaded.eos_token_id is None:
            raise ModelError(f"{where}: the tokenizer has no end token: set eos_token in its tokenizer_config.json")
        library = loaded.backend_tokenizer
        self._files = dict(files)
        self._end_id: int = loaded.eos_token_id
        self._tokens: dict[str, int] = library.get_vocab(with_added_tokens=True)
        self._controls = _control_tokens(library, loaded)
        self._begin_ids = _begin_ids(library, loaded)
        self._fingerprint = hashlib.sha256(f"{library.to_str()} {self._end_id}".encode()).hexdigest()
        self._added = {token.content for token in library.get_added_tokens_decoder().values()}
        self._decoder = _kinds(library.decoder)
        self._encoder = _Encoder(library, self._controls, loaded.unk_token_id)

    @classmethod
    def from_folder(cls, folder: Path) -> HFTokenizer:
        """The tokenizer whose files are in a folder.

        Raises:
            ModelError: none is there, it is damaged, or it needs a package or code that is not there.
        """
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            raise ModelError(
                f"a tokenizer of Hugging Face needs transformers: pip install 'sftframe[hf]' ({error})"
            ) from error
        files = _read(folder)
        if not files:
            raise ModelError(
                f"{folder} has no tokenizer: expected tokenizer.json, or a tokenizer.model with its settings"
            )
        try:
            loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except Exception as error:  # the tokenizers library raises plain exceptions for damaged files
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ModelError(f"{folder}: the tokenizer cannot be loaded: {reason}") from error
        if getattr(loaded, "backend_tokenizer", None) is None:
            raise ModelError(
                f"{folder}: {type(loaded).__name__} has no tokenizer.json and cannot be turned into one; sftframe "
                "needs it to find the place of each token in the text"
            )
        return cls(loaded, files, str(folder))

    @property
    def vocab_size(self) -> int:
        return max(self._tokens.values()) + 1

    @property
    def end_id(self) -> int:
        return self._end_id

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def control_tokens(self) -> Mapping[str, int]:
        return self._controls

    @property
    def reads_control_names(self) -> bool:
        return True

    @property
    def begin_ids(self) -> tuple[int, ...]:
        return self._begin_ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._encoder.ids(texts)

    def encode_segments(self, texts: Sequence[Sequence[Segment]]) -> list[tuple[list[int], NDArray[np.int64]]]:
        return self._encoder.attributed(texts)

    def token_bytes(self, token_id: int) -> bytes:
        """As `Tokenizer.token_bytes`; empty for an id without a token, as models with spare embeddings may write."""
        return self._bytes[token_id] if token_id < len(self._bytes) else b""

    @cached_property
    def _bytes(self) -> list[bytes]:
        found = [b""] * self.vocab_size
        control_ids = set(self._controls.values())
        for token, token_id in self._tokens.items():
            if token_id not in control_ids:
                found[token_id] = token.encode() if token in self._added else _token_bytes(token, self._decoder)
        return found

    def save(self, folder: Path) -> None:
        for name, content in self._files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


class _Encoder:
    """The library's tokenizer, changed so that text never gives a control token and placeholders always do.

    Args:
        library: a `tokenizers.Tokenizer`.
        controls: ids by name.
        unknown_id: of the token for unknown characters, which text may give.
    """

    def __init__(self, library: Any, controls: Mapping[str, int], unknown_id: int | None) -> None:
        from tokenizers import AddedToken

        self._library = library
        self._control_ids = frozenset(controls.values()) - {unknown_id}
        secret = secrets.token_hex(16)  # so no text can contain a placeholder
        self._placeholders = {name: f"\ufdd0{secret}{number:x}\ufdd1" for number, name in enumerate(controls)}
        self._barrier = f"\ufdd0{secret}-\ufdd1"
        known = {token.content: token for token in library.get_added_tokens_decoder().values()}
        library.post_processor = None  # it adds begin tokens, and takes spaces out of the tokens' places
        library.no_truncation()
        library.no_padding()
        library.encode_special_tokens = True  # their names are text
        library.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in controls])
        marks = [(mark, known[name].lstrip, known[name].rstrip) for name, mark in self._placeholders.items()]
        library.add_tokens(
            [
                AddedToken(mark, lstrip=before, rstrip=after, normalized=False, special=False)
                for mark, before, after in [*marks, (self._barrier, False, False)]
            ]
        )
        # the library numbers new tokens in their order, after all others
        self._first_placeholder: int = library.token_to_id(marks[0][0] if marks else self._barrier)
        self._barrier_id: int = library.token_to_id(self._barrier)
        self._meaning = np.array(list(controls.values()), dtype=np.int64)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text; none of them is a control id."""
        found = []
        for text, encoded in zip(texts, self._library.encode_batch_fast(texts, add_special_tokens=False), strict=True):
            ids = encoded.ids
            if not self._control_ids.isdisjoint(ids):
                ids, _ = self._placed([(text, 0)], self._library.encode(text, add_special_tokens=False))
            found.append(ids)
        return found

    def attributed(self, texts: Sequence[Sequence[Segment]]) -> list[tuple[list[int], NDArray[np.int64]]]:
        """As `Tokenizer.encode_segments`."""
        marked = [[self._marked(segment) for segment in segments] for segments in texts]
        whole = ["".join(text for text, _ in parts) for parts in marked]
        encoded = self._library.encode_batch(whole, add_special_tokens=False)
        return [self._placed(parts, one) for parts, one in zip(marked, encoded, strict=True)]

    def _marked(self, segment: Segment) -> tuple[str, int]:
        """A segment's text with placeholders where it may have control tokens, and their number."""
        if segment.role not in (Role.TEMPLATE, Role.END) or not self._placeholders:
            return segment.text, 0
        return self._names.subn(lambda found: self._placeholders[found[0]], segment.text)

    @cached_property
    def _names(self) -> re.Pattern[str]:
        """Any name of a control token; the longest of those that begin alike."""
        return re.compile("|".join(map(re.escape, sorted(self._placeholders, key=len, reverse=True))))

    def _placed(self, parts: Sequence[tuple[str, int]], encoded: Any) -> tuple[list[int], NDArray[np.int64]]:
        """Ids of a text and the number of each one's part.

        Args:
            parts: texts with placeholders, and how many each has.
            encoded: what the library made of all of it.
        """
        while (stray := self._stray(encoded)) is not None:
            parts = self._parted(parts, stray)
            encoded = self._library.encode("".join(text for text, _ in parts), add_special_tokens=False)
        ids = np.array(encoded.ids, dtype=np.int64)
        ends = np.cumsum([len(text) for text, _ in parts])
        starts = np.array([start for start, _ in encoded.offsets], dtype=np.int64)
        numbers = np.minimum(np.searchsorted(ends, starts, side="right"), len(parts) - 1)
        is_placeholder = ids >= self._first_placeholder
        if is_placeholder.any():
            # the extent of a placeholder may include blanks of other parts
            counts = np.array([count for _, count in parts])
            is_control = is_placeholder & (ids != self._barrier_id)
            numbers[is_control] = np.repeat(np.arange(len(parts)), counts)
            ids[is_control] = self._meaning[ids[is_control] - self._first_placeholder]
            is_text = ids != self._barrier_id
            ids, numbers = ids[is_text], numbers[is_text]
        return ids.tolist(), numbers

    def _stray(self, encoded: Any) -> int | None:
        """Where text became a control token: a vocabulary may have its name, and merges that lead to it."""
        if self._control_ids.isdisjoint(encoded.ids):
            return None
        place = next(place for place, token_id in enumerate(encoded.ids) if token_id in self._control_ids)
        start, end = encoded.offsets[place]
        if end - start < 2:
            raise ModelError(f"the tokenizer makes a control token of the single character {encoded.tokens[place]!r}")
        return int(end) - 1

    def _parted(self, parts: Sequence[tuple[str, int]], place: int) -> list[tuple[str, int]]:
        """The parts with a barrier at a place; the library tokenises both sides of it separately."""
        ends = list(accumulate(len(text) for text, _ in parts))
        number = bisect_right(ends, place)
        text, count = parts[number]
        at = place - (ends[number] - len(text))
        return [*parts[:number], (text[:at] + self._barrier + text[at:], count), *parts[number + 1 :]]


def _read(folder: Path) -> dict[str, bytes]:
    paths = [path for pattern in FILES for path in sorted(folder.glob(pattern)) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


_MARK = re.compile(r"[^\w\s].*\w.*[^\w\s]", re.DOTALL)
"""The shape of a name such as `<tool_call>` or `[INST]`."""


def _control_tokens(library: Any, loaded: Any) -> dict[str, int]:
    """Ids of control tokens by name.

    Special tokens are. Other added tokens may be text that a model reads as one token: runs of blanks, or Gemma's
    `<h1>`, which is in the vocabulary of its texts. They are control tokens if they have the shape of a mark, and are
    either no part of that vocabulary or named by the chat template.
    """
    texts = library.get_vocab(with_added_tokens=False)
    template = _chat_template(loaded)
    return {
        token.content: token_id
        for token_id, token in sorted(library.get_added_tokens_decoder().items())
        if token.special
        or (_MARK.fullmatch(token.content) and (token.content not in texts or token.content in template))
    }


def _begin_ids(library: Any, loaded: Any) -> tuple[int, ...]:
    """Control ids before every text: as the model's chat template has them, else as its tokenizer adds them."""
    encoded = library.encode("a", add_special_tokens=True)
    added = tuple(encoded.ids[: encoded.special_tokens_mask.index(0)])
    template, name = _chat_template(loaded), loaded.bos_token
    if template and name is not None and "bos_token" in template:
        return (loaded.bos_token_id,)
    return added if not template or (name is not None and name in template) else ()


def _chat_template(loaded: Any) -> str:
    """The model's own chat template; of several the usual one; empty if it has none."""
    found = getattr(loaded, "chat_template", None) or ""
    return str(found.get("default", "")) if isinstance(found, Mapping) else str(found)


def _kinds(decoder: Any) -> frozenset[str]:
    """The kinds of steps of a decoder of the library."""
    return frozenset() if decoder is None else frozenset(_types(json.loads(decoder.__getstate__())))


def _types(state: Mapping[str, Any]) -> Iterator[str]:
    yield str(state["type"])
    for step in state.get("decoders", ()):
        yield from _types(step)


_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _token_bytes(token: str, decoder: frozenset[str]) -> bytes:
    """The text of a token of the vocabulary in UTF-8, the blank before a word included."""
    if "ByteLevel" in decoder and _BYTES_OF_LETTERS.keys() >= set(token):
        return bytes(_BYTES_OF_LETTERS[letter] for letter in token)
    if "ByteFallback" in decoder and (found := _BYTE.fullmatch(token)):
        return bytes([int(found[1], 16)])
    if "WordPiece" in decoder:
        return (token.removeprefix("##") if token.startswith("##") else f" {token}").encode()
    if "BPEDecoder" in decoder:
        return token.replace("</w>", " ").encode()
    return token.replace("▁", " ").encode()


def _letters_of_bytes() -> Iterator[tuple[str, int]]:
    """The letter that stands for each byte in byte-level vocabularies (Radford and others 2019, GPT-2's encoder.py)."""
    num_others = 0
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            yield chr(byte), byte
        else:
            yield chr(256 + num_others), byte
            num_others += 1


_BYTES_OF_LETTERS = dict(_letters_of_bytes())
