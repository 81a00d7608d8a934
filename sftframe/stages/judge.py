"""Judging: answered examples go to a judge, and every one of them comes back with a verdict.

Takes examples and responses, gives verdicts in the examples' order and their summary. Holds the judge to its
contract, so that no list is ever shifted by one and no failed item left out in silence. Knows the `Judge` interface
and the records; it does not know which judges there are, and writes nothing: each verdict is handed on as it comes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from statistics import fmean, stdev
from typing import get_args

from sftframe.errors import DataError, JudgeError, PluginError, SftframeError
from sftframe.interfaces import Judge
from sftframe.records import Example, JudgeItem, JudgeSummary, Response, Verdict, VerdictStatus

_GIVE_UP_AFTER = 10
"""Failures in a row after which a judge is taken to be gone; each may have cost minutes of timeouts."""


def make_items(examples: Iterable[Example], responses: Iterable[Response]) -> list[JudgeItem]:
    """What a judge gets to see, one item per example and in the examples' order.

    Responses are found by their index, never by their position; those of other examples are left aside.

    Raises:
        DataError: an example has no response, or more than one.
    """
    texts: dict[int, str] = {}
    for response in responses:
        if response.index in texts:
            raise DataError(f"example {response.index} has two responses, expected one: generate the responses again")
        texts[response.index] = response.text
    return [_item(example, texts) for example in examples]


def _item(example: Example, texts: Mapping[int, str]) -> JudgeItem:
    if example.index not in texts:
        raise DataError(f"example {example.index} has no response to judge: generate the missing responses first")
    return JudgeItem(
        index=example.index,
        instruction=example.instruction,
        input=example.input,
        reference=example.output,
        answer=texts[example.index],
    )


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
        known: verdicts of an earlier attempt on the same answers, by index; where one is `ok` and this very judge's
            (same identity), the judge is not asked again.
        on_verdict: called with each new verdict as soon as the judge gives it.
        max_failures: stop when more than this share (0-1) of all items has failed, the last ten of them in a row: the
            judge is gone. Single failures never stop the rest from being judged.

    Raises:
        JudgeError: too many items failed, or the judge cannot go on.
        PluginError: the judge broke its contract, or raised what is no `SftframeError`.
    """
    done = {index: verdict for index, verdict in known.items() if _is_settled(verdict, judge)}
    pending = [item for item in items if item.index not in done]
    new: list[Verdict] = []
    with closing(_asked(judge, pending)) as verdicts:  # closed at once when interrupted: nobody asks on
        for verdict in verdicts:
            new.append(verdict)
            on_verdict(verdict)
            if _has_gone(new):
                check_failures(new, max_failures, num_items=len(items))
    done.update((verdict.index, verdict) for verdict in new)
    return tuple(done[item.index] for item in items)


def summarise(verdicts: Sequence[Verdict], name: str) -> JudgeSummary:
    """Mean of the scored items with its 95 % interval: Student's t over the items, cut off at 0 and 100.

    The interval speaks of other questions of the same kind, not of other seeds of training nor of the judge's noise.
    It is None with fewer than two scores; equal scores have no spread, so that theirs is a single point.

    >>> scores = [0.0, 100.0, 100.0, 100.0]
    >>> verdicts = [Verdict(index=i, status="ok", score=score) for i, score in enumerate(scores)]
    >>> summary = summarise([*verdicts, Verdict(index=4, status="timeout", score=None)], "length")
    >>> summary.mean, summary.num_scored, summary.num_items
    (75.0, 4, 5)
    >>> tuple(map(float, summary.ci95))
    (0.0, 100.0)
    """
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    return JudgeSummary(
        name=name,
        mean=fmean(scores) if scores else None,
        ci95=_t_interval(scores) if len(scores) > 1 else None,
        num_scored=len(scores),
        num_items=len(verdicts),
    )


def failure_share(verdicts: Sequence[Verdict]) -> float:
    """Share of verdicts without a score, 0-1; 0 for none at all."""
    return sum(verdict.status != "ok" for verdict in verdicts) / max(len(verdicts), 1)


