"""A judge at work: what is known is not asked again, what is new is kept, and an interrupt says what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sftframe import Judge, JudgeItem, Verdict
from sftframe.errors import Interrupted, JudgeError
from sftframe.judging import Judging, judge_items


def item(index: int, answer: str = "Paris.") -> JudgeItem:
    return JudgeItem(index=index, instruction=f"Question {index}?", input="", reference="Paris.", answer=answer)


def verdict(index: int, score: float, judge: str = "counting") -> Verdict:
    return Verdict(index=index, status="ok", score=score, judge=judge)


class Counting(Judge):
    """Scores the n-th question that it is ever asked with n."""

    name = "counting"
    summary = "for tests"

    def __init__(self, interrupted_at: int = 0) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.interrupted_at = interrupted_at

    def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        for one in items:
            self.asked.append(one.index)
            if len(self.asked) == self.interrupted_at:
                raise KeyboardInterrupt
            yield verdict(one.index, float(len(self.asked)), judge="I")


class Deterministic(Counting):
    is_deterministic = True


@pytest.fixture
def at_work(heard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Judging]:
    """`at_work(judge, version="1", use_cache=True)`: with a cache of the test's own."""
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path))

    def make(judge: Judge, *, version: str = "1", use_cache: bool = True) -> Judging:
        return Judging(judge, version=version, use_cache=use_cache, max_failures=0.05, observer=heard)

    return make


def test_what_comes_from_the_cache_is_handed_on_like_a_new_verdict(at_work: Callable[..., Judging]) -> None:
    at_work(Counting()).judge_answers([item(0), item(1)], stage="judge")
    judge, seen = Counting(), []
    judgement = at_work(judge).judge_answers([item(0), item(1), item(2)], stage="judge", on_verdict=seen.append)
    assert judge.asked == [2]
    assert seen == [verdict(0, 1.0), verdict(1, 2.0), verdict(2, 1.0)]
    assert [one.score for one in judgement.verdicts] == [1.0, 2.0, 1.0]


def test_a_verdict_on_record_is_not_looked_up_and_not_handed_on(at_work: Callable[..., Judging]) -> None:
    at_work(Counting()).judge_answers([item(0)], stage="judge")
    seen: list[Verdict] = []
    known = {0: verdict(0, 70.0)}
    judgement = at_work(Counting()).judge_answers([item(0)], stage="judge", known=known, on_verdict=seen.append)
    assert (judgement.verdicts, seen) == ((verdict(0, 70.0),), [])


def test_another_version_of_the_plugin_is_asked(at_work: Callable[..., Judging]) -> None:
    at_work(Counting()).judge_answers([item(0)], stage="judge")
    judge = Counting()
    at_work(judge, version="2").judge_answers([item(0)], stage="judge")
    assert judge.asked == [0]


def test_without_a_cache_every_item_is_asked_about_and_nothing_is_written(
    at_work: Callable[..., Judging], tmp_path: Path
) -> None:
    for _ in range(2):
        judge = Counting()
        at_work(judge, use_cache=False).judge_answers([item(0)], stage="judge")
        assert judge.asked == [0]
    assert list(tmp_path.iterdir()) == []


def test_every_repeat_is_asked_and_kept_apart(at_work: Callable[..., Judging]) -> None:
    judge = Counting()
    judgement = at_work(judge).judge_answers([item(0), item(1)], stage="judge", num_repeats=2)
    assert judge.asked == [0, 1, 0, 1]
    again = at_work(Counting()).judge_answers([item(0), item(1)], stage="judge", num_repeats=3)
    assert [[one.score for one in repeat] for repeat in again.repeats] == [[3.0, 4.0], [1.0, 2.0]]
    assert again.verdicts == judgement.verdicts


def test_a_deterministic_judge_is_asked_once_however_often_it_shall_repeat_itself(
    at_work: Callable[..., Judging],
) -> None:
    judge = Deterministic()
    judgement = at_work(judge).judge_answers([item(0), item(1)], stage="judge", num_repeats=5)
    assert judge.asked == [0, 1]
    assert judgement.noise is not None
    assert (judgement.noise.num_repeats, judgement.noise.item_sd, judgement.noise.mean_sd) == (5, 0.0, 0.0)


def test_a_repeat_that_failed_too_often_is_told(at_work: Callable[..., Judging]) -> None:
    class Tired(Counting):
        def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
            is_tired = bool(self.asked)
            self.asked += [one.index for one in items]
            for one in items:
                lost = Verdict(index=one.index, status="timeout", score=None, reason="tired")
                yield lost if is_tired else verdict(one.index, 50.0)

    judgement = at_work(Tired()).judge_answers([item(0)], stage="judge", num_repeats=2)
    assert judgement.summary.num_scored == 1
    with pytest.raises(JudgeError, match="1 of 1 items"):
        judgement.check(0.05)


def test_progress_counts_what_is_known_and_says_where_it_is_from(at_work: Callable[..., Judging], heard: Any) -> None:
    at_work(Counting()).judge_answers([item(0)], stage="first")
    at_work(Counting()).judge_answers([item(0), item(1)], stage="second")
    at_work(Counting()).judge_answers([item(0), item(1)], stage="third")
    assert heard.stages == ["first", "second"]
    assert heard.notes == [
        "second: 1 of 2 verdicts are in the cache (--no-cache asks the judge again)",
        "third: 2 of 2 verdicts are in the cache (--no-cache asks the judge again)",
    ]


@pytest.mark.parametrize(
    ("use_cache", "message"),
    [
        (True, "stopped; the verdicts so far are in the cache: the same command continues"),
        (False, "stopped; no verdict is kept: the same command starts again"),
    ],
)
def test_an_interrupt_says_what_is_kept(at_work: Callable[..., Judging], use_cache: bool, message: str) -> None:
    with pytest.raises(Interrupted) as caught:
        judge_items(at_work(Counting(interrupted_at=2), use_cache=use_cache), [item(0), item(1)])
    assert str(caught.value) == message
    judge = Counting()
    judge_items(at_work(judge, use_cache=use_cache), [item(0), item(1)])
    assert judge.asked == ([1] if use_cache else [0, 1])
