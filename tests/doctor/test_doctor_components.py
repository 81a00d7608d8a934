"""Findings on plugins and judges."""

import threading

import pytest

from sftframe import Judge, JudgeError, PromptStyle, RunConfig, hookimpl, load_registry
from sftframe.doctor import PATIENCE_S, document, examine, is_usable
from sftframe.doctor.software import JudgeCheck, JudgeChecks, check_judges, check_plugins
from sftframe.registry import PluginInfo, Registry
from sftframe.registry.components import Plugin


class Alpaca(PromptStyle):
    name = "alpaca"
    summary = "another of this name"

    def segments(self, example):
        return ()


class Phi3(Alpaca):
    name = "phi3"


class Grumpy(Judge):
    name = "grumpy"
    summary = "never works"

    def check(self):
        raise JudgeError("no server: start it")

    def score(self, items):
        return iter(())


class Silent(Grumpy):
    name = "silent"
    answer = threading.Event()

    def check(self):
        self.answer.wait(30)


class Offers:
    def __init__(self, styles=(), judges=()):
        self._styles, self._judges = styles, judges

    @hookimpl
    def sftframe_prompt_styles(self):
        return self._styles

    @hookimpl
    def sftframe_judges(self):
        return self._judges


BROKEN = Plugin(
    PluginInfo(id="acme:style", distribution="acme", version="1.0", module="acme", status="broken", error="no torch")
)


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.delenv("SFTFRAME_DISABLE", raising=False)
    return load_registry()


def plugins(registry, config=None):
    return list(check_plugins(registry, config or RunConfig()))


def test_plugins_in_order_are_counted(installed):
    findings = plugins(installed)
    assert findings[-1].found.endswith("of them sftframe's own")
    assert {finding.status for finding in findings} == {"ok"}


def test_a_broken_plugin_is_noted_with_what_to_do():
    note = next(finding for finding in plugins(Registry([BROKEN])) if finding.status == "note")
    assert note.found == "acme:style 1.0 is broken: no torch"
    assert "SFTFRAME_DISABLE=acme:style" in note.advice


def test_a_plugin_that_is_slow_to_import_is_noted(installed):
    slow = PluginInfo(id="acme:slow", distribution="acme", version="1.0", module="acme", import_s=2.5)
    [note] = [finding for finding in plugins(Registry([Plugin(slow)])) if finding.status == "note"]
    assert note.found == "acme:slow 1.0 takes 2.5 s to import, and every command waits for it"
    assert "SFTFRAME_DISABLE=acme:slow" in note.advice


def test_a_component_that_the_run_needs_and_nobody_has_is_a_problem(installed):
    [problem] = [f for f in plugins(installed, RunConfig(prompt="alpcaa")) if f.status == "problem"]
    assert "no prompt style 'alpcaa'; did you mean 'alpaca'?" in problem.found
    assert "--prompt" in problem.advice


def test_a_conflict_is_a_problem_where_the_run_needs_the_name_and_a_note_elsewhere(installed):
    registry = installed.with_plugin(Offers(styles=[Alpaca, Phi3]), "twins")
    by_status = {finding.status: finding for finding in plugins(registry, RunConfig(prompt="phi3"))}
    assert by_status["problem"].found.startswith("2 plugins offer a prompt style 'phi3'")
    assert "--prompt sftframe:prompts:phi3 or --prompt twins:phi3" in by_status["problem"].advice
    assert by_status["note"].found.startswith("2 plugins offer a prompt style 'alpaca'")
    assert "--prompt twins:alpaca" in by_status["note"].advice


def test_a_default_is_sftframes_own_whoever_else_offers_its_name(installed):
    findings = plugins(installed.with_plugin(Offers(styles=[Alpaca]), "twins"))
    assert {finding.status for finding in findings} == {"ok", "note"}


def judges(registry, chosen, patience_s=5.0):
    checks = JudgeChecks(registry, {}).collect(patience_s)
    return {finding.found: finding for finding in check_judges(checks, chosen, patience_s)}


def test_a_judge_that_cannot_work_is_a_problem_only_where_it_is_chosen():
    registry = Registry().with_plugin(Offers(judges=[Grumpy]))
    for chosen, status in (("grumpy", "problem"), ("reference", "note")):
        finding = judges(registry, chosen)["grumpy cannot work now"]
        assert (finding.status, finding.advice) == (status, "no server: start it")


def test_a_judge_that_does_not_answer_holds_up_nothing():
    registry = Registry().with_plugin(Offers(judges=[Silent]))
    try:
        [finding] = judges(registry, "silent", patience_s=0.05).values()
    finally:
        Silent.answer.set()
    assert (finding.status, finding.found) == ("problem", "silent did not answer within 0.05 s")


def test_a_judge_that_can_work_is_told_with_its_identity():
    [finding] = check_judges([JudgeCheck("ollama", is_done=True, identity="ollama:llama3@sha256:12")], "reference", 1)
    assert (finding.status, finding.found) == ("ok", "ollama can work: ollama:llama3@sha256:12")


def test_a_bug_in_a_judge_is_a_finding_too():
    class Buggy(Grumpy):
        name = "buggy"

        def check(self):
            raise KeyError("host")

    finding = judges(Registry().with_plugin(Offers(judges=[Buggy])), "reference")["buggy cannot work now"]
    assert "judge 'buggy' of local failed in check: KeyError: 'host' (" in finding.advice


def test_a_whole_examination_tells_of_every_topic_and_counts_as_usable_without_problems(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    quiet = load_registry(disabled=["sftframe:judges"]).with_plugin(Offers(judges=[Reference]))
    findings = list(examine(RunConfig(), quiet))
    topics = {finding.topic for finding in findings}
    assert {"python", "packages", "devices", "cores", "memory", "disk", "cache", "plugins", "judges"} <= topics
    assert document(findings)["is_usable"] == is_usable(findings)
    assert PATIENCE_S < 5


class Reference(Grumpy):
    name = "reference"

    def check(self):
        return
