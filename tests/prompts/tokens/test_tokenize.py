"""One tokenisation of the whole text, and the prompt's own ids at its beginning."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sftframe_plugins.prompts.alpaca import Alpaca

from sftframe import Example, PromptStyle, Role, Segment, Tokenizer
from sftframe.config import DataConfig, TokensConfig
from sftframe.data import load_examples, split
from sftframe.errors import ConfigError, DataError, PluginError
from sftframe.prompts.tokens import encode_prompts, tokenize

T, I, R, E = Role.TEMPLATE, Role.INSTRUCTION, Role.RESPONSE, Role.END  # noqa: E741
TWO_BREAKS = 628
BREAK = 198


def test_the_end_token_comes_once_and_has_its_own_role(rows: Callable, framed: Callable) -> None:
    store, _ = rows([("a", "bc")], framed("<", ">"))
    (row,) = store
    assert row.ids.tolist() == [ord("<"), ord("a"), ord(">"), ord("b"), ord("c"), 256]
    assert row.roles.tolist() == [T, I, T, R, R, E]


def test_a_closing_tag_of_the_style_comes_before_the_end_token(rows: Callable, framed: Callable) -> None:
    store, _ = rows([("a", "b")], framed("", "", "#"))
    assert store[0].ids.tolist() == [ord("a"), ord("b"), ord("#"), 256]
    assert store[0].roles.tolist() == [I, R, E, E]


def test_an_empty_output_leaves_the_end_token_to_learn(rows: Callable, framed: Callable) -> None:
    store, _ = rows([("a", "")], framed())
    assert store[0].ids.tolist() == [ord("a"), 256]


def test_examples_keep_their_index_and_order(tokenizer: Tokenizer, brief_style: PromptStyle) -> None:
    examples = [Example(index=index, instruction="x" * index, output="y") for index in (7, 3, 5)]
    store, _ = tokenize(examples, brief_style, tokenizer, TokensConfig(), context_length=64)
    assert store.indices == [7, 3, 5]


def test_progress_is_told_in_examples(tokenizer: Tokenizer, brief_style: PromptStyle) -> None:
    examples = [Example(index=i, instruction="x", output="y") for i in range(5000)]
    told: list[int] = []
    tokenize(examples, brief_style, tokenizer, TokensConfig(), context_length=64, on_examples=told.append)
    assert told == [4096, 904]


def test_prompts_are_the_beginning_of_what_is_trained_on(tokenizer: Tokenizer, brief_style: PromptStyle) -> None:
    example = Example(index=0, instruction="añb", input="in", output="out")
    store, _ = tokenize([example], brief_style, tokenizer, TokensConfig(), context_length=64)
    (prompt,) = encode_prompts([example], brief_style, tokenizer)
    assert bytes(prompt).decode() == "Q: añb\nin\nA:"
    assert store[0].ids.tolist()[: len(prompt)] == prompt


def test_a_style_that_raises_is_named_with_the_example(tokenizer: Tokenizer) -> None:
    class Broken(PromptStyle):
        name = "broken"
        summary = "fails on the second example"

        def segments(self, example: Example) -> Iterator[Segment]:
            yield Segment(Role.TEMPLATE, {0: "fine"}[example.index])
            yield Segment(Role.RESPONSE, example.output)

    examples = [Example(index=i, instruction="x", output="y") for i in range(2)]
    with pytest.raises(PluginError, match="prompt style 'broken' failed on example 1: KeyError: 1"):
        tokenize(examples, Broken(), tokenizer, TokensConfig(), context_length=64)
    with pytest.raises(PluginError, match="prompt style 'broken' failed on example 1: KeyError: 1"):
        encode_prompts(examples, Broken(), tokenizer)


def test_a_style_without_a_response_is_refused(tokenizer: Tokenizer) -> None:
    class Mute(PromptStyle):
        name = "mute"
        summary = "only template"

        def segments(self, example: Example) -> Iterator[Segment]:
            yield Segment(Role.TEMPLATE, example.instruction + example.output)

    with pytest.raises(PluginError, match="'mute' gave example 4 no RESPONSE segment"):
        tokenize([Example(index=4, instruction="x", output="y")], Mute(), tokenizer, TokensConfig(), context_length=64)


def test_a_maximum_over_the_context_is_refused(rows: Callable) -> None:
    with pytest.raises(ConfigError, match=r"tokens\.max_length: expected at most 16, the context length .* found 17"):
        rows([("a", "b")], max_length=17, context_length=16)


@pytest.fixture
def two_breaks(framed: Callable, gpt2_tokenizer: Tokenizer) -> tuple[PromptStyle, Tokenizer]:
    """A style whose prompt ends in two line breaks: alone they are one token, before a word they are two."""
    return framed("", "\n\n"), gpt2_tokenizer


def test_a_token_over_the_border_names_the_example_and_shows_both_sides(
    two_breaks: tuple[PromptStyle, Tokenizer],
) -> None:
    with pytest.raises(DataError) as caught:
        tokenize([Example(index=41, instruction="Hi", output="Yes")], *two_breaks, TokensConfig(), context_length=64)
    message = str(caught.value)
    assert message.startswith("example 41: with prompt style 'framed' a token crosses the boundary")
    assert f"the prompt alone ends in '\\n\\n'({TWO_BREAKS}), the whole text continues with '\\n'({BREAK})" in message
    assert "tokens.boundary=split" in message


def test_split_tokenises_the_two_sides_apart(two_breaks: tuple[PromptStyle, Tokenizer]) -> None:
    example = Example(index=0, instruction="Hi", output="Yes")
    store, _ = tokenize([example], *two_breaks, TokensConfig(boundary="split"), context_length=64)
    assert store[0].ids.tolist() == [17250, TWO_BREAKS, 5297, 50256]
    assert store[0].roles.tolist() == [I, T, R, E]
    assert encode_prompts([example], *two_breaks) == [[17250, TWO_BREAKS]]


def test_split_tokens_of_many_bytes_have_their_roles(framed: Callable, gpt2_tokenizer: Tokenizer) -> None:
    example = Example(index=0, instruction="日本", output="語")
    store, _ = tokenize([example], framed(), gpt2_tokenizer, TokensConfig(boundary="split"), context_length=64)
    instruction, output = gpt2_tokenizer.encode_batch(["日本", "語"])
    assert store[0].roles.tolist() == [I] * len(instruction) + [R] * len(output) + [E]


def test_a_control_token_in_the_data_is_text(framed: Callable, gpt2_tokenizer: Tokenizer) -> None:
    example = Example(index=0, instruction="<|endoftext|>", output=" ok")
    store, _ = tokenize([example], framed(), gpt2_tokenizer, TokensConfig(), context_length=64)
    # "<", "|", "end", "of", "text", "|", ">", " ok" and one real end
    assert store[0].ids.tolist() == [27, 91, 437, 1659, 5239, 91, 29, 12876, 50256]


@pytest.fixture
def chapter(test_data: Path, gpt2_tokenizer: Tokenizer) -> list[list[int]]:
    """Roles of the tokens of every training example of the chapter's data, under `alpaca`."""
    dataset = load_examples(DataConfig(source=str(test_data / "instruction-data.json")))
    store, _ = tokenize(
        split(dataset, DataConfig()).train, Alpaca(), gpt2_tokenizer, TokensConfig(), context_length=1024
    )
    assert store.num_bytes / len(store) < 200
    return [row.roles.tolist() for row in store]


