"""Conversations by styles without code: a list of segments that joins turns, and a template with a loop over turns."""

from dataclasses import replace

import pytest

from sftframe import ConfigError, DataError, Example, Role, Segment, Turn
from sftframe.config import TokensConfig
from sftframe.prompts.export import chat_template, derive_template
from sftframe.prompts.tokens import encode_prompts, tokenize, writes
from sftframe.testing import check_prompt_style

LIST = """
joins_turns = true
turn_separator = "\\n--\\n"
segments = [
    { template = "A talk.\\n", when = "first" },
    { template = "Rules: ", when = "system" },
    "system",
    { template = "\\n", when = "system" },
    { template = "Tools: ", when = "tools" },
    "tools",
    { template = "\\n", when = "tools" },
    { template = "User: ", when = "user" },
    { template = "Tool: ", when = "tool" },
    "instruction",
    "tool",
    { template = "\\nText: ", when = "input" },
    "input",
    { template = "\\nBot:\\n" },
    "response",
    { end = "</bot>" },
]
"""
LOOP = """A talk.
{% if system %}
Rules: {{ system }}
{% endif %}
{% if tools %}
Tools: {{ tools }}
{% endif %}
{% for turn in turns %}
{% if turn.tool %}
Tool: {{ turn.tool }}
{% else %}
User: {{ turn.instruction }}
{% endif %}
{% if turn.input %}
Text: {{ turn.input }}
{% endif %}
Bot:
{{ turn.response }}</bot>{% if not loop.last %}

--
{% endif %}
{% endfor %}"""
CALL = Turn(instruction="Weather?", output='{"name": "w"}', is_call=True)
TALK = Example(
    index=3,
    system="Be kind.",
    tools='[{"name": "w"}]',
    turns=(CALL, Turn(instruction="20", speaker="tool", output="Warm.")),
    instruction="In F",
    input="20 C",
    output="68.",
)


@pytest.fixture(params=["toml", "jinja"])
def style(request, style_of):
    return style_of(f"talk.{request.param}", LIST if request.param == "toml" else LOOP)


def test_a_conversation_is_written_with_the_role_of_every_character(style):
    assert [piece for part in style.render(TALK) for piece in part] == [
        Segment(Role.TEMPLATE, "A talk.\nRules: "),
        Segment(Role.SYSTEM, "Be kind."),
        Segment(Role.TEMPLATE, "\nTools: "),
        Segment(Role.SYSTEM, '[{"name": "w"}]'),
        Segment(Role.TEMPLATE, "\nUser: "),
        Segment(Role.INSTRUCTION, "Weather?"),
        Segment(Role.TEMPLATE, "\nBot:\n"),
        Segment(Role.RESPONSE, '{"name": "w"}'),
        Segment(Role.END, "</bot>"),
        Segment(Role.TEMPLATE, "\n--\nTool: "),
        Segment(Role.TOOL, "20"),
        Segment(Role.TEMPLATE, "\nBot:\n"),
        Segment(Role.RESPONSE, "Warm."),
        Segment(Role.END, "</bot>"),
        Segment(Role.TEMPLATE, "\n--\nUser: "),
        Segment(Role.INSTRUCTION, "In F"),
        Segment(Role.TEMPLATE, "\nText: "),
        Segment(Role.INPUT, "20 C"),
        Segment(Role.TEMPLATE, "\nBot:\n"),
        Segment(Role.RESPONSE, "68."),
        Segment(Role.END, "</bot>"),
    ]
    assert style.stop_strings == ("</bot>",)


def test_it_keeps_the_contract_and_is_asked_as_it_was_trained(style, tokenizer):
    check_prompt_style(style)
    (row,) = tokenize([TALK], style, tokenizer, TokensConfig(), context_length=1000)[0]
    (prompt,) = encode_prompts([TALK], style, tokenizer)
    assert prompt == row.ids[: len(prompt)].tolist()
    assert len(row.turn_starts) == 3


def test_its_chat_template_writes_tools_too(style):
    template = derive_template(style)
    assert template.left_out == ()
    assert template.conversation is not None
    assert template.conversation.result is not None
    assert "tools | tojson" in chat_template(template)


