"""Vocabularies in every published form, whole and damaged."""

import base64
import dataclasses
import hashlib
import json
import shutil

import pytest
from sftframe_plugins.gpt2.vocabulary import read_vocabulary, write_vocabulary
from tokenizers import ByteLevelBPETokenizer

from sftframe import ModelError


@pytest.fixture
def written(toy_vocabulary, tmp_path):
    """The toy vocabulary in Hugging Face's form, as we write it."""
    folder = tmp_path / "written"
    folder.mkdir()
    write_vocabulary(toy_vocabulary, folder)
    return folder


def as_openai(written, tmp_path):
    folder = tmp_path / "openai"
    folder.mkdir()
    shutil.copy(written / "vocab.json", folder / "encoder.json")
    shutil.copy(written / "merges.txt", folder / "vocab.bpe")
    return folder


def as_tokenizer_json(written, tmp_path):
    """As the `tokenizers` library writes it."""
    folder = tmp_path / "tokenizers"
    folder.mkdir()
    made = ByteLevelBPETokenizer(str(written / "vocab.json"), str(written / "merges.txt"))
    made.add_special_tokens(["<|endoftext|>"])
    made.save(str(folder / "tokenizer.json"))
    return folder


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_tiktokens_form_is_read(toy_folder, toy_vocabulary):
    assert read_vocabulary(toy_folder) == toy_vocabulary


def test_what_is_written_reads_the_same(written, toy_vocabulary):
    assert read_vocabulary(written) == toy_vocabulary


@pytest.mark.parametrize("form", [as_openai, as_tokenizer_json])
def test_the_same_vocabulary_is_read_from_every_form(form, written, tmp_path, toy_vocabulary):
    assert read_vocabulary(form(written, tmp_path)) == toy_vocabulary


def test_gpt2s_own_files_are_written_byte_for_byte(gpt2_tokenizer, gpt2_folder, tmp_path):
    gpt2_tokenizer.save(tmp_path)
    assert (tmp_path / "vocab.json").read_bytes() == (gpt2_folder / "encoder.json").read_bytes()
    assert (tmp_path / "merges.txt").read_bytes() == (gpt2_folder / "vocab.bpe").read_bytes()


def test_gpt2s_vocabulary_has_the_published_size(gpt2_tokenizer):
    assert (gpt2_tokenizer.vocab_size, gpt2_tokenizer.end_id) == (50257, 50256)


def test_further_control_tokens_survive_writing(toy_vocabulary, tmp_path):
    padded = dataclasses.replace(toy_vocabulary, more_controls={"<pad>": 265})
    write_vocabulary(padded, tmp_path)
    assert read_vocabulary(tmp_path) == padded


def test_another_name_of_the_end_token_survives_writing(toy_vocabulary, tmp_path):
    renamed = dataclasses.replace(toy_vocabulary, end_token="</s>")
    write_vocabulary(renamed, tmp_path)
    assert read_vocabulary(tmp_path) == renamed


def test_a_change_of_the_file_is_noticed(toy_folder, toy_vocabulary):
    before = read_vocabulary(toy_folder)
    with (toy_folder / "vocab.tiktoken").open("a") as file:
        file.write(f"{base64.b64encode(b'34').decode()} 264\n")
    assert read_vocabulary(toy_folder).size == before.size + 1


def test_a_folder_without_a_tokenizer_is_told_what_was_looked_for(tmp_path):
    with pytest.raises(ModelError, match=r"looked for vocab.tiktoken, encoder.json \+ vocab.bpe, vocab.json"):
        read_vocabulary(tmp_path)


def test_half_a_pair_of_files_is_named(written, tmp_path):
    folder = as_openai(written, tmp_path)
    (folder / "vocab.bpe").unlink()
    with pytest.raises(ModelError, match=r"encoder.json is there but vocab.bpe is missing"):
        read_vocabulary(folder)


def test_cut_off_json_is_named_with_its_place(written):
    content = (written / "vocab.json").read_text()
    (written / "vocab.json").write_text(content[:1000])
    with pytest.raises(ModelError, match=r"vocab.json is not valid JSON \(line 1, column \d+\): cut off or damaged"):
        read_vocabulary(written)


def test_cut_off_merges_are_noticed(written):
    lines = (written / "merges.txt").read_text().splitlines(keepends=True)
    (written / "merges.txt").write_text("".join(lines[:-3]))
    with pytest.raises(ModelError, match="5 merges, but the vocabulary has 8 tokens of more than one byte"):
        read_vocabulary(written)


def test_half_a_merge_is_noticed(written):
    content = (written / "merges.txt").read_text()
    (written / "merges.txt").write_text(content.rstrip("\n").rpartition(" ")[0])
    with pytest.raises(ModelError, match=r"merges.txt: merge 8 is '1', expected two tokens"):
        read_vocabulary(written)


def test_a_bad_line_of_tiktokens_form_is_named(toy_folder):
    lines = (toy_folder / "vocab.tiktoken").read_text().splitlines()
    lines[3] = "not base64! 3"
    (toy_folder / "vocab.tiktoken").write_text("\n".join(lines))
    with pytest.raises(ModelError, match=r"vocab.tiktoken, line 4: expected base64 and a number"):
        read_vocabulary(toy_folder)


def test_a_token_twice_in_tiktokens_form_is_refused(toy_folder):
    with (toy_folder / "vocab.tiktoken").open("a") as file:
        file.write(f"{base64.b64encode(b'he').decode()} 264\n")
    with pytest.raises(ModelError, match="id 256 is missing"):
        read_vocabulary(toy_folder)


def test_an_undeclared_control_token_is_refused(written):
    edit(written / "vocab.json", lambda ids: ids.update({"<pad >": 265}))
    with pytest.raises(ModelError, match="'<pad >' has ' ', which means no byte"):
        read_vocabulary(written)


def test_a_vocabulary_without_its_end_token_is_refused(written, tmp_path):
    folder = as_openai(written, tmp_path)
    edit(folder / "encoder.json", lambda ids: ids.pop("<|endoftext|>"))
    with pytest.raises(ModelError, match=r"the vocabulary has no end token '<\|endoftext\|>'"):
        read_vocabulary(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "splits text differently"),
        (lambda c: c["pre_tokenizer"].update(type="Whitespace"), "not a tokenizer of GPT-2's kind"),
        (lambda c: c["model"].update(type="WordPiece"), "not a tokenizer of GPT-2's kind"),
        (lambda c: c.update(normalizer={"type": "NFC"}), "not a tokenizer of GPT-2's kind"),
        (lambda c: c["model"]["merges"].pop(), "7 merges"),
    ],
)
def test_a_tokenizer_json_of_another_kind_is_refused(written, tmp_path, change, told):
    folder = as_tokenizer_json(written, tmp_path)
    edit(folder / "tokenizer.json", change)
    with pytest.raises(ModelError, match=told):
        read_vocabulary(folder)


def test_the_known_hashes_are_those_of_gpt2s_files(gpt2_folder):
    from sftframe_plugins.gpt2.vocabulary import GPT2_SHA256

    found = {name: hashlib.sha256((gpt2_folder / name).read_bytes()).hexdigest() for name in GPT2_SHA256}
    assert found == GPT2_SHA256
