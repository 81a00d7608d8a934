"""Verdicts of a judge on answered examples: asked, checked against the contract, repeated and summarised."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any, Generic, TypeVar, get_args

from sftframe.confidence import effective_number, mean_interval, pooled_variance, units_of
from sftframe.errors import DataError, JudgeError, PluginError, SftframeError
from sftframe.plugins import Judge
from sftframe.records import (
    Example,
    JudgeItem,
    JudgePair,
    JudgeSummary,
    Preference,
    Response,
    Verdict,
    VerdictStatus,
    Winner,
)


def broken_verdict(item: JudgeItem, verdict: object) -> str:
    """What is wrong with a judge's verdict on this item; empty if nothing is."""
    if not isinstance(verdict, Verdict):
        return f"{type(verdict).__name__} instead of a Verdict"
    if problem := _broken_frame(item.index, verdict, "verdict"):
        return problem
    if verdict.status != "ok" and verdict.score is not None:
        return f"score {verdict.score!r} with status {verdict.status!r}: only 'ok' has a score"
    if verdict.status == "ok" and not is_score(verdict.score):
        return f"score {verdict.score!r}: expected a number from 0 to 100"
    return ""


def broken_preference(pair: JudgePair, preference: object) -> str:
    """What is wrong with a judge's preference on this pair; empty if nothing is."""
    if not isinstance(preference, Preference):
        return f"{type(preference).__name__} instead of a Preference"
    if problem := _broken_frame(pair.index, preference, "preference"):
        return problem
    if preference.status != "ok" and preference.winner is not None:
        return f"winner {preference.winner!r} with status {preference.status!r}: only 'ok' has a winner"
    if preference.status == "ok" and preference.winner not in get_args(Winner):
        return f"winner {preference.winner!r}: expected one of {', '.join(get_args(Winner))}"
    return ""


def is_score(score: object) -> bool:
    """Whether it is a number from 0 to 100; neither NaN nor a boolean is.

    >>> [is_score(value) for value in (0, 99.5, 100.1, float("nan"), True, "85", None)]
    [True, True, False, False, False, False, False]
    """
    return isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 100


def _broken_frame(index: int, word: Verdict | Preference, noun: str) -> str:
    if word.index != index:
        return f"a {noun} on item {word.index}: one {noun} per item is expected, in the order of the items"
    if word.status not in get_args(VerdictStatus):
        return f"status {word.status!r}: expected one of {', '.join(get_args(VerdictStatus))}"
    return ""


NOT_ASKED = "not asked: "
"""Beginning of the reason of an item that was not sent to the judge."""


def check_failures(verdicts: Sequence[Verdict | Preference], max_failures: float) -> None:
    """Check that enough verdicts have a score for a mean.

    Args:
        max_failures: the largest accepted share of failed items, 0-1.

    Raises:
        JudgeError: more have failed; the message has the number per status, and the first one's reason.
    """
    failed = [verdict for verdict in verdicts if verdict.status != "ok"]
    if len(failed) <= max_failures * len(verdicts):
        return
    ways = ", ".join(f"{count} {way}" for way, count in failure_counts(failed).items())
    judge = f"judge {failed[0].judge!r}" if failed[0].judge else "the judge"
    what = "preference" if isinstance(failed[0], Preference) else "score"
    raise JudgeError(
        f"{judge} gave no {what} for {len(failed)} of {len(verdicts)} items ({ways}; the first is item "
        f"{failed[0].index}: {failed[0].reason or 'no reason given'}), and at most {max_failures:.0%} may fail: "
        f"remove the cause and judge again; the {what}s so far are kept"
    )


def failure_counts(verdicts: Sequence[Verdict | Preference]) -> dict[str, int]:
    """Number of missing verdicts by status, the most frequent first.

    >>> lost = Verdict(index=3, status="timeout", score=None)
    >>> failure_counts([lost, Verdict(index=4, status="error", score=None, reason="not asked: it is gone"), lost])
    {'timeout': 2, 'not asked': 1}
    """
    failed = [verdict for verdict in verdicts if verdict.status != "ok"]
    ways = ("not asked" if verdict.reason.startswith(NOT_ASKED) else verdict.status for verdict in failed)
    return dict(Counter(ways).most_common())


