"""A run from elsewhere does not choose whom its judge talks to; what the user has set before is not asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sftframe import Judge, JudgeItem, Verdict, option
from sftframe.errors import ConfigError
from sftframe.pipeline import consent


@dataclass(frozen=True, kw_only=True)
class Options:
    host: str = option("http://localhost", "where it is asked")
    key_variable: str = option("KEY", "where its key is")
    retries: int = option(2, "how often it is asked again")


class Remote(Judge):
    name = "remote"
    summary = "somewhere else"
    Options = Options

    def score(self, items: Sequence[JudgeItem]) -> list[Verdict]:
        return []


RUN = Path("runs/theirs")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered yet."""
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "cache"))


def test_defaults_and_numbers_are_nobodys_business() -> None:
    consent.require(Remote(Options(retries=9)), (), RUN)


def test_another_server_or_key_is_asked_about() -> None:
    with pytest.raises(ConfigError) as caught:
        consent.require(Remote(Options(host="http://evil", key_variable="AWS_SECRET")), (), RUN)
    assert str(caught.value) == (
        "runs/theirs comes with a judge 'remote' that was never set up so on this machine (host = 'http://evil', "
        "key_variable = 'AWS_SECRET') and would be sent the run's data: accept it with sftframe judge runs/theirs "
        "--set judge.host=… --set judge.key_variable=…, or name another with --judge"
    )


def test_what_is_set_by_hand_is_accepted_and_remembered() -> None:
    judge = Remote(Options(host="http://mine"))
    consent.require(judge, ("host",), RUN)
    consent.require(judge, (), RUN)


def test_one_option_by_hand_does_not_accept_the_others() -> None:
    judge = Remote(Options(host="http://evil", key_variable="AWS_SECRET"))
    with pytest.raises(ConfigError, match=r"\(key_variable = 'AWS_SECRET'\)"):
        consent.require(judge, ("host", "retries"), RUN)


def test_a_judge_that_a_run_was_started_with_here_is_known() -> None:
    consent.remember(Remote(Options(host="http://mine")))
    consent.require(Remote(Options(host="http://mine", retries=5)), (), RUN)
    with pytest.raises(ConfigError, match="http://other"):
        consent.require(Remote(Options(host="http://other")), (), RUN)


def test_where_nothing_can_be_remembered_one_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    judge = Remote(Options(host="http://mine"))
    consent.remember(judge)
    with pytest.raises(ConfigError, match="never set up so on this machine"):
        consent.require(judge, (), RUN)
