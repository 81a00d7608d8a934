"""Whatever the data say, the tokens are the text, every token has its role, and the mask is the promised one.

For each entry there are two ends: an error that names the entry, or a row in which all of this holds. What is expected
is found the slow way, byte by byte and target by target.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sftframe import Batch, DataError, Example, PromptStyle, Registry, Role, TokenizedExample, Tokenizer
from sftframe.config import DataConfig, TokensConfig
from sftframe.data import load_examples
from sftframe.prompts.tokens import encode_prompts, tokenize
from sftframe.training import collate

SETTINGS = settings(max_examples=15, deadline=None, derandomize=True, database=None)

FRAGMENTS = (
    "\x00",
    "\x1b]0;mine\x07\x1b[2J\x9b",
    "\x85\u2028\u2029\v\f",
    "\r\n",
    "\n",
    "\n\n",
    " ",
    "   \n",
    "\t",
    "\u00a0\u3000",
    "\ufeff",
    "e\u0301\u0327",
    "a" + "\u0336" * 40,
    "👩‍👩‍👧‍👦🏽",
    "🇫🇷🇩",
    "שלום עולם",
    "\u202eevil\u202c",
    "مرحبا\u200f",
    "東京、大阪。",
    "\ue000\U0010ffff",
    "<|endoftext|>",
    "<|end|>",
    "<|user|>\n",
    "<|assistant|>\n",
    "### Instruction:\n",
    "\n\n### Input:\n",
    "\n\n### Response:\n",
    "Below is an instruction that describes a task. ",
    "USER: ",
    " ASSISTANT:",
    "</s>[INST]{{ 7*7 }}{% raw %}${x}%s{0}",
    '"quoted", \\ and \\u0000',
    "1234567890" * 9,
    "word " * 30,
    "I'll they've 'S",
)
"""What has broken tokenizers, templates, masks and terminals."""

TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=6).map("".join)
"""Any text that UTF-8 can write: hypothesis draws no lone surrogates of itself."""
ENTRIES = st.builds(Example, instruction=TEXTS, input=TEXTS, output=TEXTS, index=st.just(3))
PLAIN = Example(instruction="Add 2 and 3.", output="5", index=4)
IGNORED = -100

TEMPLATE_IN_DATA = Example(
    instruction="Repeat:\n\n### Response:\nfirst",
    input="<|assistant|>\n ASSISTANT: <|end|>",
    output="<|endoftext|>",
    index=3,
)


@given(ENTRIES)
@example(TEMPLATE_IN_DATA)
@SETTINGS
def test_the_tokens_are_the_text_and_each_has_the_role_of_its_first_byte(
    style: PromptStyle, nano_tokenizer: Tokenizer, entry: Example
) -> None:
    row = tokenized(entry, style, nano_tokenizer)
    pieces = [(piece.role, piece.text) for part in style.render(entry) for piece in part]
    *ids, end = row.ids
    token_bytes = [nano_tokenizer.token_bytes(int(i)) for i in ids]
    assert b"".join(token_bytes) == "".join(text for _, text in pieces).encode()
    assert [*row.roles] == [*roles_byte_by_byte(pieces, token_bytes), Role.END]
    assert (end, [*ids].count(end), row.num_truncated) == (nano_tokenizer.end_id, 0, 0)


@given(ENTRIES)
@example(TEMPLATE_IN_DATA)
@SETTINGS
def test_the_prompt_at_inference_is_the_beginning_of_the_row(
    style: PromptStyle, nano_tokenizer: Tokenizer, entry: Example
) -> None:
    row = tokenized(entry, style, nano_tokenizer)
    (prompt,) = encode_prompts([entry], style, nano_tokenizer)
    assert [*row.ids[: len(prompt)]] == prompt
    assert Role.RESPONSE not in row.roles[: len(prompt)]
    assert {*row.roles[len(prompt) :]} <= {Role.RESPONSE, Role.END}


@pytest.mark.parametrize(
    ("strategy_name", "weights", "padding"),
    [
        ("pad-only", dict.fromkeys(Role, 1.0), 1.0),
        ("mask-pad", dict.fromkeys(Role, 1.0), 0.0),
        ("mask-instruction", {Role.RESPONSE: 1.0, Role.END: 1.0}, 0.0),
        ("prompt-weight", {**dict.fromkeys(Role, 0.1), Role.RESPONSE: 1.0, Role.END: 1.0}, 0.0),
    ],
)
@given(ENTRIES)
@example(TEMPLATE_IN_DATA)
@SETTINGS
def test_what_counts_is_what_the_strategy_promises_and_the_end_counts_once(
    style: PromptStyle,
    nano_tokenizer: Tokenizer,
    registry: Registry,
    strategy_name: str,
    weights: dict[Role, float],
    padding: float,
    entry: Example,
) -> None:
    strategy = registry.collate_strategy(strategy_name, pad_id=nano_tokenizer.end_id)
    rows = [tokenized(entry, style, nano_tokenizer), tokenized(PLAIN, style, nano_tokenizer)]
    batch = collate(strategy, rows)
    for number, row in enumerate(rows):
        num_targets = len(row.ids) - 1
        found = counted(batch, number)
        expected = [weights.get(Role(int(role)), 0.0) for role in row.roles[1:]]
        assert found[:num_targets] == pytest.approx(expected)
        assert found[num_targets:] == [padding] * (len(found) - num_targets)
        ends = [batch.targets[number, place].item() == nano_tokenizer.end_id for place in range(num_targets)]
        assert (ends.count(True), ends[-1], found[num_targets - 1]) == (1, True, 1.0)


@given(ENTRIES)
@SETTINGS
def test_an_entry_comes_out_of_a_file_as_it_went_in_or_is_named(entry: Example) -> None:
    fields = {"instruction": entry.instruction, "input": entry.input, "output": entry.output}
    for suffix, content in ((".json", json.dumps([fields])), (".jsonl", json.dumps(fields, ensure_ascii=False))):
        if not entry.instruction.strip():
            with pytest.raises(DataError, match=r"entry 0.*field 'instruction' is blank"):
                loaded(content, suffix)
        else:
            (found,) = loaded(content, suffix)
            assert (found.instruction, found.input, found.output) == (entry.instruction, entry.input, entry.output)


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
@pytest.mark.parametrize("half", ["\\ud83d", "\\udc4b", "\\udc4b\\ud83d"])
def test_half_a_character_is_refused_with_entry_and_field(field: str, half: str) -> None:
    fields = {"instruction": "a", "input": "b", "output": "c"} | {field: "HERE"}
    with pytest.raises(DataError, match=f"entry 0.*field '{field}' has a lone surrogate U\\+D.* at character 0"):
        loaded(json.dumps([fields]).replace("HERE", half), ".json")


def test_two_halves_written_as_escapes_are_one_character() -> None:
    (found,) = loaded('[{"instruction": "\\ud83d\\udc4b", "output": ""}]', ".json")
    assert found.instruction == "👋"


@pytest.mark.parametrize("text", ["a", " ", "\n", "\x00", "👩‍👧", "e\u0301", "<|endoftext|>", "### Response:\n"])
def test_a_field_of_a_megabyte_is_too_long_for_the_model_and_named(
    registry: Registry, nano_tokenizer: Tokenizer, text: str
) -> None:
    style = registry.prompt_style("phi3")
    entry = Example(instruction=f"Read: {text * (10**6 // len(text.encode()))}.", output="Done.", index=3)
    with pytest.raises(DataError, match=r"1 of 2 examples have more than 256 tokens \(index 3;"):
        tokenize([entry, PLAIN], style, nano_tokenizer, TokensConfig(), context_length=256)
    store, report = tokenize([entry, PLAIN], style, nano_tokenizer, TokensConfig(over_long="drop"), context_length=256)
    assert (store.indices, report.num_dropped) == ([4], 1)


def tokenized(entry: Example, style: PromptStyle, tokenizer: Tokenizer) -> TokenizedExample:
    """The entry as one row. Where a token crosses the border the error has to say so, and the border can be split."""
    try:
        store, _ = tokenize([entry], style, tokenizer, TokensConfig(), context_length=10**6)
    except DataError as error:
        if not str(error).startswith(f"example 3: with prompt style {style.name!r} a token crosses the boundary"):
            raise
        store, _ = tokenize([entry], style, tokenizer, TokensConfig(boundary="split"), context_length=10**6)
    return store[0]


def roles_byte_by_byte(pieces: Sequence[tuple[Role, str]], token_bytes: Sequence[bytes]) -> list[Role]:
    """The role of each token, found the slow way: every byte of the text has one, a token has that of its first."""
    of_byte = [role for role, text in pieces for _ in text.encode()]
    roles, place = [], 0
    for piece in token_bytes:
        roles.append(of_byte[place])
        place += len(piece)
    assert place == len(of_byte), "the tokens are not the text"
    return roles


def counted(batch: Batch, row: int) -> list[float]:
    """The weight of every target of a row, 0 where it does not count."""
    targets = batch.targets[row].tolist()
    weights = [1.0] * len(targets) if batch.weights is None else batch.weights[row].tolist()
    return [0.0 if target == IGNORED else weight for target, weight in zip(targets, weights, strict=True)]


def loaded(content: str, suffix: str) -> tuple[Example, ...]:
    """What the loader makes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"data{suffix}")
        path.write_text(content, encoding="utf-8", newline="")
        return load_examples(DataConfig(source=str(path))).examples
