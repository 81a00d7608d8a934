"""Asks a judge for scores or for preferences.

Verdicts are passed on as they arrive, which may be in another order. Each one is checked against its item. A plugin's
exception becomes an error that names the plugin. After many failures in a row the judge is not called again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sftframe.errors import PluginError, SftframeError
from sftframe.interfaces import Judge
from sftframe.records import JudgeItem, JudgePair, Preference, Verdict
from sftframe.stages.judge.contract import broken_preference, broken_verdict
from sftframe.stages.judge.failures import NOT_ASKED

_GIVE_UP_AFTER = 10
"""Failures in a row after which a judge counts as gone; each may have cost minutes of timeouts."""

Item = TypeVar("Item", JudgeItem, JudgePair)
Word = TypeVar("Word", Verdict, Preference)


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
class _Question(Generic[Item, Word]):
    """The kind of question to a judge, and the checks of its replies."""

    judge: Judge
    noun: str
    ask: Callable[[Sequence[Item]], Iterable[Word]]
    is_ordered: bool
    """Replies come in the order of the items."""
    broken: Callable[[Item, object], str]
    """What is wrong with a reply on an item."""
    missing: Callable[[int, str, str], Word]
    """The reply for an item that was not asked about: its index, the reason and the judge."""


def _ask_all(
    question: _Question[Item, Word],
    items: Sequence[Item],
    known: Mapping[int, Word],
    on_word: Callable[[Word], None],
    max_failures: float,
) -> tuple[Word, ...]:
    judge = question.judge
    words = {index: word for index, word in known.items() if word.status == "ok" and word.judge == judge.identity}
    pending = [item for item in items if item.index not in words]
    new: list[Word] = []
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


def _asked(question: _Question[Item, Word], items: Sequence[Item]) -> Generator[Word, None, None]:
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


def _in_short(word: Word) -> Word:
    """The reply with its texts cut: a judge may pass on anything that a server sent."""
    reason, raw = _cut(word.reason, _MOST_REASON), _cut(word.raw, _MOST_RAW)
    return word if (reason, raw) == (word.reason, word.raw) else replace(word, reason=reason, raw=raw)


def _cut(text: str, most: int) -> str:
    return f"{text[: most - 1]}…" if isinstance(text, str) and len(text) > most else text


_MOST_REASON = 4_000
"""Characters: a reason is a sentence or two, and is shown with its item."""
_MOST_RAW = 100_000
"""Characters of the judge's own words."""


def _guarded(question: _Question[Any, Word], items: Sequence[Any]) -> Generator[Word, None, None]:
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
