"""Other processes: a component that comes from the registry, a test or a file gets there, and is tried there."""

import hashlib
import subprocess
import sys
import threading
from types import ModuleType

import pytest

from sftframe import Judge, PromptStyle, Registry, Role, Segment, Verdict, hookimpl, load_registry
from sftframe.testing import check_prompt_style, inspect
from sftframe.testing.contract import ContractWarning, UntriedError
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


class Keeps(OrderOfASet):
    """Of a constructor of its own, with something that no other process can have."""

    name = "keeps"

    def __init__(self):
        super().__init__(None)
        self.lock = threading.Lock()

    def segments(self, example):
        for piece in super().segments(example):
            yield Segment(piece.role, "Say:\n") if "north" in piece.text else piece


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


def test_what_cannot_be_sent_there_is_a_warning_and_no_broken_promise():
    with pytest.warns(ContractWarning, match=r"keeps: it was not tried in other processes: it cannot be sent .*lock"):
        check_prompt_style(Keeps())
    warned = [finding for finding in inspect(Keeps()) if finding.warning]
    assert [finding.promise.partition(" on ")[0] for finding in warned] == ["The text depends"]
    assert all(finding.is_kept for finding in warned)


def test_what_cannot_be_made_there_is_a_warning(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(OrderOfASet, "__module__", "not_there")
        patch.setitem(sys.modules, "not_there", ModuleType("not_there"))
        patch.setattr(sys.modules["not_there"], "OrderOfASet", OrderOfASet, raising=False)
        with pytest.raises(UntriedError, match=r"made again there, ModuleNotFoundError: .*not_there"):
            in_processes(OrderOfASet(), [Job(probe=name_of)])


DATED = """
import datetime
import pydantic
from sftframe.testing.elsewhere import set_clock
known = datetime.date, datetime.datetime
set_clock(86_400.0)
from datetime import date as other_date, datetime as other_datetime
datetime.date, datetime.datetime = known  # pydantic compares with what it finds there
made = pydantic.create_model("Dated", at=(other_datetime, ...), day=(other_date, ...))
found = made.model_validate({"at": "2031-05-06T07:08:09", "day": "2032-01-02"})
print(found.at.year, found.day.year)
"""


def test_pydantic_knows_the_dates_of_other_processes():
    found = subprocess.run([sys.executable, "-c", DATED], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("2031 2032\n", 0), found.stderr