def make_items(examples: Iterable[Example], responses: Iterable[Response]) -> list[JudgeItem]:
    """The items for a judge, one per example and in the examples' order.

    Responses are found by their index, never by their position; those of other examples are ignored.

    Raises:
        DataError: an example has no response, or more than one.
    """
    texts: dict[int, str] = {}
    for response in responses:
        if response.index in texts:
            raise DataError(f"example {response.index} has two responses, expected one: generate the responses again")
        texts[response.index] = response.text
    return [judge_item(example, _found(texts, example)) for example in examples]


def judge_item(example: Example, answer: str) -> JudgeItem:
    """One answered example as an item for a judge."""
    return JudgeItem(
        index=example.index,
        instruction=example.instruction,
        input=example.input,
        reference=example.output,
        answer=answer,
        references=example.references,
        system=example.system,
        turns=example.turns,
        speaker=example.speaker,
        tools=example.tools,
    )


def match_items(first: Iterable[JudgeItem], second: Iterable[JudgeItem]) -> list[tuple[JudgeItem, JudgeItem]]:
    """The items that both lists have, in the first one's order: same conversation and reference.

    An item that occurs several times is matched as often as it occurs in both lists, in order.

    >>> def asked(*words):
    ...     return [JudgeItem(index=i, instruction=w, input="", reference="", answer="") for i, w in enumerate(words)]
    >>> [(one.index, other.index) for one, other in match_items(asked("a", "b", "a"), asked("c", "a", "b"))]
    [(0, 1), (1, 2)]
    """
    waiting: defaultdict[tuple[Hashable, ...], deque[JudgeItem]] = defaultdict(deque)
    for item in second:
        waiting[_question(item)].append(item)
    return [(item, waiting[_question(item)].popleft()) for item in first if waiting[_question(item)]]


def _question(item: JudgeItem) -> tuple[Hashable, ...]:
    return item.system, item.tools, item.turns, item.speaker, item.instruction, item.input, item.reference


def _found(texts: Mapping[int, str], example: Example) -> str:
    if example.index not in texts:
        raise DataError(f"example {example.index} has no response to judge: generate the missing responses first")
    return texts[example.index]


_GIVE_UP_AFTER = 10
"""Failures in a row after which a judge counts as gone; each may have cost minutes of timeouts."""

Item = TypeVar("Item", JudgeItem, JudgePair)
Reply = TypeVar("Reply", Verdict, Preference)


def judge_responses(
    judge: Judge,
    items: Sequence[JudgeItem],
    *,
    known: Mapping[int, Verdict] = {},
    on_verdict: Callable[[Verdict], None],
    max_failures: float = 1.0,
) -> tuple[Verdict, ...]:
    """One verdict per item, in the items' order.

    Args:
        known: verdicts of an earlier attempt on the same answers, by index; if one is `ok` and from this judge (same
        identity), the judge is not asked again. on_verdict: called with each new verdict as soon as the judge gives it,
        in any order. max_failures: if more than this share (0-1) of all items has failed, the last ten of them in a
        row, the judge counts as gone: the other items get errors that say that the judge was not asked. Single failures
        never stop the other items.

    Raises:
        JudgeError: the judge says that it cannot go on.
        PluginError: the judge broke its contract, or raised another exception than `SftframeError`.
    """
    is_ordered = type(judge).score_as_ready is Judge.score_as_ready
    grading = _Question(judge, "verdict", judge.score_as_ready, is_ordered, broken_verdict, _missing_verdict)
    return _ask_all(grading, items, known, on_verdict, max_failures)


def judge_pairs(
    judge: Judge,
    pairs: Sequence[JudgePair],
    *,
    known: Mapping[int, Preference] = {},
    on_preference: Callable[[Preference], None],
    max_failures: float = 1.0,
) -> tuple[Preference, ...]:
    """One preference per pair, each pair in its given order; everything else as `judge_responses`."""
    is_ordered = type(judge).prefer_as_ready is Judge.prefer_as_ready
    comparing = _Question(
        judge, "preference", judge.prefer_as_ready, is_ordered, broken_preference, _missing_preference
    )
    return _ask_all(comparing, pairs, known, on_preference, max_failures)


@dataclass(frozen=True, slots=True)
class _Question(Generic[Item, Reply]):
    """The kind of question to a judge, and the checks of its replies."""

    judge: Judge
    noun: str
    ask: Callable[[Sequence[Item]], Iterable[Reply]]
    is_ordered: bool
    """Replies come in the order of the items."""
    broken: Callable[[Item, object], str]
    """What is wrong with a reply on an item."""
    missing: Callable[[int, str, str], Reply]
    """The reply for an item that was not asked about: its index, the reason and the judge."""


