"""Hugging Face chat templates as prompt styles, in the layouts of well-known models, written anew for this test.

Outside reference: transformers renders the same template to the same text.
"""

import json

import pytest

from sftframe import ConfigError, Example, Registry, Role, Segment
from sftframe.testing.prompt import check_prompt_style

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HEADERS = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|header|>' + message.role + '<|/header|>\n\n' + message.content | trim + '<|eot|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|header|>assistant<|/header|>\n\n' }}{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% elif m.role == 'assistant' %}{% generation %}{{ ' ' + m.content + eos_token }}{% endgeneration %}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)
PLAIN = Example(index=0, instruction="Name a fruit.", output="Fig.")
WITH_INPUT = Example(index=1, instruction="Sort.", input="b a", output="a b")


def test_chatml_keeps_its_roles(chat_style_of):
    assert chat_style_of(CHATML).segments(WITH_INPUT) == [
        Segment(Role.TEMPLATE, "<|im_start|>user\n"),
        Segment(Role.INSTRUCTION, "Sort."),
        Segment(Role.TEMPLATE, "\n\n"),
        Segment(Role.INPUT, "b a"),
        Segment(Role.TEMPLATE, "<|im_end|>\n<|im_start|>assistant\n"),
        Segment(Role.RESPONSE, "a b"),
        Segment(Role.END, "<|im_end|>\n"),
    ]


def test_the_tag_that_closes_the_turn_stops_an_answer(chat_style_of):
    assert chat_style_of(CHATML).stop_strings == ("<|im_end|>",)


def test_line_breaks_behind_a_header_are_counted_to_the_answer(chat_style_of):
    style = chat_style_of(HEADERS, bos_token={"content": "<s>", "lstrip": False})
    assert (
        style.prompt_text(PLAIN) == "<s><|header|>user<|/header|>\n\nName a fruit.<|eot|><|header|>assistant<|/header|>"
    )
    assert style.segments(PLAIN)[-2:] == [Segment(Role.RESPONSE, "\n\nFig."), Segment(Role.END, "<|eot|>")]


def test_a_template_without_a_generation_prompt_asks_with_what_comes_before_the_answer(chat_style_of):
    style = chat_style_of(INST, bos_token="<s>", eos_token="</s>")
    assert style.prompt_text(PLAIN) == "<s>[INST] Name a fruit. [/INST]"
    assert style.segments(PLAIN)[-2:] == [Segment(Role.RESPONSE, " Fig."), Segment(Role.END, "</s>")]


@pytest.mark.parametrize("template", [CHATML, HEADERS, INST])
def test_the_text_is_the_one_that_transformers_gives(chat_style_of, template):
    chat = pytest.importorskip("transformers.utils.chat_template_utils", reason="the outside reference")
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    style = chat_style_of(template, **tokens)
    for example in (PLAIN, WITH_INPUT):
        content = f"{example.instruction}\n\n{example.input}" if example.input else example.instruction
        turns = [{"role": "user", "content": content}, {"role": "assistant", "content": example.output}]
        (wanted,), _ = chat.render_jinja_template([turns], chat_template=template, **tokens)
        assert "".join(piece.text for piece in style.segments(example)) == wanted


@pytest.mark.parametrize("template", [CHATML, HEADERS, INST])
def test_it_keeps_the_contract_of_prompt_styles(chat_style_of, template):
    check_prompt_style(chat_style_of(template, bos_token="<s>", eos_token="</s>"))


def test_a_system_message_and_the_separator_are_options(chat_style_of):
    style = chat_style_of(CHATML, {"system": "Be brief.", "input_separator": "\n"})
    assert style.prompt_text(WITH_INPUT) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nSort.\nb a<|im_end|>\n<|im_start|>assistant\n"
    )


def test_one_of_several_templates_is_chosen_by_name(chat_style_of):
    named = [{"name": "default", "template": CHATML}, {"name": "short", "template": INST}]
    assert chat_style_of(named, {"template": "short"}, eos_token="</s>").stop_strings == ("</s>",)
    with pytest.raises(ConfigError, match=r"some-model.*no chat template 'shrt'; did you mean 'short'"):
        chat_style_of(named, {"template": "shrt"})


def test_a_folder_is_enough_and_a_template_beside_the_configuration_wins(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "old", "eos_token": "</s>"}))
    (tmp_path / "chat_template.jinja").write_text(INST)
    style = Registry().prompt_style(f"hf:{tmp_path}")
    assert style.stop_strings == ("</s>",)
    assert style.name == f"hf:{tmp_path.name}"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (None, "has no chat_template, and there is no chat_template.jinja next to it"),
        (7, "chat_template is 7; expected a text, or a list of name and template"),
        ("{% if %}", "chat template, line 1: "),
        ("{{ raise_exception('no users here') }}", "the chat template cannot be rendered: no users here"),
        ("{{ messages[0].content }}", "the template writes the response 0 times"),
        (CHATML.replace("assistant\n'", "assistant\n<think>'"), "but the whole conversation has"),
        (
            "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}|{% if not add_generation_prompt %}THINK"
            "{% endif %}{% endif %}{% endfor %}",
            "the template writes 'THINK', which would be trained but does not belong",
        ),
        (
            "{{ strftime_now('%d') }}{{ messages[0].content }}",
            "asks for today's date, which would change the prompt every day: give it one with --set prompt.date=",
        ),
    ],
)
def test_what_cannot_be_attributed_is_refused_with_its_reason(chat_style_of, template, says):
    with pytest.raises(ConfigError) as caught:
        chat_style_of(template)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_template_gets_the_day_that_is_set(chat_style_of):
    style = chat_style_of(CHATML.replace("{% for", "{{ strftime_now('%d %B %Y') }}\n{% for", 1), {"date": "2031-05-09"})
    assert style.prompt_text(Example(index=0, instruction="Hi", output="Ho")).startswith("09 May 2031\n")


def test_a_template_that_only_takes_a_date_if_there_is_one_needs_none(chat_style_of):
    guarded = CHATML.replace("{% for", "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% endif %}{% for", 1)
    with_day, without = chat_style_of(guarded, {"date": "2031-05-09"}), chat_style_of(guarded)
    question = Example(index=0, instruction="Hi", output="Ho")
    assert with_day.prompt_text(question) == "2031" + without.prompt_text(question)


def test_a_day_that_is_none_is_refused(chat_style_of):
    with pytest.raises(ConfigError, match=r"prompt.date: '9 May' is not a day; expected YYYY-MM-DD"):
        chat_style_of(CHATML, {"date": "9 May"})


def test_a_file_that_is_no_tokenizers_is_refused(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"contains \[1\]; expected an object with a chat_template"):
        Registry().prompt_style(f"hf:{tmp_path}")
    with pytest.raises(ConfigError, match=r"no file .*nowhere.* with a prompt style"):
        Registry().prompt_style(f"hf:{tmp_path / 'nowhere'}")
