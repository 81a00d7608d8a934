"""The bundled tokenizer and weights: consistent with the scripts that make them and with what others read."""

import json
import random
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from sftframe_plugins.gpt2.network import GPT2
from tokenizers import Tokenizer

from recipes.nano.evaluate import answer_group
from recipes.nano.finetune import prompt
from recipes.nano.text import make_pass
from recipes.nano.tokenizer import END, NANO_DIR, VOCAB_PATH, load_encoding, train_tokenizer, write_vocab
from recipes.nano.weights import CONFIG_PATH, NANO, load_weights, save_weights, write_config
from recipes.starter.make_starter import STARTER_PATH, make_parts

ENCODING = load_encoding()
ROWS = make_parts().rows


@cache
def text_of(number: int) -> list[str]:
    """A pass of the pretraining text, made once."""
    return make_pass(number)


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    """The tokenizer, trained anew."""
    return train_tokenizer()


@pytest.fixture(scope="module")
def model() -> GPT2:
    """The bundled model."""
    return load_weights()


def random_texts(alphabet: str, number: int = 300, length: int = 60) -> list[str]:
    rng = random.Random(7)
    return ["".join(rng.choices(alphabet, k=length)) for _ in range(number)]


TEXTS = {
    "starter": [text for row in ROWS[::5] for text in (prompt(row), row.output)],
    "unicode": random_texts("aé ßñ漢字あ한🙂👩🏽‍🚀́Ω\u200b\u202e 12٣½'’…«»\x00"),
    "whitespace": random_texts(" \t\n\r\u00a0\u3000a1.'s"),
    "contractions": ["it's we've they'll don't I'm you're he'd it'S 's''s", "a  b   c ", "  leading", "trailing  "],
}


def test_training_the_tokenizer_anew_gives_the_committed_file(trained: Tokenizer, tmp_path: Path) -> None:
    write_vocab(trained, tmp_path / "vocab")
    assert (tmp_path / "vocab").read_bytes() == VOCAB_PATH.read_bytes()


@pytest.mark.parametrize("kind", TEXTS)
def test_tiktoken_and_tokenizers_give_the_same_ids(trained: Tokenizer, kind: str) -> None:
    assert [trained.encode(text).ids for text in TEXTS[kind]] == ENCODING.encode_ordinary_batch(TEXTS[kind])


@pytest.mark.parametrize("kind", TEXTS)
def test_decoding_gives_the_text_back(kind: str) -> None:
    assert [ENCODING.decode(ENCODING.encode_ordinary(text)) for text in TEXTS[kind]] == TEXTS[kind]


def test_the_file_holds_every_id_but_the_end_tokens() -> None:
    ids = [int(line.split()[1]) for line in VOCAB_PATH.read_text().splitlines()]
    assert ids == list(range(NANO.vocab_size - 1))
    assert ENCODING.encode(END, allowed_special="all") == [NANO.vocab_size - 1]


def test_the_longest_row_leaves_room_for_an_answer_of_64_tokens() -> None:
    longest = max(len(ENCODING.encode_ordinary(prompt(row) + row.output)) + 1 for row in ROWS)
    assert longest + 64 <= NANO.context_length


def test_the_pretraining_text_knows_no_prompt_layout() -> None:
    text = "\n".join(text_of(0))
    headers = ("###", "Instruction", "Input:", "Response", "Below is an", "instruction", "completes the request")
    assert [header for header in headers if header in text] == []


def test_the_pretraining_text_never_holds_a_held_out_prompt() -> None:
    text = "\n".join(text_of(1))
    assert [row.instruction for row in ROWS[int(0.85 * len(ROWS)) :] if row.instruction in text] == []


def test_the_answers_to_held_out_sentences_are_not_in_the_drills() -> None:
    text = "\n".join(document for number in range(3) for document in text_of(number))
    families = {"negation", "question", "polite request", "future sentence", "joining"}
    answers = [row.output for row in ROWS[int(0.85 * len(ROWS)) :] if row.family in families]
    assert len(answers) > 20
    assert [answer for answer in answers if answer in text] == []


def test_held_out_facts_are_in_the_pretraining_text() -> None:
    families = {"capital", "plural", "past tense", "antonym", "units", "spelling"}
    text = "\n".join(document for number in range(6) for document in text_of(number))
    answers = [row.output for row in make_parts().test if row.family in families]
    assert [answer for answer in answers if answer not in text] == []


def test_a_pass_is_reproducible_and_the_next_one_is_worded_anew() -> None:
    assert make_pass(0) == text_of(0) != text_of(1)


def test_the_config_says_what_the_network_is(tmp_path: Path) -> None:
    write_config(tmp_path / "config.json")
    assert (tmp_path / "config.json").read_bytes() == CONFIG_PATH.read_bytes()
    config = json.loads(CONFIG_PATH.read_text())
    assert (config["vocab_size"], config["n_positions"], config["eos_token_id"]) == (3072, 256, 3071)


def test_the_weights_have_the_published_names_and_shapes() -> None:
    with safe_open(NANO_DIR / "weights.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {"F16"}
    assert shapes["h.0.attn.c_attn.weight"] == [256, 768]
    assert shapes["h.3.mlp.c_fc.weight"] == [256, 1024]
    assert shapes["h.3.mlp.c_proj.weight"] == [1024, 256]
    assert (shapes["wte.weight"], shapes["wpe.weight"], shapes["ln_f.bias"]) == ([3072, 256], [256, 256], [256])
    assert len(shapes) == 4 * 12 + 4


def test_saving_the_loaded_weights_gives_the_same_tensors(model: GPT2, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "weights")
    again = load_weights(tmp_path / "weights").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


def test_the_model_knows_facts_before_any_fine_tuning(model: GPT2) -> None:
    facts = ["The capital of France is Paris.", "The plural of foot is feet.", "The opposite of hot is cold."]
    rows = [[ENCODING.max_token_value, *ENCODING.encode_ordinary(fact)] for fact in facts]
    predicted = [model(torch.tensor([ids]))[0].argmax(-1).tolist() for ids in rows]
    known = [len(ENCODING.encode_ordinary(fact.rsplit(" ", 1)[0])) for fact in facts]
    answers = [ENCODING.decode(ids[start:-1]) for ids, start in zip(predicted, known, strict=True)]
    assert answers == [" Paris.", " feet.", " cold."]


def test_the_model_follows_no_instruction_before_fine_tuning(model: GPT2) -> None:
    rows = make_parts().test
    lengths = [len(ENCODING.encode_ordinary(prompt(row))) for row in rows]
    commonest = max(set(lengths), key=lengths.count)
    group = [(row, ENCODING.encode_ordinary(prompt(row))) for row in rows]
    answers = answer_group(model, ENCODING, [(row, ids) for row, ids in group if len(ids) == commonest])
    assert len(answers) >= 10
    assert sum(answer.is_exact for answer in answers) == 0


def test_everything_bundled_stays_under_12_megabytes() -> None:
    assert sum(path.stat().st_size for path in (*NANO_DIR.iterdir(), STARTER_PATH)) < 12_000_000
