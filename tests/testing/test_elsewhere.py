"""Other processes: a component that comes from the registry, a test or a file gets there, and is tried there."""

import hashlib

import pytest

from sftframe import Judge, PromptStyle, Registry, Role, Segment, Verdict, hookimpl, load_registry
from sftframe.testing import inspect
from sftframe.testing.elsewhere import Job, in_processes

KNOWN = {}


def name_of(component):
    return component.name


class OrderOfASet(PromptStyle):
    name = "ordered"
    summary = "words in the order of a set"

    def segments(self, example):
        yield Segment(Role.TEMPLATE, " ".join({"north", "south", "east", "west", "up", "down"}) + "\n")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\n")
        yield Segment(Role.RESPONSE, example.output)


class Remembers(Judge):
    name = "remembers"
    summary = "the first score of an answer, for ever"

    def score(self, items):
        for item in items:
            score = KNOWN.setdefault(item.answer, 100.0 * (item.answer == item.reference))
            yield Verdict(index=item.index, status="ok", score=score, judge=self.identity)


class Plugin:
    @hookimpl
    def sftframe_prompt_styles(self):
        return [OrderOfASet]

    @hookimpl
    def sftframe_judges(self):
        return [Remembers]


def broken(component):
    return [finding.error for finding in inspect(component) if not finding.is_kept]


def test_components_of_a_registry_are_tried_elsewhere_too():
    registry = Registry().with_plugin(Plugin())
    assert any("an order that differs between processes" in error for error in broken(registry.prompt_style("ordered")))
    assert any("in another process" in error for error in broken(registry.judge("remembers")))


@pytest.mark.parametrize(
    "made",
    [
        lambda registry: registry.prompt_style("phi3", {"end_tag": False}),
        lambda registry: registry.collate_strategy("prompt-weight", {"weight": 0.5}, pad_id=7),
        lambda registry: registry.judge("ollama", {"model": "other"}),
        lambda registry: registry.model_backend("gpt2-nano", {"weights": "random"}),
    ],
)
def test_every_kind_of_component_gets_there(made):
    component = made(load_registry())
    assert in_processes(component, [Job(probe=name_of), Job(probe=name_of, is_foreign=True)]) == [component.name] * 2


def test_a_style_from_a_file_and_one_of_a_function_get_there(tmp_path):
    (tmp_path / "qa.toml").write_text('segments = ["instruction", "input", { template = "\\nA: " }, "response"]')

    class Local(OrderOfASet):
        name = hashlib.sha256(b"made here").hexdigest()[:6]

    for style in (Registry().prompt_style(str(tmp_path / "qa.toml")), Local()):
        assert in_processes(style, [Job(probe=name_of)]) == [style.name]
