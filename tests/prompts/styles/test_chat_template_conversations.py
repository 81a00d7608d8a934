"""Conversations by the chat template of a tokenizer: rendered once, with the text that transformers gives."""

from dataclasses import replace

import pytest

from sftframe import ConfigError, Example, Role, Segment, Turn
from sftframe.config import TokensConfig
from sftframe.prompts.tokens import encode_prompts, tokenize

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
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)
ENDING = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
THINKING = (
    "{% for m in messages %}{{ '<' + m.role + '>' }}"
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}{{ '</>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
TALK = Example(
    index=3,
    turns=(Turn(instruction="Name a fruit.", output="Fig."), Turn(instruction="Sort.", input="b a", output=" a b ")),
    instruction="And?",
    output="Nothing.",
)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def messages(example: Example) -> list[dict[str, str]]:
    said = [{"role": "system", "content": example.system}] if example.system else []
    for one in example.exchanges:
        content = f"{one.instruction}\n\n{one.input}" if one.input else one.instruction
        role = "tool" if one.speaker == "tool" else "user"
        said += [{"role": role, "content": content}, {"role": "assistant", "content": one.output}]
    return said


@pytest.mark.parametrize("template", [CHATML, HEADERS, INST, ENDING, THINKING])
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_the_text_is_the_one_that_transformers_gives(chat_style_of, template, system):
    chat = pytest.importorskip("transformers.utils.chat_template_utils", reason="the outside reference")
    if template is INST and system:
        pytest.skip("it has no system messages")
    example = replace(TALK, system=system)
    style = chat_style_of(template, **TOKENS)
    said = messages(example)
    (wanted,), _ = chat.render_jinja_template([said], chat_template=template, **TOKENS)
    text = "".join(piece.text for part in style.render(example) for piece in part)
    # the last answer is the model's own and stays as it is in the data; here no template changes it
    assert text == wanted
    (asked,), _ = chat.render_jinja_template([said[:-1]], chat_template=template, add_generation_prompt=True, **TOKENS)
    prompt = style.prompt_text(example)
    assert asked.startswith(prompt)
    assert not asked[len(prompt) :].strip()


def test_every_character_has_its_role(chat_style_of):
    example = replace(TALK, system="Be brief.", turns=TALK.turns[:1])
    assert [piece for part in chat_style_of(CHATML).render(example) for piece in part] == [
        Segment(Role.TEMPLATE, "<|im_start|>system\n"),
        Segment(Role.SYSTEM, "Be brief."),
        Segment(Role.TEMPLATE, "<|im_end|>\n<|im_start|>user\n"),
        Segment(Role.INSTRUCTION, "Name a fruit."),
        Segment(Role.TEMPLATE, "<|im_end|>\n<|im_start|>assistant\n"),
        Segment(Role.RESPONSE, "Fig."),
        Segment(Role.END, "<|im_end|>\n"),
        Segment(Role.TEMPLATE, "<|im_start|>user\n"),
        Segment(Role.INSTRUCTION, "And?"),
        Segment(Role.TEMPLATE, "<|im_end|>\n<|im_start|>assistant\n"),
        Segment(Role.RESPONSE, "Nothing."),
        Segment(Role.END, "<|im_end|>\n"),
    ]


@pytest.mark.parametrize("template", [CHATML, HEADERS, INST, ENDING])
def test_every_answer_is_closed_and_asked_as_it_was_trained(chat_style_of, tokenizer, template):
    style = chat_style_of(template, **TOKENS)
    turns = style.render_turns(TALK)
    assert [answer[-1].role for _, answer in turns] == [Role.END] * 3
    (row,) = tokenize([TALK], style, tokenizer, TokensConfig(), context_length=1000)[0]
    (prompt,) = encode_prompts([TALK], style, tokenizer)
    assert prompt == row.ids[: len(prompt)].tolist()
    assert len(row.turn_starts) == 3


def test_a_tag_that_the_end_of_the_text_follows_closes_earlier_answers_too(chat_style_of):
    ends = [answer[-1].text for _, answer in chat_style_of(ENDING, **TOKENS).render_turns(TALK)]
    assert ends == ["<|end|>\n", "<|end|>\n", "<|end|>\n</s>"]


def test_what_a_tool_gave_back_and_the_tools_are_given_to_the_template(chat_style_of):
    template = "{% if tools %}{{ tools[0].name }};{% endif %}" + CHATML
    call = Turn(instruction="Time?", output="clock()", is_call=True)
    example = Example(
        index=0, turns=(call,), speaker="tool", instruction="12:00", output="Noon.", tools='[{"name": "clock"}]'
    )
    prompt, _ = chat_style_of(template).render(example)
    assert prompt[0] == Segment(Role.TEMPLATE, "clock;<|im_start|>user\n")
    assert Segment(Role.TOOL, "12:00") in prompt


def test_a_template_that_rewrites_an_earlier_turn_is_refused_for_such_data(chat_style_of):
    thought = Turn(instruction="Hi.", output="<think>A greeting.</think>Hello.")
    with pytest.raises(ConfigError, match=r"cuts a text of the conversation in example 3.*data\.turns=last"):
        chat_style_of(THINKING).render(replace(TALK, turns=(thought,)))


def test_an_earlier_answer_that_is_not_closed_is_refused(chat_style_of):
    style = chat_style_of(
        "{% for m in messages %}{{ m.role + ': ' + m.content }}"
        "{{ '</s>' if loop.last and m.role == 'assistant' else '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    with pytest.raises(ConfigError, match=r"closes the last answer with '</s>', and an earlier one of example 3 with"):
        style.render(TALK)


def test_a_template_that_leaves_out_an_earlier_turn_is_refused(chat_style_of):
    template = CHATML.replace("for message in messages", "for message in messages[-2:]")
    with pytest.raises(ConfigError, match="the model would be trained on one prompt and asked with another"):
        chat_style_of(template).render(TALK)