def _ask_all(
    question: _Question[Item, Reply],
    items: Sequence[Item],
    known: Mapping[int, Reply],
    on_word: Callable[[Reply], None],
    max_failures: float,
) -> tuple[Reply, ...]:
    judge = question.judge
    words = {index: word for index, word in known.items() if word.status == "ok" and word.judge == judge.identity}
    pending = [item for item in items if item.index not in words]
    new: list[Reply] = []
    with closing(_asked(question, pending)) as coming:  # closed at once when interrupted: no more questions
        for word in coming:
            new.append(word)
            on_word(word)
            if _has_gone(new, max_failures * len(items)):
                break
    words.update((word.index, word) for word in new)
    reason = f"{NOT_ASKED}the judge had failed {_GIVE_UP_AFTER} times in a row"
    return tuple(words.get(item.index) or question.missing(item.index, reason, judge.identity) for item in items)


def _has_gone(words: Sequence[Verdict] | Sequence[Preference], most: float) -> bool:
    last = words[-_GIVE_UP_AFTER:]
    if len(last) < _GIVE_UP_AFTER or any(word.status == "ok" for word in last):
        return False
    return sum(word.status != "ok" for word in words) > most


def _asked(question: _Question[Item, Reply], items: Sequence[Item]) -> Generator[Reply, None, None]:
    """The judge's replies on these items, each checked against its item."""
    judge, noun = question.judge, question.noun
    waiting = list(items)
    with closing(_guarded(question, items)) as words:
        while waiting:
            word = next(words, None)
            if word is None:
                raise PluginError(
                    f"judge {judge.name!r} gave no {noun} on item {waiting[0].index}: expected one per item"
                )
            item = waiting.pop(0 if question.is_ordered else _place(word, waiting))
            if problem := question.broken(item, word):
                raise PluginError(f"judge {judge.name!r} broke its contract on item {item.index}: it gave {problem}")
            # its identity replaces its name in the verdict: kept verdicts are found by it
            yield _in_short(word if word.judge == judge.identity else replace(word, judge=judge.identity))
        if next(words, None) is not None:
            raise PluginError(f"judge {judge.name!r} gave more than the {len(items)} {noun}s that it was asked for")


def _place(word: object, waiting: Sequence[JudgeItem | JudgePair]) -> int:
    """Position of a reply's item; the first one if it belongs to none, and the check then refuses it."""
    index = getattr(word, "index", None)
    return next((place for place, item in enumerate(waiting) if item.index == index), 0)


def _in_short(word: Reply) -> Reply:
    """The reply with its texts cut: a judge may pass on anything that a server sent."""
    reason, raw = _cut(word.reason, _MOST_REASON), _cut(word.raw, _MOST_RAW)
    return word if (reason, raw) == (word.reason, word.raw) else replace(word, reason=reason, raw=raw)


def _cut(text: str, most: int) -> str:
    return f"{text[: most - 1]}…" if isinstance(text, str) and len(text) > most else text


_MOST_REASON = 4_000
"""Characters: a reason is a sentence or two, and is shown with its item."""
_MOST_RAW = 100_000
"""Characters of the judge's own words."""


def _guarded(question: _Question[Any, Reply], items: Sequence[Any]) -> Generator[Reply, None, None]:
    """The judge's replies; a plugin's exceptions become errors that name the plugin."""
    if not items:
        return
    try:
        yield from question.ask(items)
    except SftframeError:
        raise
    except Exception as error:
        raise PluginError(f"judge {question.judge.name!r} failed: {type(error).__name__}: {error}") from error


def _missing_verdict(index: int, reason: str, judge: str) -> Verdict:
    return Verdict(index=index, status="error", score=None, reason=reason, judge=judge)


def _missing_preference(index: int, reason: str, judge: str) -> Preference:
    return Preference(index=index, status="error", winner=None, reason=reason, judge=judge)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeNoise:
    """How much repeated judgements of the same answers differ."""

    num_repeats: int
    """How often every answer was judged, the first time included."""
    num_items: int
    """Items that were scored every time; the figures below are over these."""
    item_sd: float | None
    """Standard deviation of one item's score over the repeats, as root mean square over the items."""
    mean_sd: float | None
    """Standard deviation of the mean score over the repeats."""
    means: tuple[float, ...]
    """The mean score of each repeat, 0-100; empty where no item was scored every time."""


