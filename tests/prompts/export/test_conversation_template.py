"""Chat templates of styles that write conversations, in transformers' hands: text and ids are those of training."""

from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from sftframe_plugins.prompts.phi3 import Phi3, Phi3Options

from sftframe import Example, PromptStyle, Role, Segment, Tokenizer, Turn, load_registry
from sftframe.config import TokensConfig
from sftframe.prompts.export import chat_template, derive_template
from sftframe.prompts.tokens import encode_prompts, tokenize


class Joined(PromptStyle):
    """Without closing tags and without a system message: the tokenizer's end token closes every answer."""

    name = "joined"
    summary = "for tests"
    joins_turns = True
    turn_separator = "\n"

    def segments(self, example: Example):
        yield Segment(Role.TEMPLATE, "Q: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, " / ")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\nA:")
        yield Segment(Role.RESPONSE, " " + example.output)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_registry().model_backend("gpt2-nano", {}).tokenizer()


@pytest.fixture(scope="module")
def theirs(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return AutoTokenizer.from_pretrained(folder)


def styles() -> list[PromptStyle]:
    registry = load_registry()
    named = [registry.prompt_style(name) for name in ("phi3", "chatml", "llama3")]
    return [*named, Phi3(Phi3Options(end_tag=False)), Joined()]


TALK = Example(
    index=0,
    turns=(
        Turn(instruction="Hi {{ x }}.", output="« Hello »\n\nyou!"),
        Turn(instruction="Add:\n", input="2, 3", output="5"),
        Turn(instruction="And?", output=" Twice "),
    ),
    instruction="In words?",
    output="Ten.",
)


def messages(example: Example) -> list[dict[str, str]]:
    said = [{"role": "system", "content": example.system}] if example.system else []
    for exchange in example.exchanges:
        asked = {"role": "user", "content": exchange.instruction}
        said.append({**asked, "input": exchange.input} if exchange.input else asked)
        said.append({"role": "assistant", "content": exchange.output})
    return said


@pytest.mark.parametrize("style", styles(), ids=lambda style: style.name)
@pytest.mark.parametrize("system", ["", "Be brief:\n- é."])
def test_a_conversation_becomes_the_ids_of_training_and_of_the_question(
    style: PromptStyle, system: str, tokenizer: Tokenizer, theirs: Any
) -> None:
    from dataclasses import replace

    if style.name == "joined" and system:
        pytest.skip("it writes no system message")
    example = replace(TALK, system=system)
    theirs.chat_template = chat_template(derive_template(style))
    (row,) = tokenize([example], style, tokenizer, TokensConfig(), context_length=1000)[0]
    assert theirs.apply_chat_template(messages(example), return_dict=False) == row.ids.tolist()
    asked = theirs.apply_chat_template(messages(example)[:-1], add_generation_prompt=True, return_dict=False)
    assert [asked] == encode_prompts([example], style, tokenizer)


SYSTEM, USER, ASSISTANT = ({"role": role, "content": "x"} for role in ("system", "user", "assistant"))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([SYSTEM], "user and assistant in turns"),
        ([USER, USER], "user and assistant in turns"),
        ([ASSISTANT, USER], "user and assistant in turns"),
        ([USER, SYSTEM], "user and assistant in turns"),
        ([USER, ASSISTANT, {"role": "tool", "content": "x"}], "user and assistant in turns"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], "tuned on plain text"),
    ],
)
def test_what_the_model_never_saw_is_refused(theirs: Any, said: list[dict[str, Any]], reason: str) -> None:
    theirs.chat_template = chat_template(derive_template(load_registry().prompt_style("chatml")))
    with pytest.raises(TemplateError, match=reason):
        theirs.apply_chat_template(said, tokenize=False, add_generation_prompt=True)


def test_a_style_without_system_messages_refuses_them(theirs: Any) -> None:
    theirs.chat_template = chat_template(derive_template(Joined()))
    with pytest.raises(TemplateError, match="tuned without system messages"):
        theirs.apply_chat_template([SYSTEM, USER], tokenize=False)


def test_words_that_depend_on_the_number_of_an_exchange_leave_single_questions() -> None:
    class Numbered(Joined):
        def conversation(self, example: Example):
            for number, exchange in enumerate(example.exchanges):
                yield Segment(Role.TEMPLATE, f"{number}." if number else "")
                yield from self.segments(exchange)

    assert derive_template(Joined()).conversation is not None
    assert derive_template(Numbered()).conversation is None
