"""White space is a text like any other: an input of blanks has the role `input` in every form of style."""

import json

import pytest

from sftframe import Example, PromptStyle, Registry, Role, Segment

CHAT = (
    "{% for m in messages %}{{ m.role + ':' + m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
BLANKS = ("  ", "\t", " \n", "\u00a0")


class Packaged(PromptStyle):
    """A style as a plugin has it."""

    name = "packaged"
    summary = "instruction, input, answer"

    def segments(self, example):
        yield Segment(Role.TEMPLATE, "Q:")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\nA:")
        yield Segment(Role.RESPONSE, example.output)


@pytest.fixture(params=["package", "toml", "jinja", "hf"])
def style(request, tmp_path):
    if request.param == "package":
        return Packaged()
    texts = {
        "toml": 'segments = [{template="Q:"}, "instruction", {template="\\n", when="input"}, "input", '
        '{template="\\nA:"}, "response"]',
        "jinja": "Q:{{ instruction }}{% if input %}|{{ input }}{% endif %}|A:{{ response }}",
        "hf": json.dumps({"chat_template": CHAT}),
    }
    path = tmp_path / {"toml": "x.toml", "jinja": "x.jinja", "hf": "tokenizer_config.json"}[request.param]
    path.write_text(texts[request.param], encoding="utf-8")
    return Registry().prompt_style(f"hf:{path}" if request.param == "hf" else str(path))


@pytest.mark.parametrize("blank", BLANKS)
def test_an_input_of_blanks_has_the_role_of_an_input(style, blank):
    prompt, _ = style.render(Example(index=0, instruction="Sort.", input=blank, output="b a"))
    assert [piece.text for piece in prompt if piece.role is Role.INPUT] == [blank]


def test_an_input_that_is_not_there_has_no_segment(style):
    prompt, _ = style.render(Example(index=0, instruction="Sort.", input="", output="b a"))
    assert Role.INPUT not in {piece.role for piece in prompt}


def test_a_template_may_still_trim_it_away(tmp_path):
    path = tmp_path / "t.jinja"
    path.write_text("{{ instruction }}{% if input | trim %}|{{ input | trim }}{% endif %}:{{ response }}")
    style = Registry().prompt_style(str(path))
    assert style.prompt_text(Example(index=0, instruction="Sort.", input=" ", output="x")) == "Sort.:"
