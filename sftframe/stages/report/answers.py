"""Every test item with its answers and verdicts before and after fine-tuning, as the report lists them.

Records are joined by example index. An item without an answer, or an answer without a verdict, stays in the list with a
note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sftframe.records import Example, Response, Verdict

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
class Answer:
    """One model's answer to one item, judged or not."""

    response: Response
    verdict: Verdict | None

    @property
    def score(self) -> float | None:
        """Points of 100; None if the judge gave none."""
        return self.verdict.score if self.verdict else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One test example with its answers before and after."""

    example: Example
    before: Answer | None
    after: Answer | None
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
) -> tuple[Item, ...]:
    """One item per example, in the examples' order."""
    old = _answers(before, verdicts_before)
    new = _answers(after, verdicts_after)
    return tuple(_item(example, old.get(example.index), new.get(example.index)) for example in examples)


def count_flags(items: Iterable[Item]) -> dict[str, int]:
    """How many items each filter keeps."""
    counts = Counter(flag for item in items for flag in item.flags)
    return {flag: counts[flag] for flag in FLAGS}


def count_failures(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Verdicts that are no score, by status, the most frequent first."""
    return dict(Counter(verdict.status for verdict in verdicts if verdict.status != "ok").most_common())


def _answers(responses: Sequence[Response], verdicts: Sequence[Verdict]) -> dict[int, Answer]:
    by_index = {verdict.index: verdict for verdict in verdicts}
    return {response.index: Answer(response=response, verdict=by_index.get(response.index)) for response in responses}


def _item(example: Example, before: Answer | None, after: Answer | None) -> Item:
    return Item(example=example, before=before, after=after, flags=tuple(_flags(example, before, after)))


def _flags(example: Example, before: Answer | None, after: Answer | None) -> Iterable[str]:
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


def _score(answer: Answer | None) -> float | None:
    return answer.score if answer else None
