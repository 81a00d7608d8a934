import pytest
from sftframe_plugins.prompts.alpaca import Alpaca, AlpacaStanford

from sftframe import Example, Role, Segment
from sftframe.testing.prompt import check_prompt_style


def text(style, example):
    return "".join(segment.text for segment in style.segments(example))


@pytest.mark.parametrize("style", [Alpaca, AlpacaStanford])
def test_the_contract_is_kept(style):
    check_prompt_style(style())


@pytest.mark.parametrize("style", [Alpaca, AlpacaStanford])
def test_without_input_both_styles_have_the_short_preamble(style, without_input):
    assert text(style(), without_input) == (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "Name the capital of France.\n"
        "\n"
        "### Response:\n"
        "Paris."
    )


def test_with_input_alpaca_keeps_the_short_preamble(with_input):
    assert text(Alpaca(), with_input) == (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "Put this in the past tense.\n"
        "\n"
        "### Input:\n"
        "She sings.\n"
        "\n"
        "### Response:\n"
        "She sang."
    )


def test_with_input_stanfords_preamble_mentions_it(with_input):
    assert text(AlpacaStanford(), with_input) == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "Put this in the past tense.\n"
        "\n"
        "### Input:\n"
        "She sings.\n"
        "\n"
        "### Response:\n"
        "She sang."
    )


def test_line_breaks_and_other_scripts_are_kept_byte_for_byte(several_lines):
    assert text(Alpaca(), several_lines) == (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "Translate:\n"
        "\n"
        "- cheese\n"
        "\n"
        "### Input:\n"
        "日本語 👋🏽\n"
        "\n"
        "### Response:\n"
        "« fromage »\n"
        "de chèvre"
    )
    assert text(AlpacaStanford(), several_lines).startswith(
        "Below is an instruction that describes a task, paired with an input that provides further context. Write"
    )
    assert text(AlpacaStanford(), several_lines).endswith(
        "### Input:\n日本語 👋🏽\n\n### Response:\n« fromage »\nde chèvre"
    )


def test_headings_are_template_and_the_last_one_belongs_to_the_prompt(with_input):
    prompt, answer = Alpaca().render(with_input)
    assert [segment.role for segment in prompt] == [
        Role.TEMPLATE,
        Role.INSTRUCTION,
        Role.TEMPLATE,
        Role.INPUT,
        Role.TEMPLATE,
    ]
    assert prompt[-1] == Segment(Role.TEMPLATE, "\n\n### Response:\n")
    assert answer == (Segment(Role.RESPONSE, "She sang."),)


def test_an_answer_may_contain_a_heading(without_input):
    assert Alpaca().extract("### Instruction:\nBe kind.\n") == "### Instruction:\nBe kind."


def test_the_preamble_up_to_the_instruction_is_24_tokens_of_gpt2(gpt2_encoding):
    prompt, _ = Alpaca().render(Example(instruction="x", output="y", index=0))
    assert len(gpt2_encoding.encode_ordinary(prompt[0].text)) == 24
