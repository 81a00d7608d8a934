"""Weights, sizes and vocabularies that are forged end in a `ModelError`, before memory is taken for what they claim."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sftframe_plugins.gpt2.backend import GPT2Any, NanoOptions
from sftframe_plugins.gpt2.loading import NANO_FOLDER, Loader
from sftframe_plugins.gpt2.vocabulary import read_vocabulary

from sftframe import ModelError

DEEP = "[" * 100_000
DIGITS = "9" * 5000
"""More than Python makes an integer of."""

CONFIG = json.loads((NANO_FOLDER / "config.json").read_text(encoding="utf-8"))
WEIGHTS = (NANO_FOLDER / "weights.safetensors").read_bytes()
VOCABULARY = (NANO_FOLDER / "vocab.tiktoken").read_bytes()
(HEADER_BYTES,) = struct.unpack("<Q", WEIGHTS[:8])
HEADER = json.loads(WEIGHTS[8 : 8 + HEADER_BYTES])
FIRST, SECOND = [name for name in HEADER if name != "__metadata__"][:2]


def with_header(**changes: Any) -> bytes:
    """The bundled weights; of the first tensor the header says something else."""
    header = HEADER | {FIRST: HEADER[FIRST] | changes}
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + WEIGHTS[8 + HEADER_BYTES :]


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """What is said of a folder of weights in which files are others; it has to be a `ModelError` of one line."""

    def load_changed(**files: bytes | str) -> str:
        contents: dict[str, bytes | str] = {"config.json": json.dumps(CONFIG), "vocab.tiktoken": VOCABULARY}
        for name, content in (contents | {key.replace("__", "."): value for key, value in files.items()}).items():
            (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(ModelError) as caught:
            Loader(GPT2Any, NanoOptions(), saved=tmp_path).load("cpu", "float32", 0)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 1000
        return str(caught.value)

    return load_changed


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        WEIGHTS[:7],
        WEIGHTS[:100],
        WEIGHTS[:-1],
        WEIGHTS + b"x",
        struct.pack("<Q", 10**18) + WEIGHTS[8:],
        struct.pack("<Q", 2**64 - 1) + WEIGHTS[8:],
        struct.pack("<Q", 90_000_000) + WEIGHTS[8:],
        struct.pack("<Q", len(DEEP)) + DEEP.encode(),
        with_header(data_offsets=HEADER[SECOND]["data_offsets"]),
        with_header(data_offsets=[0, 10**18]),
        with_header(shape=[10**18, 10**18]),
        with_header(dtype="F64"),
        with_header(dtype="PICKLE"),
    ],
    ids=[
        "empty",
        "cut in the length",
        "cut in the header",
        "cut in the data",
        "longer",
        "header of an exabyte",
        "header of 2^64",
        "header of 90 MB",
        "deep header",
        "overlapping",
        "offset of an exabyte",
        "shape of 10^36",
        "wider dtype",
        "unknown dtype",
    ],
)
def test_a_forged_header_is_no_complete_safetensors_file(refused: Callable[..., str], weights: bytes) -> None:
    assert "not a complete safetensors file" in refused(weights__safetensors=weights)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("n_layer", 100_000, "tensor 'h.4.attn.c_attn.weight' (256, 768) is missing"),
        ("n_layer", 10**9, "n_layer is 1000000000, expected a whole number from 1 to 10000000"),
        ("n_positions", 5_000_000, "tensor 'wpe.weight' has shape"),
        ("n_positions", 10**18, "expected a whole number from 1 to 10000000"),
        ("n_embd", 4_000_000, "tensor 'wte.weight' has shape"),
        ("n_embd", 10**300, "expected a whole number from 1 to 10000000"),
        ("vocab_size", 10_000_000, "the tokenizer has 3072 tokens"),
        ("activation_function", {"a": [1]}, "not a GPT-2 checkpoint"),
    ],
)
def test_sizes_are_compared_with_the_file_before_memory_is_taken(
    refused: Callable[..., str], key: str, value: object, words: str
) -> None:
    found = refused(config__json=json.dumps(CONFIG | {key: value}), weights__safetensors=WEIGHTS)
    assert words in found


@pytest.mark.parametrize("config", [DEEP, f'{{"n_embd": {DIGITS}}}', "[1]", "null", "", "\x00"])
def test_a_configuration_that_is_no_object_is_refused(refused: Callable[..., str], config: str) -> None:
    assert "config.json" in refused(config__json=config, weights__safetensors=WEIGHTS)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "..\\x.safetensors",
        "C:x.safetensors",
        "a/b.safetensors",
        ".",
        "x\0",
        "x" * 9999,
        5,
        None,
        [],
    ],
)
def test_an_index_names_files_beside_it_only(refused: Callable[..., str], name: object) -> None:
    index = json.dumps({"weight_map": {"wte.weight": name}})
    assert "expected names of safetensors files next to it" in refused(model__safetensors__index__json=index)


TIKTOKEN = "".join(f"{base64.b64encode(bytes([byte])).decode()} {byte}\n" for byte in range(256))
CHARACTERS = {chr(byte): byte for byte in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))}


@pytest.mark.parametrize(
    "files",
    [
        {"vocab.tiktoken": TIKTOKEN + f"YWI= {DIGITS}"},
        {"vocab.tiktoken": TIKTOKEN + "YWI= 1000000000000000000"},
        {"vocab.tiktoken": TIKTOKEN + "YWI= -1"},
        {"vocab.tiktoken": TIKTOKEN + base64.b64encode(b"ab" * 500_000).decode() + " 256"},
        {"vocab.json": DEEP, "merges.txt": ""},
        {"vocab.json": "[]", "merges.txt": ""},
        {"vocab.json": f'{{"a": {DIGITS}}}', "merges.txt": ""},
        {"vocab.json": json.dumps(CHARACTERS | {"a": "x", "<|endoftext|>": 256}), "merges.txt": ""},
        {"vocab.json": json.dumps(CHARACTERS | {"a": None, "<|endoftext|>": 256}), "merges.txt": ""},
        {"vocab.json": json.dumps(CHARACTERS | {"a": True, "<|endoftext|>": 256}), "merges.txt": ""},
        {"vocab.json": "{}", "merges.txt": "", "tokenizer_config.json": "[1]"},
        {"vocab.json": "{}", "merges.txt": "", "tokenizer_config.json": '{"added_tokens_decoder": [1]}'},
        {"vocab.json": "{}", "merges.txt": "", "tokenizer_config.json": '{"added_tokens_decoder": {"x": {}}}'},
        {"vocab.json": "{}", "merges.txt": "", "tokenizer_config.json": '{"eos_token": {"content": []}}'},
        {"vocab.json": "{}", "merges.txt": "", "added_tokens.json": "null"},
        {"tokenizer.json": '{"model": "x"}'},
        {"tokenizer.json": '{"pre_tokenizer": {"type": "ByteLevel"}, "added_tokens": [1]}'},
        {"tokenizer.json": '{"pre_tokenizer": {"type": "ByteLevel"}, "model": {"vocab": [], "merges": 5}}'},
    ],
)
def test_a_forged_vocabulary_is_an_error_of_the_model(tmp_path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=re.escape(str(tmp_path))) as caught:
        read_vocabulary(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
