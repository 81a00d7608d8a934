"""Three examples that every style writes out: without input, with input, and with line breaks and other scripts."""

import os
from pathlib import Path

import pytest

from sftframe import Example


@pytest.fixture
def without_input() -> Example:
    return Example(instruction="Name the capital of France.", output="Paris.", index=0)


@pytest.fixture
def with_input() -> Example:
    return Example(instruction="Put this in the past tense.", input="She sings.", output="She sang.", index=1)


@pytest.fixture
def several_lines() -> Example:
    return Example(instruction="Translate:\n\n- cheese", input="日本語 👋🏽", output="« fromage »\nde chèvre", index=2)


@pytest.fixture(scope="session")
def gpt2_encoding():
    """GPT-2's own byte pairs, from OpenAI's two files; skipped where they are not at hand."""
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    folder = Path(os.environ.get("SFTFRAME_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "gpt2"
    if not folder.is_dir():
        pytest.skip(f"GPT-2's vocabulary is not in {folder}; SFTFRAME_TEST_DATA names its parent")
    ranks = data_gym_to_mergeable_bpe_ranks(str(folder / "vocab.bpe"), str(folder / "encoder.json"))
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
