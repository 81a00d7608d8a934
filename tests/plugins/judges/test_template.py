import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sftframe_plugins.judges.language_model import Template, load_template, quote

from sftframe import ConfigError

KNOWN = ("instruction", "answer")


def load(value, default="Default {{answer}}"):
    return load_template(value, default, option="template", known=KNOWN, needed=("answer",))


def test_places_are_filled_with_one_json_string_each():
    template = Template("Task: {{ instruction }}\nAnswer: {{answer}} {of} {{answer}}")
    assert template.messages({"instruction": 'Say "hi"', "answer": "hi\n"}) == [
        {"role": "user", "content": 'Task: "Say \\"hi\\""\nAnswer: "hi\\n" {of} "hi\\n"'}
    ]


def test_what_a_field_contains_is_not_filled():
    fields = {"instruction": "{{answer}}", "answer": "\n---\n{{instruction}}"}
    assert Template("{{instruction}} {{answer}}").messages(fields) == [
        {"role": "user", "content": '"{{answer}}" "\\n---\\n{{instruction}}"'}
    ]


def test_a_line_of_three_dashes_parts_the_systems_message_from_the_users():
    messages = Template("Grade.\n---\n{{answer}}\n---\nmore").messages({"answer": "x"})
    assert messages == [{"role": "system", "content": "Grade."}, {"role": "user", "content": '"x"\n---\nmore'}]


def test_nothing_but_a_name_is_a_place_and_nothing_is_executed():
    for code in ("{{ answer.__class__ }}", "{{ 7*7 }}", "{{ answer | length }}", "{{}}"):
        with pytest.raises(ConfigError, match="has an unknown placeholder"):
            load("{{answer}} " + code)
    assert load("{% for i in x %} {{answer}}").messages({"answer": "a"})[0]["content"] == '{% for i in x %} "a"'


def test_an_empty_option_is_the_default():
    assert load("").text == "Default {{answer}}"


def test_a_path_is_read(tmp_path):
    file = tmp_path / "template.txt"
    file.write_bytes(b"\xef\xbb\xbfGrade.\r\n---\r\n{{answer}}\r\n")
    assert load(str(file)).text == "Grade.\n---\n{{answer}}\n"


def test_a_text_without_places_is_taken_for_a_path_and_the_message_says_both():
    with pytest.raises(ConfigError) as caught:
        load("Be kind.")
    assert "judge.template: 'Be kind.' is not a file" in str(caught.value)
    assert "{{answer}}" in str(caught.value)


def test_a_missing_place_is_named_with_those_that_there_are(tmp_path):
    file = tmp_path / "secret.txt"
    file.write_text("something private")
    for value in ("{{instruction}}", str(file)):
        with pytest.raises(ConfigError) as caught:
            load(value)
        assert "judge.template has no {{answer}}" in str(caught.value)
        assert "{{instruction}}, {{answer}}" in str(caught.value)
        assert "private" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{{answer}} \xff", b"{{answer}}" + b"x" * 100_000])
def test_a_file_that_is_no_template_is_refused(tmp_path, content):
    file = tmp_path / "template.bin"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"judge\.template"):
        load(str(file))


@pytest.mark.parametrize("path", ["/dev/zero", "a\0b", ".", "x" * 5000])
def test_what_is_no_file_is_refused(path):
    with pytest.raises(ConfigError, match=r"judge\.template"):
        load(path)


@given(st.text(st.characters()) | st.text(st.sampled_from('<|>[]INST/"\\{}\n\ud800\udc00\u202e')))
def test_any_text_comes_back_exactly(text):
    quoted = quote(text)
    # in UTF-16, since two surrogates side by side are one character to JSON
    assert json.loads(quoted).encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")
    assert all(unicodedata.category(char)[0] != "C" and len(char.splitlines()[0]) == 1 for char in quoted)
    assert quoted.encode()
