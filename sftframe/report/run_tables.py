"""The tables of a run's page: yardsticks, answers before and after, one example token by token."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, NamedTuple

from sftframe.analysis import YARDSTICKS, Yardstick, sign_flip_p
from sftframe.confidence import independent_number, mean_interval, share_interval, units_of
from sftframe.formatting import fixed, groups_text, percent, signed
from sftframe.records import AnsweredItem, Example, JudgeSummary, Response, Verdict, Yardsticks

Movement = Literal["better", "worse", "no change", "could be chance", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCell:
    """One measured value."""

    value: float | None
    text: str
    details: tuple[str, ...] = ()
    """Denominator, interval and judge, if there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YardstickRow:
    """One line of the table."""

    key: str
    """The field's name in `summary.json`."""
    label: str
    unit: str
    meaning: str
    before: MeasuredCell
    after: MeasuredCell
    change: str
    """Signed, in the unit shown: percentage points for shares; empty if there is none."""
    is_points: bool
    movement: Movement
    """Empty if no direction is better, or one side was not measured."""


def yardstick_rows(
    before: Yardsticks | None,
    after: Yardsticks | None,
    *,
    num_before: int,
    num_after: int,
    chance_keys: Collection[str] = (),
    units: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[YardstickRow, ...]:
    """The table's rows, always all seven.

    Args:
        num_before: answers of the untuned model, the denominator of its shares; 0 = not known.
        num_after: the same after fine-tuning.
        chance_keys: rows with a change that must not be called better or worse.
        units: `before` and `after`: by yardstick the number of independent answers that say as much as the answers do,
            if these are in groups (see `independent_answers`).
    """
    old, new = before.judge if before else None, after.judge if after else None
    has_one_judge = old is not None and new is not None and old.name == new.name
    rows = [
        _row(
            yardstick,
            _cell(yardstick, before, num_before, (units or {}).get("before", {})),
            _cell(yardstick, after, num_after, (units or {}).get("after", {})),
            is_comparable=yardstick.key != "judge" or has_one_judge,
        )
        for yardstick in YARDSTICKS
    ]
    return tuple(_hedged(row) if row.key in chance_keys else row for row in rows)


def independent_answers(answers: Sequence[AnsweredItem]) -> dict[str, float]:
    """By yardstick that is a share: how many independent answers say as much as these; empty without groups."""
    units = units_of((item.index for item in answers), {item.index: item.group for item in answers})
    if units is None:
        return {}
    scores = {
        yardstick.key: [yardstick.score(item) or 0.0 for item in answers]
        for yardstick in YARDSTICKS
        if yardstick.is_share and yardstick.score is not None
    }
    return {key: independent_number(values, units) for key, values in scores.items()}


def _cell(
    yardstick: Yardstick, yardsticks: Yardsticks | None, num_items: int, units: Mapping[str, float]
) -> MeasuredCell:
    if yardstick.key == "judge":
        return _judge_cell(yardsticks.judge if yardsticks else None)
    value = yardsticks.figure(yardstick.key) if yardsticks else None
    if not yardstick.is_share:
        return MeasuredCell(value=value, text=fixed(value, 3))
    if value is None or not math.isfinite(value) or not num_items:
        return MeasuredCell(value=value, text=percent(value))
    low, high = share_interval(value, units.get(yardstick.key, num_items))
    details = (f"{round(value * num_items)} of {num_items}", f"95 % interval {fixed(100 * low)}–{percent(high)}")
    return MeasuredCell(value=value, text=percent(value), details=details)


def _judge_cell(judge: JudgeSummary | None) -> MeasuredCell:
    if judge is None:
        return MeasuredCell(value=None, text=fixed(None), details=("not judged",))
    interval = (f"95 % interval {fixed(judge.ci95[0])}–{fixed(judge.ci95[1])}",) if judge.ci95 else ()
    groups = () if judge.num_groups is None else (f"in {groups_text(judge.num_groups, judge.effective_items)}",)
    details = (f"{judge.num_scored} of {judge.num_items} scored", *interval, *groups, f"judge: {judge.name}")
    return MeasuredCell(value=judge.mean, text=fixed(judge.mean), details=details)


def _row(yardstick: Yardstick, before: MeasuredCell, after: MeasuredCell, *, is_comparable: bool) -> YardstickRow:
    is_points = yardstick.is_share or yardstick.key == "judge"
    change, movement = _change(yardstick, before.value, after.value, is_points) if is_comparable else ("", "")
    return YardstickRow(
        key=yardstick.key,
        label=yardstick.label,
        unit="share of all answers" if yardstick.is_share else yardstick.unit,
        meaning=yardstick.meaning,
        before=before,
        after=after,
        change=change,
        is_points=is_points,
        movement=movement,
    )


def _change(yardstick: Yardstick, before: float | None, after: float | None, is_points: bool) -> tuple[str, Movement]:
    if before is None or after is None or not math.isfinite(before + after):
        return "", ""
    scale, digits = (100 if yardstick.is_share else 1), (1 if is_points else 3)
    change = signed(scale * (after - before), digits)
    old, new = yardstick.cost(before), yardstick.cost(after)
    if old is None or new is None:
        return change, ""
    if fixed(scale * before, digits) == fixed(scale * after, digits):
        return change, "no change"
    return change, "better" if new < old else "worse"


def _hedged(row: YardstickRow) -> YardstickRow:
    return replace(row, movement="could be chance") if row.movement in ("better", "worse") else row


FLAGS: Mapping[str, str] = {
    "exact": "Exact",
    "inexact": "Not exact",
    "changed": "Changed",
    "worse": "Lower score than before",
    "cut": "Cut off at the length limit",
    "failed": "Judge failed",
}
"""Filters of items: key and label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """One model's answer to one item, judged or not."""

    response: Response
    verdict: Verdict | None

    @property
    def score(self) -> float | None:
        """Points of 100; None if the judge gave none."""
        return self.verdict.score if self.verdict else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedItem:
    """One test example with its answers before and after."""

    example: Example
    before: JudgedAnswer | None
    after: JudgedAnswer | None
    flags: tuple[str, ...]
    """Keys of `FLAGS`."""

    @property
    def change(self) -> float | None:
        """Points gained by fine-tuning; None unless both answers were scored."""
        old, new = _score(self.before), _score(self.after)
        return None if old is None or new is None else new - old


def join_items(
    examples: Iterable[Example],
    *,
    before: Sequence[Response],
    after: Sequence[Response],
    verdicts_before: Sequence[Verdict],
    verdicts_after: Sequence[Verdict],
) -> tuple[ReportedItem, ...]:
    """One item per example, in the examples' order."""
    old = _answers(before, verdicts_before)
    new = _answers(after, verdicts_after)
    return tuple(_item(example, old.get(example.index), new.get(example.index)) for example in examples)


def count_flags(items: Iterable[ReportedItem]) -> dict[str, int]:
    """How many items each filter keeps."""
    counts = Counter(flag for item in items for flag in item.flags)
    return {flag: counts[flag] for flag in FLAGS}


def count_failures(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Verdicts that are no score, by status, the most frequent first."""
    return dict(Counter(verdict.status for verdict in verdicts if verdict.status != "ok").most_common())


def _answers(responses: Sequence[Response], verdicts: Sequence[Verdict]) -> dict[int, JudgedAnswer]:
    by_index = {verdict.index: verdict for verdict in verdicts}
    return {
        response.index: JudgedAnswer(response=response, verdict=by_index.get(response.index)) for response in responses
    }


def _item(example: Example, before: JudgedAnswer | None, after: JudgedAnswer | None) -> ReportedItem:
    return ReportedItem(example=example, before=before, after=after, flags=tuple(_flags(example, before, after)))


def _flags(example: Example, before: JudgedAnswer | None, after: JudgedAnswer | None) -> Iterable[str]:
    if after is None:
        return
    text = after.response.text.strip()
    yield "exact" if text == example.output.strip() else "inexact"
    if before is not None and text != before.response.text.strip():
        yield "changed"
    old, new = _score(before), _score(after)
    if old is not None and new is not None and new < old:
        yield "worse"
    if after.response.stop_reason == "length":
        yield "cut"
    if after.verdict is not None and after.verdict.status != "ok":
        yield "failed"


def _score(answer: JudgedAnswer | None) -> float | None:
    return answer.score if answer else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How scores changed, item by item, on the items that were scored both times."""

    mean: float
    """Points of 100."""
    ci95: tuple[float, float] | None
    """None for fewer than two items."""
    num_items: int
    num_better: int
    num_worse: int

    @property
    def could_be_chance(self) -> bool:
        """Whether the interval contains zero; True for a single item."""
        return self.ci95 is None or self.ci95[0] <= 0 <= self.ci95[1]


def paired_change(
    before: Sequence[Verdict], after: Sequence[Verdict], groups: Mapping[int, str] | None = None
) -> Change | None:
    """The change of the scores; None if no item was scored both times.

    Args:
        groups: by item index its group; items of one group are one unit.
    """
    old = {verdict.index: verdict.score for verdict in before if verdict.score is not None}
    both = [(v.index, v.score - old[v.index]) for v in after if v.score is not None and v.index in old]
    gaps = [gap for _, gap in both]
    if not gaps:
        return None
    return Change(
        mean=statistics.fmean(gaps),
        ci95=mean_interval(gaps, units_of((index for index, _ in both), groups)),
        num_items=len(gaps),
        num_better=sum(gap > 0 for gap in gaps),
        num_worse=sum(gap < 0 for gap in gaps),
    )


def chance_keys(items: Sequence[ReportedItem], change: Change | None) -> frozenset[str]:
    """The yardsticks whose change could be chance: of those that are shares of answers, and of the judge."""
    pairs = [
        (_answered(item, item.before), _answered(item, item.after)) for item in items if item.before and item.after
    ]
    found = {"judge"} if change and change.could_be_chance else set()
    for yardstick in YARDSTICKS:
        if yardstick.is_share and yardstick.score is not None:
            both = [(bool(yardstick.score(old)), bool(yardstick.score(new))) for old, new in pairs]
            units = units_of((old.index for old, _ in pairs), {old.index: old.group for old, _ in pairs})
            found |= {yardstick.key} if both and sign_test(both, units) >= 0.05 else set()
    return frozenset(found)


def answers_of(items: Sequence[ReportedItem], label: Literal["before", "after"]) -> list[AnsweredItem]:
    """The answers of one of the two models, for yardsticks."""
    both = [(item, item.before if label == "before" else item.after) for item in items]
    return [_answered(item, answer) for item, answer in both if answer is not None]


def _answered(item: ReportedItem, answer: JudgedAnswer) -> AnsweredItem:
    return AnsweredItem(
        index=item.example.index,
        instruction=item.example.instruction,
        input=item.example.input,
        reference=item.example.output,
        answer=answer.response.text,
        references=item.example.references,
        system=item.example.system,
        turns=item.example.turns,
        speaker=item.example.speaker,
        tools=item.example.tools,
        stop_reason=answer.response.stop_reason,
        response_nll=None,
        num_response_bytes=len(item.example.output.encode(errors="surrogatepass")),
        score=answer.verdict.score if answer.verdict else None,
        verdict=answer.verdict.status if answer.verdict else None,
        reason=answer.verdict.reason if answer.verdict else "",
        group=item.example.group,
    )


def sign_test(pairs: Sequence[tuple[bool, bool]], units: Sequence[str | int] | None = None) -> float:
    """Probability that chance alone gives a change between before and after at least as one-sided as this.

    McNemar's exact test, two-sided: among the pairs that changed, both directions are equally likely.

    Args:
        units: the group of each pair. The changes of a group are added and have one sign together.

    >>> sign_test([(False, True)] * 5), sign_test([(False, True), (True, False)])
    (0.0625, 1.0)
    """
    if units is not None:
        sums: dict[str | int, float] = {}
        for (old, new), unit in zip(pairs, units, strict=True):
            sums[unit] = sums.get(unit, 0.0) + new - old
        return sign_flip_p(list(sums.values()))
    num_gained = sum(new and not old for old, new in pairs)
    num_lost = sum(old and not new for old, new in pairs)
    num_changed = num_gained + num_lost
    tail = sum(math.comb(num_changed, i) for i in range(min(num_gained, num_lost) + 1))
    return float(min(1.0, 2 * tail / 2**num_changed))


PADDING = "padding"
"""The role of positions after a row's end."""


class ShownToken(NamedTuple):
    """One token as the report shows it; a plain tuple of the four values is accepted too."""

    text: str
    role: str
    """`Role.label`, or `padding`."""
    is_counted: bool
    """Whether it counts as a target in the loss; a row's first token never counts."""
    weight: float
    """Its weight in the loss; 0 if it does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Neighbouring tokens of the same role."""

    role: str
    tokens: tuple[ShownToken, ...]

    @property
    def num_counted(self) -> int:
        """Tokens that count as targets."""
        return sum(token.is_counted for token in self.tokens)

    @property
    def weights(self) -> str:
        """The different weights of the counted targets, the smallest first; empty if none counts."""
        return ", ".join(f"{weight:g}" for weight in sorted({t.weight for t in self.tokens if t.is_counted}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownExample:
    """One row of a batch."""

    stretches: tuple[Stretch, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens of the example, without padding."""
        return sum(len(stretch.tokens) for stretch in self.stretches if stretch.role != PADDING)

    @property
    def num_padding(self) -> int:
        """Positions after the row's end."""
        return sum(len(stretch.tokens) for stretch in self.stretches if stretch.role == PADDING)

    @property
    def num_counted(self) -> int:
        """Targets that count, with those in the padding if a strategy counts them."""
        return sum(stretch.num_counted for stretch in self.stretches)


def show_example(tokens: Iterable[tuple[str, str, bool, float]]) -> ShownExample:
    """The tokens of one example, cut where the role changes.

    >>> example = show_example([
    ...     ("Say", "instruction", False, 0.0), (" hi", "instruction", True, 0.1), ("hi", "response", True, 1.0)])
    >>> [(s.role, len(s.tokens), s.num_counted, s.weights) for s in example.stretches]
    [('instruction', 2, 1, '0.1'), ('response', 1, 1, '1')]
    """
    neighbours = groupby((ShownToken(*token) for token in tokens), lambda token: token.role)
    return ShownExample(stretches=tuple(Stretch(role=role, tokens=tuple(group)) for role, group in neighbours))
