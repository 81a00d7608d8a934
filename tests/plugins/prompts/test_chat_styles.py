"""Conversations in the published forms of three families, byte for byte.

Phi-3: the chat template of microsoft/Phi-3-mini-4k-instruct. ChatML: OpenAI's chatml.md. Llama 3: the page "Model Cards
and Prompt formats" of llama.com. Their last line break or end token is not trained: the closing tag ends an answer.
"""

import pytest
from sftframe_plugins.prompts.chatml import ChatML
from sftframe_plugins.prompts.llama3 import Llama3
from sftframe_plugins.prompts.phi3 import Phi3, Phi3Options

from sftframe import Example, Role, Turn
from sftframe.testing.prompt import check_prompt_style

TALK = Example(
    index=0,
    system="Be brief.",
    turns=(Turn(instruction="Hi.", output="Hello!"), Turn(instruction="Add:", input="2, 3", output="5")),
    instruction="In words?",
    output="Five.",
)
TOOL = Example(
    index=1,
    tools='[{"name": "clock"}]',
    turns=(Turn(instruction="What time is it?", output='{"name": "clock"}', is_call=True),),
    speaker="tool",
    instruction="12:00",
    output="Noon.",
)


def text(style, example):
    return "".join(piece.text for part in style.render(example) for piece in part)


@pytest.mark.parametrize("style", [ChatML, Llama3])
def test_the_contract_is_kept(style):
    check_prompt_style(style())


def test_phi3_writes_a_conversation():
    assert text(Phi3(), TALK) == (
        "<|system|>\nBe brief.<|end|>\n"
        "<|user|>\nHi.<|end|>\n<|assistant|>\nHello!<|end|>\n"
        "<|user|>\nAdd:\n2, 3<|end|>\n<|assistant|>\n5<|end|>\n"
        "<|user|>\nIn words?<|end|>\n<|assistant|>\nFive.<|end|>"
    )


def test_chatml_writes_a_conversation():
    assert text(ChatML(), TALK) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
        "<|im_start|>user\nAdd:\n2, 3<|im_end|>\n<|im_start|>assistant\n5<|im_end|>\n"
        "<|im_start|>user\nIn words?<|im_end|>\n<|im_start|>assistant\nFive.<|im_end|>"
    )


def test_llama3_writes_a_conversation_and_marks_its_beginning_once():
    assert text(Llama3(), TALK) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nAdd:\n2, 3<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n5<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nIn words?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nFive.<|eot_id|>"
    )


def test_a_single_question_of_llama3_marks_its_beginning_too(without_input):
    assert text(Llama3(), without_input) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nName the capital of France.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nParis.<|eot_id|>"
    )


def test_a_tool_speaks_under_its_own_name():
    assert text(ChatML(), TOOL) == (
        '<|im_start|>system\nTools that can be called:\n[{"name": "clock"}]<|im_end|>\n'
        "<|im_start|>user\nWhat time is it?<|im_end|>\n"
        '<|im_start|>assistant\n{"name": "clock"}<|im_end|>\n'
        "<|im_start|>tool\n12:00<|im_end|>\n<|im_start|>assistant\nNoon.<|im_end|>"
    )
    assert "<|start_header_id|>ipython<|end_header_id|>\n\n12:00<|eot_id|>" in text(Llama3(), TOOL)


@pytest.mark.parametrize("style", [Phi3(), ChatML(), Llama3()])
def test_every_answer_is_closed_and_the_text_after_the_tag_belongs_to_the_next_question(style):
    for prompt, answer in style.render_turns(TALK):
        assert prompt[0].role is Role.TEMPLATE
        assert [piece.role for piece in answer] == [Role.RESPONSE, Role.END]
        assert answer[1].text == style.stop_strings[0]


@pytest.mark.parametrize("style", [Phi3(), ChatML(), Llama3()])
def test_system_message_and_tool_have_roles_of_their_own(style):
    spoken = {piece.role: piece.text for part in style.render(TALK) for piece in part}
    assert spoken[Role.SYSTEM] == "Be brief."
    if style.name != "phi3":
        roles = [piece.role for prompt, _ in style.render_turns(TOOL) for piece in prompt if piece.text == "12:00"]
        assert roles == [Role.TOOL]


def test_the_shorter_form_of_phi3_leaves_its_answers_open():
    turns = Phi3(Phi3Options(end_tag=False)).render_turns(TALK)
    assert [[piece.role for piece in answer] for _, answer in turns] == [[Role.RESPONSE]] * 3
