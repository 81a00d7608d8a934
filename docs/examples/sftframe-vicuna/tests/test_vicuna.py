from sftframe_vicuna import Vicuna

from sftframe import Example, load_registry
from sftframe.testing import check_plugin_module, check_prompt_style


def test_the_style_keeps_its_contract():
    check_prompt_style(Vicuna())


def test_the_plugin_is_light():
    check_plugin_module("sftframe_vicuna")


def test_an_example_is_written_on_one_line():
    example = Example(instruction="Name a fruit.", output="Fig.", index=0)
    assert "".join(segment.text for segment in Vicuna().segments(example)) == "USER: Name a fruit. ASSISTANT: Fig."


def test_sftframe_finds_it():
    assert isinstance(load_registry().prompt_style("vicuna"), Vicuna)