def check_failures(verdicts: Sequence[Verdict], max_failures: float, *, num_items: int | None = None) -> None:
    """See that a mean over these verdicts still says something.

    Args:
        max_failures: the share of failed items that is let pass, 0-1.
        num_items: what it is a share of, where not all verdicts are in yet.

    Raises:
        JudgeError: more have failed; says how many in which way, and why the first did.
    """
    failed = [verdict for verdict in verdicts if verdict.status != "ok"]
    total = len(verdicts) if num_items is None else num_items
    if len(failed) <= max_failures * total:
        return
    counts = Counter(verdict.status for verdict in failed)
    ways = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    judge = f"judge {failed[0].judge!r}" if failed[0].judge else "the judge"
    raise JudgeError(
        f"{judge} gave no score for {len(failed)} of {total} items ({ways}; the first is item {failed[0].index}: "
        f"{failed[0].reason or 'no reason given'}), and at most {max_failures:.0%} may fail: "
        "mend the cause and judge again; the scores so far are kept"
    )


def _has_gone(verdicts: Sequence[Verdict]) -> bool:
    last = verdicts[-_GIVE_UP_AFTER:]
    return len(last) == _GIVE_UP_AFTER and all(verdict.status != "ok" for verdict in last)


def _is_settled(verdict: Verdict, judge: Judge) -> bool:
    return verdict.status == "ok" and verdict.judge == judge.identity


def _asked(judge: Judge, items: Sequence[JudgeItem]) -> Generator[Verdict, None, None]:
    """The judge's verdicts on these items, each checked against the item that it must be for."""
    with closing(_guarded(judge, items)) as verdicts:
        for item in items:
            verdict = next(verdicts, None)
            if verdict is None:
                raise PluginError(f"judge {judge.name!r} gave no verdict on item {item.index}: expected one per item")
            _check_contract(judge, item, verdict)
            yield verdict if verdict.judge else replace(verdict, judge=judge.identity)
        if next(verdicts, None) is not None:
            raise PluginError(f"judge {judge.name!r} gave more than the {len(items)} verdicts that it was asked for")


def _guarded(judge: Judge, items: Sequence[JudgeItem]) -> Generator[Verdict, None, None]:
    """What the judge yields; the wall at which a plugin's exceptions become errors that name the plugin."""
    if not items:
        return
    try:
        yield from judge.score(items)
    except SftframeError:
        raise
    except Exception as error:
        raise PluginError(f"judge {judge.name!r} failed: {type(error).__name__}: {error}") from error


def _check_contract(judge: Judge, item: JudgeItem, verdict: object) -> None:
    broken = ""
    if not isinstance(verdict, Verdict):
        broken = f"{type(verdict).__name__} instead of a Verdict"
    elif verdict.index != item.index:
        broken = f"a verdict on item {verdict.index}: verdicts come in the order of the items"
    elif verdict.status not in get_args(VerdictStatus):
        broken = f"status {verdict.status!r}: expected one of {', '.join(get_args(VerdictStatus))}"
    elif verdict.status != "ok" and verdict.score is not None:
        broken = f"score {verdict.score!r} with status {verdict.status!r}: only 'ok' has a score"
    elif verdict.status == "ok" and not _is_score(verdict.score):
        broken = f"score {verdict.score!r}: expected a number from 0 to 100"
    if broken:
        raise PluginError(f"judge {judge.name!r} broke its contract on item {item.index}: it gave {broken}")


def _is_score(score: object) -> bool:
    return isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 100


def _t_interval(scores: Sequence[float]) -> tuple[float, float]:
    from scipy.special import stdtrit  # the quantile alone; scipy.stats takes a second to import

    half = float(stdtrit(len(scores) - 1, 0.975)) * stdev(scores) / math.sqrt(len(scores))
    mean = fmean(scores)
    return max(0.0, mean - half), min(100.0, mean + half)
