"""Compares two sets of answers to the same questions: by a judge of pairs, or by the scores of single answers.

`sftframe.comparison` compares runs, with yardsticks, seeds and significance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sftframe.config import RunConfig
from sftframe.errors import ConfigError, DataError
from sftframe.judging.answered import AnsweredItems, is_answer_file, read_answered_file, read_answered_run
from sftframe.judging.asking import Judging
from sftframe.judging.files import choose_judge, explained_interrupt
from sftframe.progress import Observer
from sftframe.records import JudgeItem, Preference, Verdict
from sftframe.registry import Registry, load_registry
from sftframe.stages.judge import (
    PairOutcome,
    PairSummary,
    ScoreDifference,
    check_failures,
    combine,
    make_pairs,
    match_items,
    paired_difference,
    summarise_pairs,
)

By = Literal["pairs", "scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadToHead:
    """What a judge says about b's answers against a's, on the questions that both answered."""

    judge: str
    """`Judge.identity`."""
    a: AnsweredItems
    b: AnsweredItems
    matches: tuple[tuple[JudgeItem, JudgeItem], ...]
    """a's and b's item of every common question, in a's order."""
    scores: ScoreDifference | None = None
    """Present if single answers were scored."""
    verdicts: tuple[tuple[Verdict, Verdict], ...] = ()
    """On a's and b's answer, one pair per match, if single answers were scored."""
    pairs: PairSummary | None = None
    """Present if pairs were compared."""
    outcomes: tuple[PairOutcome, ...] = ()
    """One per match, if pairs were compared."""
    preferences: tuple[Preference, ...] = ()
    """All that the judge of pairs said, in the order of the questions to it."""

    def check(self, max_failures: float) -> None:
        """Check that the judge answered enough questions.

        Raises:
            JudgeError: a share of more than `max_failures` (0-1) has no answer.
        """
        for side in zip(*self.verdicts, strict=True):
            check_failures(side, max_failures)
        check_failures(self.preferences, max_failures)


def compare_answers(
    a: Path | str,
    b: Path | str,
    config: RunConfig | None = None,
    *,
    by: By | None = None,
    registry: Registry | None = None,
    observer: Observer | None = None,
) -> HeadToHead:
    """Compare the answers in two run folders or files, as `sftframe compare` does.

    Args:
        config: its `judge`, `max_failures` and `data.fields` count.
        by: ask for the better of two answers, or score each one; by default pairs, if the judge can compare them.

    Returns:
        What the judge said about every common question. `HeadToHead.check` says whether enough was answered.

    Raises:
        SftframeError: a side or the judge cannot be used, or the sides have nothing in common.
    """
    config, observer = config or RunConfig(), observer or Observer()
    sides = read_side(Path(a), config), read_side(Path(b), config)
    matched = matches(*sides)
    judging = choose_judge(config, registry or load_registry(), observer)
    return compare_items(judging, *sides, matched, by=by)


def read_side(path: Path, config: RunConfig) -> AnsweredItems:
    """The answers of a run's folder, or of a file.

    Raises:
        SftframeError: there are none, or they cannot be read.
    """
    return read_answered_file(path, config) if is_answer_file(path) else read_answered_run(path)


def matches(a: AnsweredItems, b: AnsweredItems) -> tuple[tuple[JudgeItem, JudgeItem], ...]:
    """The items that both sides have.

    Raises:
        ConfigError: two runs of different data.
        DataError: no item is on both sides.
    """
    if None not in (a.data_sha256, b.data_sha256) and a.data_sha256 != b.data_sha256:
        raise ConfigError(
            f"{a.label} and {b.label} were made with different data (SHA-256 {a.data_sha256 or '':.12}… and "
            f"{b.data_sha256 or '':.12}…): compare runs of the same data; if the questions are meant to be the same, "
            f"compare the files {a.label}/responses.json and {b.label}/responses.json"
        )
    found = tuple(match_items(a.items, b.items))
    if found:
        return found
    questions = {(item.instruction, item.input) for item in a.items}
    same = sum((item.instruction, item.input) in questions for item in b.items)
    hint = f"; {same} questions of {b.label} are in {a.label} with another reference" if same else ""
    raise DataError(
        f"{a.label} and {b.label} have no item in common ({len(a.items)} and {len(b.items)} items){hint}: "
        "expected answers to the same questions, with the same instruction, input and output"
    )


def compare_items(
    judging: Judging,
    a: AnsweredItems,
    b: AnsweredItems,
    matched: Sequence[tuple[JudgeItem, JudgeItem]],
    *,
    by: By | None = None,
) -> HeadToHead:
    """What a judge says of matched items.

    Raises:
        JudgeError: the judge cannot continue, or pairs were asked for and it grades single answers only.
        Interrupted: the user or the system stopped it.
    """
    by_pairs = judging.judge.can_prefer if by is None else by == "pairs"
    with explained_interrupt(judging):
        return (_by_pairs if by_pairs else _by_scores)(judging, a, b, tuple(matched))


def _by_scores(
    judging: Judging, a: AnsweredItems, b: AnsweredItems, matched: tuple[tuple[JudgeItem, JudgeItem], ...]
) -> HeadToHead:
    sides = []
    for name, side, items in (("a", a, [one for one, _ in matched]), ("b", b, [other for _, other in matched])):
        known = side.verdicts.get(judging.judge.identity, {})
        sides.append(judging.judge_answers(items, stage=f"judge {name}", known=known).verdicts)
    return HeadToHead(
        judge=judging.judge.identity,
        a=a,
        b=b,
        matches=matched,
        scores=paired_difference(*sides),
        verdicts=tuple(zip(*sides, strict=True)),
    )


def _by_pairs(
    judging: Judging, a: AnsweredItems, b: AnsweredItems, matched: tuple[tuple[JudgeItem, JudgeItem], ...]
) -> HeadToHead:
    pairs = make_pairs(matched)
    forward, backward = judging.prefer_both_ways(pairs)
    outcomes = combine(pairs, forward, backward)
    return HeadToHead(
        judge=judging.judge.identity,
        a=a,
        b=b,
        matches=matched,
        pairs=summarise_pairs(outcomes, forward, backward),
        outcomes=tuple(outcomes),
        preferences=(*forward, *backward),
    )