def test_what_a_file_does_not_write_is_refused_with_a_way_out(style_of):
    plain = 'joins_turns = true\nsegments = ["instruction", "input", { template = "\\n" }, "response"]'
    loop = "{% for turn in turns %}{{ turn.instruction }}{{ turn.input }}\n{{ turn.response }}{% endfor %}"
    for style in (style_of("x.toml", plain), style_of("x.jinja", loop)):
        bare = replace(TALK, system="", tools="", turns=(CALL,))
        assert writes(style, bare)
        for example, what in (
            (replace(bare, system="Be kind."), r"a system message.*"),
            (replace(bare, tools="[1]"), r"tools.*"),
            (replace(bare, speaker="tool"), "what a tool gave back"),
        ):
            with pytest.raises(DataError, match=f"example 3 has {what}, which prompt style .* does not write"):
                encode_prompts([example], style, None)


def test_without_joined_turns_a_list_writes_single_exchanges(style_of):
    style = style_of("x.toml", 'segments = ["instruction", "input", { template = "\\n" }, "response"]')
    assert not style.can_converse
    with pytest.raises(DataError, match="has earlier exchanges and what a tool gave back, which prompt style"):
        encode_prompts([replace(TALK, system="", tools="")], style, None)


def test_white_space_after_a_response_separates_turns_and_closes_none(style_of, tokenizer):
    """The tokenizer's end token closes every answer, before the line break."""
    style = style_of(
        "x.jinja",
        "{% for turn in turns %}Q: {{ turn.instruction }}{{ turn.input }}\nA: {{ turn.response }}\n{% endfor %}",
    )
    example = replace(TALK, system="", tools="", turns=(replace(CALL, output="Sunny."),), input="")
    assert [[piece.text for part in turn for piece in part] for turn in style.render_turns(example)] == [
        ["Q: ", "Weather?", "\nA:", " Sunny."],
        ["\nQ: ", "In F", "\nA:", " 68."],
    ]
    (row,) = tokenize([example], style, tokenizer, TokensConfig(), context_length=1000)[0]
    assert row.ids.tolist().count(tokenizer.end_id) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('turn_separator = "x"', "turn_separator is about conversations, which this file does not write: add joins_"),
        ("joins_turns = 1", "joins_turns: expected true or false, found 1"),
        ("joins_turns = true\nturn_separator = 1", "turn_separator: expected a text, found 1"),
        ("join_turns = true", "no key 'join_turns'; did you mean 'joins_turns'?"),
    ],
)
def test_what_is_wrong_about_turns_is_said(style_of, text, says):
    with pytest.raises(ConfigError) as caught:
        style_of("x.toml", f'{text}\nsegments = ["instruction", "input", "response"]')
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('{ template = "x", when = "later" }', "when = 'later' is about conversations"),
        ('"tools", "tools"', "'tools' is there 2 times, expected once or never"),
        ('"sytem"', "'sytem' needs a text or is not a role; did you mean 'system'"),
    ],
)
def test_a_wrong_entry_about_conversations_is_said(style_of, entry, says):
    with pytest.raises(ConfigError) as caught:
        style_of("x.toml", f'segments = [{entry}, "instruction", "input", "response"]')
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (
            "{% for turn in turns %}{{ instruction }}{% endfor %}",
            "write {{ turn.instruction }} inside of {% for turn in",
        ),
        ("{% for turn in turns %}{{ turn.instruction }}{{ turn.input }}{% endfor %}", "leaves one out"),
        (
            "{% for turn in turns %}{{ turn.input }}: {{ turn.response }}{% endfor %}",
            "leaves out or moves the instruction",
        ),
        ("{% for turn in turns %}{{ turn.instruktion }}{% endfor %}", "no attribute 'instruktion'"),
        (
            "{% for turn in turns %}{{ turn.instruction }}{{ turn.input }}:{{ turn.response }}"
            "{{ '</s>' if loop.last else ';' }}{% endfor %}",
            "closes the last answer with '</s>', and an earlier one of example 0 with ';'",
        ),
        (
            "{% for turn in turns %}{{ turn.instruction }}{{ turn.input }}:{{ turn.response }}{{ turn.instruction }}"
            "{% endfor %}",
            "the template writes a text of example 0",
        ),
    ],
)
def test_a_wrong_template_of_turns_is_refused_before_it_sees_data(style_of, template, says):
    with pytest.raises(ConfigError) as caught:
        style_of("x.jinja", template)
    assert says in str(caught.value)
