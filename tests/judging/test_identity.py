"""What a judge is called by default: verdicts are kept under it."""

from __future__ import annotations

from dataclasses import dataclass

from sftframe import Judge, option


@dataclass(frozen=True, kw_only=True)
class Options:
    model: str = option("small", "asked")


class Plain(Judge):
    name = "plain"
    summary = "for tests"
    Options = Options

    def score(self, items):
        return iter(())


def test_by_default_a_judge_is_called_by_its_name():
    assert Plain().identity == Plain(Options(model="small")).identity == "plain"


def test_an_option_that_is_set_makes_another_judge_of_it():
    large, huge = Plain(Options(model="large")).identity, Plain(Options(model="huge")).identity
    assert large != huge
    assert large == Plain(Options(model="large")).identity
    assert large.startswith("plain#")


def test_an_option_is_hashed_and_not_shown():
    assert "secret" not in Plain(Options(model="secret \ud800")).identity
