from sftframe_vicuna import Vicuna

from sftframe import Example, Turn, load_registry
from sftframe.testing import check_plugin_module, check_prompt_style


def test_the_style_keeps_its_contract():
    check_prompt_style(Vicuna())


def test_the_plugin_is_light():
    check_plugin_module("sftframe_vicuna")


def test_an_example_is_written_on_one_line():
    example = Example(instruction="Name a fruit.", output="Fig.", index=0)
    assert "".join(segment.text for segment in Vicuna().segments(example)) == "USER: Name a fruit. ASSISTANT: Fig."


def test_a_conversation_stays_on_that_line_and_sftframe_ends_every_answer():
    """FastChat's form of Vicuna 1.1, whose </s> after each answer is the tokenizer's end token."""
    turn = Turn(instruction="Name a fruit.", output="Fig.")
    example = Example(system="Be brief.", turns=(turn,), instruction="Its colour?", output="Green.", index=0)
    turns = [["".join(piece.text for piece in part) for part in pair] for pair in Vicuna().render_turns(example)]
    assert turns == [
        ["Be brief. USER: Name a fruit. ASSISTANT:", " Fig."],
        ["USER: Its colour? ASSISTANT:", " Green."],
    ]


def test_sftframe_finds_it():
    assert isinstance(load_registry().prompt_style("vicuna"), Vicuna)
