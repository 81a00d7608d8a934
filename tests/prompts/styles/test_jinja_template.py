"""Prompt styles as Jinja templates: every character has its role, or the template is refused."""

import pytest

from sftframe import ConfigError, Example, Role, Segment
from sftframe.testing.prompt import check_prompt_style

GOOD = """\
Q: {{ instruction | trim }}
{% if input %}
Context: {{ input }}
{% endif %}
A: {{ response }}</a>
"""
PLAIN = Example(index=0, instruction="Name a fruit.", output="Fig.")


def test_every_character_has_its_role(style_of):
    example = Example(index=0, instruction="Sort.", input="b a", output="a b")
    assert style_of("qa.jinja", GOOD).segments(example) == [
        Segment(Role.TEMPLATE, "Q: "),
        Segment(Role.INSTRUCTION, "Sort."),
        Segment(Role.TEMPLATE, "\nContext: "),
        Segment(Role.INPUT, "b a"),
        Segment(Role.TEMPLATE, "\nA:"),
        Segment(Role.RESPONSE, " a b"),
        Segment(Role.END, "</a>"),
    ]


def test_white_space_that_the_template_trims_is_gone_and_the_rest_keeps_its_role(style_of):
    example = Example(index=0, instruction="  Sort.\n", output="x")
    assert style_of("qa.jinja", GOOD).segments(example)[:2] == [
        Segment(Role.TEMPLATE, "Q: "),
        Segment(Role.INSTRUCTION, "Sort."),
    ]


def test_data_that_looks_like_a_template_or_like_marks_is_data(style_of):
    example = Example(index=0, instruction="{{ response }} \ufdd0\ufdd2", output="{% if input %}\ufdd3")
    instruction = Segment(Role.INSTRUCTION, example.instruction)
    pieces = style_of("qa.jinja", GOOD).segments(example)
    assert (pieces[1], pieces[3]) == (instruction, Segment(Role.RESPONSE, " {% if input %}\ufdd3"))


def test_the_closing_tag_stops_an_answer(style_of):
    assert style_of("qa.jinja", GOOD).stop_strings == ("</a>",)


def test_it_keeps_the_contract_of_prompt_styles(style_of):
    check_prompt_style(style_of("qa.jinja", GOOD))


def test_variables_of_ones_own_are_words_of_the_template(style_of):
    style = style_of(
        "v.jinja", "{{ tone }}: {{ instruction }}{{ input }}\nA:\n{{ response }}", variables={"tone": "Hi"}
    )
    assert style.prompt_text(PLAIN) == "Hi: Name a fruit.\nA:\n"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ instuction }}{{ input }}{{ response }}", "{{ instuction }} is not known; did you mean 'instruction'?"),
        ("{{ tone }}{{ instruction }}{{ input }}{{ response }}", "--set prompt.variables.tone=VALUE"),
        ("{{ instruction }}:{{ response }}", "never writes {{ input }}, so an example's input would be lost"),
        ("a\n{% if %}", "x.jinja: line 2: "),
        ("{{ instruction }}{{ input }}\nA:{{ response }}{{ response }}", "the template writes the response 2 times"),
        ("{{ instruction }}{{ input }}A:{{ response }} {{ instruction }}", "instruction or input after the response"),
        ("{{ instruction | length }}{{ input }}A:{{ response }}", "changes its texts"),
        ("{{ instruction }}{{ input }}{{ response | length }}A:{{ response }}", "changes its texts"),
        ("{{ instruction }}{{ input }}A:{{ response | upper }}", "changes its texts"),
        ("{{ instruction | upper }}{{ input }}A:{{ response }}", "changes the instruction 'Name a colour.' to 'NAME"),
        ("{{ instruction[:3] }}{{ input }}A:{{ response }}", "changes its texts"),
        ("{% if input == 1 %}{{ instruction }}{% endif %}{{ input }}A:{{ response }}", "leaves out the instruction"),
        ("{{ instruction.__class__.__mro__ }}{{ input }}{{ response }}", "cannot be rendered: access to attribute"),
        ("{{ 'x' * 10000000 }}{{ instruction }}{{ input }}{{ response }}", "makes something that is too large"),
        ("{% include 'y' %}{{ instruction }}{{ input }}{{ response }}", "cannot be rendered: TypeError: no loader"),
        ("{{ [1, 2] | random }}{{ instruction }}{{ input }}{{ response }}", "No filter named 'random'"),
    ],
)
def test_what_cannot_be_attributed_is_refused_with_its_reason(style_of, template, says):
    with pytest.raises(ConfigError) as caught:
        style_of("x.jinja", template)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_condition_on_the_answer_is_found_with_the_example_that_it_changes(style_of):
    style = style_of(
        "x.jinja", "{{ instruction }}{{ input }}{% if response == 'No.' %} (no){% endif %}\n\nA:\n{{ response }}"
    )
    assert style.prompt_text(PLAIN) == "Name a fruit.\nA:\n"
    with pytest.raises(ConfigError, match="changes its texts"):
        style.segments(Example(index=0, instruction="Is it?", output="No."))


def test_a_variable_may_not_hide_a_field(style_of):
    with pytest.raises(ConfigError, match=r"prompt\.variables\.input: input comes from the example"):
        style_of("x.jinja", GOOD, variables={"input": "x"})
