"""The chat template in transformers' hands: the ids of training, and refusals for what training had not."""

from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError

from sftframe import Example, PromptStyle, Tokenizer, load_registry
from sftframe.prompts.export import chat_template, derive_template


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The bundled model's."""
    return load_registry().model_backend("gpt2-nano", {}).tokenizer()


@pytest.fixture(scope="module")
def theirs(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same one as transformers loads it."""
    from transformers import AutoTokenizer

    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return AutoTokenizer.from_pretrained(folder)


def question(example: Example) -> dict[str, str]:
    message = {"role": "user", "content": example.instruction}
    return {**message, "input": example.input} if example.input else message


def test_a_question_becomes_exactly_the_ids_of_the_prompt(
    style: PromptStyle, examples: list[Example], tokenizer: Tokenizer, theirs: Any
) -> None:
    theirs.chat_template = chat_template(derive_template(style))
    for example in examples:
        ids = theirs.apply_chat_template([question(example)], add_generation_prompt=True, return_dict=False)
        assert ids == tokenizer.encode(style.prompt_text(example))


def test_a_question_with_its_answer_becomes_the_ids_of_a_training_example(
    style: PromptStyle, examples: list[Example], tokenizer: Tokenizer, theirs: Any
) -> None:
    theirs.chat_template = chat_template(derive_template(style))
    for example in examples:
        messages = [question(example), {"role": "assistant", "content": example.output}]
        text = "".join(segment.text for segment in style.segments(example))
        ids = theirs.apply_chat_template(messages, return_dict=False)
        assert ids == [*tokenizer.encode(text), tokenizer.end_id]


def test_without_a_generation_prompt_the_text_ends_with_the_question(phi3: PromptStyle, theirs: Any) -> None:
    theirs.chat_template = chat_template(derive_template(phi3))
    messages = [{"role": "user", "content": "Sort.", "input": "b a"}]
    assert theirs.apply_chat_template(messages, tokenize=False) == "<|user|>\nSort.\nb a"
    asked = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert asked == "<|user|>\nSort.\nb a<|end|>\n<|assistant|>\n"


USER, ASSISTANT, SYSTEM = ({"role": role, "content": "x"} for role in ("user", "assistant", "system"))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([SYSTEM, USER], "tuned without system messages: leave it out"),
        ([USER, ASSISTANT, USER], "tuned on single questions: give one user message, and at most its answer"),
        ([USER, USER], "tuned on single questions"),
        ([USER, SYSTEM], "tuned on single questions"),
        ([ASSISTANT], "tuned on single questions"),
        (
            [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
            "tuned on plain text: give the content as one",
        ),
        ([USER, {"role": "assistant", "content": [{"type": "text", "text": "x"}]}], "tuned on plain text"),
    ],
)
def test_what_the_model_never_saw_is_refused(
    alpaca: PromptStyle, theirs: Any, messages: list[dict[str, Any]], reason: str
) -> None:
    theirs.chat_template = chat_template(derive_template(alpaca))
    with pytest.raises(TemplateError, match=reason):
        theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
