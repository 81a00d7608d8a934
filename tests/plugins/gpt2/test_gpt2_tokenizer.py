"""Encoding and decoding, against transformers' tokenizer and against values that everybody knows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.layout import write_config

TEXTS = [
    "Hello, world!",
    "I'll  say: they've\t\tgone\n\n\nhome   ",
    "naïve café – 日本語 👋🏽 \u00a0\u2028x",
    "<|endoftext|> is text",
    "1234567890 ½ ٣٤",
    "",
    "\r\n \r\n",
]


@pytest.fixture(scope="module")
def peer(gpt2_tokenizer, tmp_path_factory):
    """What transformers makes of the files that we write."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("saved")
    gpt2_tokenizer.save(folder)
    sizes = NetworkConfig(vocab_size=50257, context_length=8, width=4, num_layers=1, num_heads=1)
    write_config(sizes, 50256, folder / "config.json")
    return AutoTokenizer.from_pretrained(folder)


def test_known_ids(gpt2_tokenizer):
    assert gpt2_tokenizer.encode("Hello, world!") == [15496, 11, 995, 0]


def test_a_control_tokens_name_is_encoded_as_text(gpt2_tokenizer):
    assert gpt2_tokenizer.encode("<|endoftext|>") == [27, 91, 437, 1659, 5239, 91, 29]


def test_two_line_breaks_are_one_token_only_at_the_end(gpt2_tokenizer):
    assert gpt2_tokenizer.encode("a\n\n") == [64, 628]
    assert gpt2_tokenizer.encode("a\n\nb") == [64, 198, 198, 65]


@pytest.mark.parametrize("text", [text for text in TEXTS if "<|" not in text])
def test_ids_equal_those_of_transformers(gpt2_tokenizer, peer, text):
    assert gpt2_tokenizer.encode(text) == peer(text).input_ids


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_has_the_ids_of_transformers_and_its_own_bytes(gpt2_tokenizer, peer, text):
    ids = gpt2_tokenizer.encode(text)
    assert ids == peer(text, split_special_tokens=True).input_ids
    assert b"".join(map(gpt2_tokenizer.token_bytes, ids)) == text.encode()


def test_transformers_knows_the_end_token_of_a_saved_tokenizer(peer):
    assert (peer.eos_token_id, len(peer)) == (50256, 50257)


def test_a_batch_has_the_ids_of_its_texts(toy_tokenizer):
    assert toy_tokenizer.encode_batch(TEXTS) == [toy_tokenizer.encode(text) for text in TEXTS]


def test_a_batch_over_several_threads_keeps_the_order(toy_tokenizer):
    texts = [f"hello {number}" for number in range(1300)]
    assert toy_tokenizer.encode_batch(texts) == [toy_tokenizer.encode(text) for text in texts]


def test_pairs_are_merged_in_the_order_of_the_ids(toy_tokenizer):
    words = [toy_tokenizer.token_bytes(i) for i in toy_tokenizer.encode("hello the shell 12é")]
    assert words == [b"hello", b" the", b" ", b"s", b"hell", b" ", b"12", "é".encode()]


def test_the_end_token_has_no_bytes(toy_tokenizer):
    assert toy_tokenizer.token_bytes(toy_tokenizer.end_id) == b""
    assert toy_tokenizer.decode([*toy_tokenizer.encode("hello"), toy_tokenizer.end_id]) == "hello"


def test_a_cut_character_becomes_the_replacement_character(toy_tokenizer):
    assert toy_tokenizer.decode(toy_tokenizer.encode("è")[:1]) == "\ufffd"


def test_a_million_spaces_are_encoded(toy_tokenizer):
    assert len(toy_tokenizer.encode(" " * 1_000_000)) == 1_000_000


def test_saving_keeps_the_fingerprint(toy_tokenizer, tmp_path):
    toy_tokenizer.save(tmp_path)
    assert BytePairTokenizer.from_folder(tmp_path).fingerprint == toy_tokenizer.fingerprint


@pytest.mark.parametrize("blank", [" ", "\n", "\u3000"])
@pytest.mark.parametrize("count", [150_000, 1_000_000])
def test_a_million_spaces_before_a_word_are_one_piece_less_the_last(gpt2_tokenizer, blank, count):
    """The pattern gives the last white space to what follows; at a million, tiktoken alone overflows its stack."""
    expected = [ids for part in ("x", blank * (count - 1), blank + "he") for ids in gpt2_tokenizer.encode(part)]
    assert gpt2_tokenizer.encode("x" + blank * count + "he") == expected


def test_separators_that_only_python_calls_white_space_do_not_cut(gpt2_tokenizer):
    text = "x" + " \x1f" * 60_000 + "he"
    assert gpt2_tokenizer.decode(gpt2_tokenizer.encode(text)) == text
