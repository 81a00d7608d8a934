import pytest
from sftframe_plugins.prompts.phi3 import Phi3, Phi3Options

from sftframe import Role, load_registry
from sftframe.testing.prompt import check_prompt_style


def text(style, example):
    return "".join(segment.text for segment in style.segments(example))


@pytest.fixture
def shorter():
    return Phi3(Phi3Options(end_tag=False))


def test_the_contract_is_kept_with_and_without_tags(shorter):
    check_prompt_style(Phi3())
    check_prompt_style(shorter)


def test_without_input(without_input):
    assert text(Phi3(), without_input) == "<|user|>\nName the capital of France.<|end|>\n<|assistant|>\nParis.<|end|>"


def test_with_input_on_a_line_of_its_own(with_input):
    assert text(Phi3(), with_input) == (
        "<|user|>\nPut this in the past tense.\nShe sings.<|end|>\n<|assistant|>\nShe sang.<|end|>"
    )


def test_line_breaks_and_other_scripts_are_kept_byte_for_byte(several_lines):
    assert text(Phi3(), several_lines) == (
        "<|user|>\nTranslate:\n\n- cheese\n日本語 👋🏽<|end|>\n<|assistant|>\n« fromage »\nde chèvre<|end|>"
    )


def test_the_shorter_form_has_no_end_tags(shorter, without_input, with_input):
    assert text(shorter, without_input) == "<|user|>\nName the capital of France.\n<|assistant|>\nParis."
    assert text(shorter, with_input) == "<|user|>\nPut this in the past tense.\nShe sings.\n<|assistant|>\nShe sang."


def test_the_tag_that_closes_the_answer_is_learned_as_its_end(without_input):
    roles = [segment.role for segment in Phi3().segments(without_input)]
    assert roles == [Role.TEMPLATE, Role.INSTRUCTION, Role.TEMPLATE, Role.RESPONSE, Role.END]


def test_the_tag_stops_an_answer_and_is_not_part_of_it():
    assert Phi3().stop_strings == ("<|end|>",)
    assert Phi3().extract("Paris.<|end|>\n<|user|>\nAnd of Italy?") == "Paris."


def test_the_shorter_form_stops_at_the_end_token_alone(shorter):
    assert shorter.stop_strings == ()


def test_the_option_is_set_like_any_other():
    style = load_registry().prompt_style("phi3", {"end_tag": False})
    assert style.options == Phi3Options(end_tag=False)