def test_the_chapters_training_examples_have_56_tokens_on_average_and_the_end_token(chapter: list[list[int]]) -> None:
    counts = np.array([[len(row), row.count(Role.RESPONSE), row.count(Role.END)] for row in chapter])
    length, response, end = counts.mean(axis=0)
    assert end == 1
    assert round(length - end, 1) == 56.4
    assert round(length - response - end, 1) == 44.3
    assert round(response, 1) == 12.1


def test_alpacas_preamble_is_24_tokens_up_to_the_instruction(chapter: list[list[int]]) -> None:
    assert {row.index(Role.INSTRUCTION) for row in chapter} == {24}


def test_the_chapters_file_has_ids_that_anyone_gets_from_the_plain_text(
    test_data: Path, gpt2_tokenizer: Tokenizer
) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    entry = json.loads((test_data / "instruction-data.json").read_text(encoding="utf-8"))[0]
    example = Example(index=0, instruction=entry["instruction"], input=entry["input"], output=entry["output"])
    text = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        f"\n\n### Instruction:\n{entry['instruction']}\n\n### Input:\n{entry['input']}"
        f"\n\n### Response:\n{entry['output']}"
    )
    ranks = {gpt2_tokenizer.token_bytes(i): i for i in range(50256)}
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    plain = tiktoken.Encoding("gpt2-by-hand", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    store, _ = tokenize([example], Alpaca(), gpt2_tokenizer, TokensConfig(), context_length=1024)
    assert store[0].ids.tolist() == [*plain.encode_ordinary(text), 50256]