def measure_noise(repeats: Sequence[Sequence[Verdict]]) -> JudgeNoise:
    """The spread over the repeats, each a list of verdicts on the same items in the same order.

    >>> def judged(*scores):
    ...     return [Verdict(index=i, status="ok", score=score) for i, score in enumerate(scores)]
    >>> noise = measure_noise([judged(60.0, 90.0), judged(64.0, 90.0)])
    >>> round(noise.item_sd, 6), round(noise.mean_sd, 6), noise.means
    (2.0, 1.414214, (75.0, 77.0))
    """
    by_item = [[verdict.score for verdict in verdicts] for verdicts in zip(*repeats, strict=True)]
    scored = [[score for score in scores if score is not None] for scores in by_item if None not in scores]
    means = tuple(fmean(scores) for scores in zip(*scored, strict=True))
    has_spread = len(repeats) > 1 and bool(scored)
    return JudgeNoise(
        num_repeats=len(repeats),
        num_items=len(scored),
        item_sd=math.sqrt(pooled_variance(scored)) if has_spread else None,
        mean_sd=stdev(means) if has_spread else None,
        means=means,
    )


def summarise(verdicts: Sequence[Verdict], name: str, groups: Mapping[int, str] | None = None) -> JudgeSummary:
    """Mean of the scored items with its 95 % interval: Student's t over the items, cut off at 0 and 100.

    The interval covers other questions of the same kind, not other training seeds or the judge's noise. It is None with
    fewer than two scores, or groups; for equal scores it is a single point.

    Args:
        groups: by item index its group; items of one group are one unit.

    >>> scores = [0.0, 100.0, 100.0, 100.0]
    >>> verdicts = [Verdict(index=i, status="ok", score=score) for i, score in enumerate(scores)]
    >>> summary = summarise([*verdicts, Verdict(index=4, status="timeout", score=None)], "length")
    >>> summary.mean, summary.num_scored, summary.num_items
    (75.0, 4, 5)
    >>> tuple(map(float, summary.ci95))
    (0.0, 100.0)
    """
    scored = [(verdict.index, verdict.score) for verdict in verdicts if verdict.score is not None]
    scores = [score for _, score in scored]
    units = units_of((index for index, _ in scored), groups)
    interval = mean_interval(scores, units)
    return JudgeSummary(
        name=name,
        mean=fmean(scores) if scores else None,
        ci95=(max(0.0, interval[0]), min(100.0, interval[1])) if interval else None,
        num_scored=len(scores),
        num_items=len(verdicts),
        num_groups=None if units is None else len(set(units)),
        effective_items=None if units is None else effective_number(scores, units),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDifference:
    """The difference of b's scores and a's, over the items that both have a score for."""

    mean_a: float | None
    """Mean score of a's answers on these items, 0-100."""
    mean_b: float | None
    mean_difference: float | None
    """Mean of b minus a; None where no item has both scores."""
    ci95: tuple[float, float] | None
    """Student's t over the paired differences, or their groups; None with fewer than two."""
    num_items: int
    """Items with both scores: the number of differences."""
    num_groups: int | None = None
    """Groups of these items; None = every item is a unit of its own."""
    effective_items: float | None = None
    """So many independent items would say as much about the difference; None without groups."""


def paired_difference(
    a: Sequence[Verdict], b: Sequence[Verdict], groups: Mapping[int, str] | None = None
) -> ScoreDifference:
    """The scores of two answers to the same questions, question by question; both lists in one order.

    Args:
        groups: by a's index the item's group; items of one group are one unit.
    """
    scored = [
        (one.index, one.score, other.score)
        for one, other in zip(a, b, strict=True)
        if one.score is not None and other.score is not None
    ]
    both = [(one, other) for _, one, other in scored]
    units = units_of((index for index, _, _ in scored), groups)
    differences = [other - one for one, other in both]
    return ScoreDifference(
        mean_a=fmean(one for one, _ in both) if both else None,
        mean_b=fmean(other for _, other in both) if both else None,
        mean_difference=fmean(differences) if both else None,
        ci95=mean_interval(differences, units),
        num_items=len(both),
        num_groups=None if units is None else len(set(units)),
        effective_items=None if units is None else effective_number(differences, units),
    )
