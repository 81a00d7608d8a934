"""Chat templates of styles that write conversations, in transformers' hands: text and ids are those of training."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError

from sftframe import Example, PromptStyle, Role, Segment, Tokenizer, load_registry
from sftframe.config import TokensConfig
from sftframe.prompts.export import chat_template, derive_template
from sftframe.prompts.tokens import encode_prompts, tokenize

Messages = Callable[[Example], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_registry().model_backend("gpt2-nano", {}).tokenizer()


@pytest.fixture(scope="module")
def theirs(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("system", ["", "Be brief:\n- é."])
def test_a_conversation_becomes_the_ids_of_training_and_of_the_question(
    conversing: PromptStyle, system: str, talk: Example, messages: Messages, tokenizer: Tokenizer, theirs: Any
) -> None:
    if conversing.name == "joined" and system:
        pytest.skip("it writes no system message")
    example = replace(talk, system=system)
    theirs.chat_template = chat_template(derive_template(conversing))
    (row,) = tokenize([example], conversing, tokenizer, TokensConfig(), context_length=1000)[0]
    assert theirs.apply_chat_template(messages(example), return_dict=False) == row.ids.tolist()
    asked = theirs.apply_chat_template(messages(example)[:-1], add_generation_prompt=True, return_dict=False)
    assert [asked] == encode_prompts([example], conversing, tokenizer)


@pytest.mark.parametrize("name", ["chatml", "llama3"])
@pytest.mark.parametrize("system", ["", "Be brief:\n- é."])
@pytest.mark.parametrize("has_tools", [True, False])
def test_a_conversation_with_tools_becomes_the_ids_of_training_and_of_every_question(
    name: str,
    system: str,
    has_tools: bool,
    tool_talk: Example,
    tools: list[dict[str, Any]],
    tool_messages: Callable[[str], list[dict[str, Any]]],
    tokenizer: Tokenizer,
    theirs: Any,
) -> None:
    style = load_registry().prompt_style(name)
    example = replace(tool_talk, system=system, tools=json.dumps(tools, ensure_ascii=False) if has_tools else "")
    said, given = tool_messages(system), tools if has_tools else None
    theirs.chat_template = chat_template(derive_template(style))
    (row,) = tokenize([example], style, tokenizer, TokensConfig(), context_length=1000)[0]
    assert theirs.apply_chat_template(said, tools=given, return_dict=False) == row.ids.tolist()
    asked = [replace(each, system=system, tools=example.tools) for each in beginnings(example)]
    answers = [number for number, one in enumerate(said) if one["role"] == "assistant"]
    for each, number in zip(asked, answers, strict=True):
        ids = theirs.apply_chat_template(said[:number], tools=given, add_generation_prompt=True, return_dict=False)
        assert [ids] == encode_prompts([each], style, tokenizer)


def beginnings(example: Example) -> list[Example]:
    """The conversation up to each of its answers."""
    turns = example.turns
    parts = [
        replace(one, turns=turns[:number], system="", tools="")
        for number, one in enumerate(example.exchanges[: len(turns)])
    ]
    return [*parts, example]


def test_the_text_of_a_conversation_with_tools_written_by_hand(chatml: PromptStyle, theirs: Any) -> None:
    theirs.chat_template = chat_template(derive_template(chatml))
    call = {"name": "f", "arguments": {"x": "é", "y": 1}}
    said = [
        {"role": "user", "content": "Ask."},
        {"role": "assistant", "content": None, "tool_calls": [{"function": call}]},
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "2"},
    ]
    written = theirs.apply_chat_template(said, tools=[{"name": "f"}], tokenize=False, add_generation_prompt=True)
    assert written == (
        '<|im_start|>system\nTools that can be called:\n[{"name": "f"}]<|im_end|>\n<|im_start|>user\nAsk.<|im_end|>\n'
        '<|im_start|>assistant\n{"name": "f", "arguments": {"x": "é", "y": 1}}<|im_end|>\n'
        "<|im_start|>tool\n1\n2<|im_end|>\n<|im_start|>assistant\n"
    )


SYSTEM, USER, ASSISTANT = ({"role": role, "content": "x"} for role in ("system", "user", "assistant"))


TOOL = {"role": "tool", "content": "x"}
CALLING = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([SYSTEM], "user and assistant in turns"),
        ([USER, USER], "user and assistant in turns"),
        ([ASSISTANT, USER], "user and assistant in turns"),
        ([USER, SYSTEM], "user and assistant in turns"),
        ([TOOL, ASSISTANT], "results of tools stand where the user would, but not first"),
        ([USER, TOOL], "user and assistant in turns"),
        ([USER, ASSISTANT, TOOL, USER], "user and assistant in turns"),
        ([USER, CALLING, TOOL, {"role": "assistant", "content": [], "tool_calls": []}], "tuned on plain text"),
        ([USER, {**CALLING, "content": [{"type": "text", "text": "x"}]}], "tuned on plain text"),
        ([USER, {**CALLING, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}], "as an object"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], "tuned on plain text"),
    ],
)
def test_what_the_model_never_saw_is_refused(
    chatml: PromptStyle, theirs: Any, said: list[dict[str, Any]], reason: str
) -> None:
    theirs.chat_template = chat_template(derive_template(chatml))
    with pytest.raises(TemplateError, match=reason):
        theirs.apply_chat_template(said, tokenize=False, add_generation_prompt=True)


def test_a_style_without_system_messages_refuses_them(joined: PromptStyle, theirs: Any) -> None:
    theirs.chat_template = chat_template(derive_template(joined))
    with pytest.raises(TemplateError, match="tuned without system messages"):
        theirs.apply_chat_template([SYSTEM, USER], tokenize=False)


@pytest.mark.parametrize("name", ["phi3", "alpaca"])
def test_a_style_without_tools_refuses_them(theirs: Any, name: str) -> None:
    theirs.chat_template = chat_template(derive_template(load_registry().prompt_style(name)))
    with pytest.raises(TemplateError, match="tuned without tools"):
        theirs.apply_chat_template([USER], tools=[{"name": "f"}], tokenize=False)
    with pytest.raises(TemplateError, match="tuned without tools"):
        theirs.apply_chat_template([USER, {**CALLING, "content": "x"}], tokenize=False)


def test_words_that_depend_on_the_number_of_an_exchange_leave_single_questions(joined: PromptStyle) -> None:
    class Numbered(type(joined)):  # type: ignore[misc]
        def conversation(self, example: Example):
            for number, exchange in enumerate(example.exchanges):
                yield Segment(Role.TEMPLATE, f"{number}." if number else "")
                yield from self.segments(exchange)

    assert derive_template(joined).conversation is not None
    assert derive_template(Numbered()).conversation is None
    assert derive_template(Numbered()).left_out == (
        "several turns: prompt style 'joined' does not write them as fixed words around unchanged texts",
    )


def test_a_style_for_single_questions_keeps_its_system_message_and_tools(joined: PromptStyle, theirs: Any) -> None:
    class Single(type(joined)):  # type: ignore[misc]
        joins_turns = False

        def segments(self, example: Example):
            yield Segment(Role.SYSTEM, example.system)
            yield Segment(Role.TEMPLATE, "\n" if example.system else "")
            yield Segment(Role.SYSTEM, example.tools and f"Tools: {example.tools}\n")
            yield from super().segments(example)

    theirs.chat_template = chat_template(derive_template(Single()))
    written = theirs.apply_chat_template([SYSTEM, USER, ASSISTANT], tools=[{"name": "f"}], tokenize=False)
    assert written == 'x\nTools: [{"name": "f"}]\nQ: x\nA: x<|endoftext|>'
    assert theirs.apply_chat_template([USER], tokenize=False) == "Q: x"
    with pytest.raises(TemplateError, match="tuned on single questions"):
        theirs.apply_chat_template([USER, ASSISTANT, USER], tokenize=False)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"system": lambda text: text and f"{len(text)}: {text}"}, ["system messages", "system messages with tools"]),
        ({"tools": lambda text: text.replace(" ", "")}, ["tools", "system messages with tools"]),
        ({"instruction": lambda text: text and f"{len(text)}: {text}"}, ["what tools give back"]),
    ],
)
def test_what_the_template_cannot_write_is_told_with_its_name(
    chatml: PromptStyle, changed: dict[str, Any], what: list[str]
) -> None:
    class Changing(type(chatml)):  # type: ignore[misc]
        def segments(self, example: Example):
            fields = {name: change(getattr(example, name)) for name, change in changed.items()}
            is_changed = "instruction" not in fields or example.speaker == "tool"
            return super().segments(replace(example, **fields) if is_changed else example)

    found = derive_template(Changing())
    assert [reason.partition(":")[0] for reason in found.left_out] == what
    assert found.conversation is not None
