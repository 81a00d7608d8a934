"""Prompt styles as TOML lists of segments: what they write, and what is said of those that are wrong."""

import pytest

from sftframe import ConfigError, Example, Role, Segment
from sftframe.testing.prompt import check_prompt_style

GOOD = """
stop_strings = ["\\nQuestion:"]
segments = [
    { template = "Question: " },
    "instruction",
    { template = "\\nContext: ", when = "input" },
    { template = "\\n(no context)", when = "no input" },
    "input",
    { template = "\\nAnswer:" },
    { response = " " },
    { end = "</answer>" },
]
"""
PLAIN = Example(index=0, instruction="Name a fruit.", output="Fig.")
WITH_INPUT = Example(index=1, instruction="Sort.", input="b a", output="a b")


def test_an_example_with_an_input_is_written_piece_by_piece(style_of):
    assert style_of("qa.toml", GOOD).segments(WITH_INPUT) == [
        Segment(Role.TEMPLATE, "Question: "),
        Segment(Role.INSTRUCTION, "Sort."),
        Segment(Role.TEMPLATE, "\nContext: "),
        Segment(Role.INPUT, "b a"),
        Segment(Role.TEMPLATE, "\nAnswer:"),
        Segment(Role.RESPONSE, " a b"),
        Segment(Role.END, "</answer>"),
    ]


def test_pieces_of_an_input_are_left_out_without_one(style_of):
    text = "".join(piece.text for piece in style_of("qa.toml", GOOD).segments(PLAIN))
    assert text == "Question: Name a fruit.\n(no context)\nAnswer: Fig.</answer>"


def test_the_closing_tag_stops_an_answer_and_so_do_the_files_own_texts(style_of):
    assert style_of("qa.toml", GOOD).stop_strings == ("</answer>", "\nQuestion:")


def test_stop_strings_are_added_by_setting_them(style_of):
    style = style_of("qa.toml", GOOD, stop_strings=["###"])
    assert style.stop_strings == ("</answer>", "\nQuestion:", "###")


def test_it_keeps_the_contract_of_prompt_styles(style_of):
    check_prompt_style(style_of("qa.toml", GOOD))


@pytest.mark.parametrize("blank", [" ", "\\n\\n", " \\n"])
def test_white_space_that_a_tokenizer_would_join_with_the_answer_is_counted_to_it(style_of, blank):
    style = style_of(
        "qa.toml", f'segments = ["instruction", "input", {{ template = "\\nA:{blank}" }}, "response", {{ end = "." }}]'
    )
    assert style.prompt_text(PLAIN) == "Name a fruit.\nA:"
    assert style.segments(PLAIN)[-2] == Segment(Role.RESPONSE, blank.replace("\\n", "\n") + "Fig.")


def test_a_single_line_break_stays_the_end_of_the_prompt(style_of):
    style = style_of("qa.toml", 'segments = ["instruction", "input", { template = "\\nA:\\n" }, "response"]')
    assert style.prompt_text(PLAIN) == "Name a fruit.\nA:\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("segments = [", "x.toml: not valid TOML"),
        ("segmets = []", "x.toml: no key 'segmets'; did you mean 'segments'?"),
        ("stop_strings = []", "x.toml: segments: expected a list of segments, found None"),
        (
            'segments = ["instruktion"]',
            "segments[0]: 'instruktion' needs a text or is not a role; did you mean 'instru",
        ),
        ('segments = ["template"]', "segments[0]: 'template' needs a text or is not a role; expected \"instruction\""),
        ("segments = [1]", 'segments[0]: expected "instruction"'),
        ('segments = [{ templte = "x" }]', "segments[0]: 'templte' takes no text; did you mean 'template'?"),
        ('segments = [{ template = "x", end = "y" }]', "segments[0]: expected one role and its text, found 2"),
        ("segments = [{ template = 3 }]", "segments[0].template: expected a text, found 3"),
        ('segments = [{ template = "x", when = "always?" }]', 'segments[0].when: expected "input", "no input", "sys'),
        ('segments = [{ end = "x", when = "input" }]', "at a template only, found 'input' at 'end'"),
        ('segments = ["instruction", "response"]', "'input' is there 0 times, expected once: an example's input would"),
        ('segments = ["instruction", "input", "response", "response"]', "'response' is there 2 times, expected once"),
        ('segments = ["instruction", "input", "response", { template = "x" }]', "segments[3]: template after the re"),
        ('segments = ["instruction", "response", "input"]', "segments[2]: input after the response"),
        ('segments = [{ end = "x" }, "instruction", "input", "response"]', "segments[0]: end before the response"),
        ('segments = ["instruction", "input", "response"]\nstop_strings = [" "]', "stop_strings[0]: expected a text"),
        ('segments = ["instruction", "input", "response"]\nstop_strings = "x"', "stop_strings: expected a list"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(style_of, text, says):
    with pytest.raises(ConfigError) as caught:
        style_of("x.toml", text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_option_is_refused_with_a_suggestion(style_of):
    with pytest.raises(
        ConfigError, match=r"prompt\.stop_string: 'toml:x' has no option .* did you mean 'stop_strings'"
    ):
        style_of("x.toml", GOOD, stop_string=["x"])
