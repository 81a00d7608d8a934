"""Prints judgements and comparisons of two sets of answers in a few lines.

Every mean is printed with its number of items and with what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from sftframe.analysis import CorrectedMean
from sftframe.cli.console import one_line, out, prose, untitled_columns
from sftframe.cli.labels_render import show_corrected_mean
from sftframe.cli.streams import write_json
from sftframe.files import plain
from sftframe.formatting import groups_text
from sftframe.judging import (
    HeadToHead,
    Judgement,
    PairSummary,
    ScoreDifference,
    failure_counts,
    families_note,
    judgement_document,
)
from sftframe.records import JudgeItem, JudgeSummary, Preference, Verdict

NUM_LOWEST = 3
"""Number of answers that are shown."""


def show_judgement_document(judgement: Judgement, corrected: CorrectedMean | None = None) -> None:
    """The judgement as JSON, with what people's labels say of it."""
    found = judgement_document(judgement)
    write_json(found if corrected is None else {**found, "labels": plain(corrected)})


def show_judgement(
    judgement: Judgement,
    items: Sequence[JudgeItem],
    path: Path,
    written: Path | None,
    corrected: CorrectedMean | None = None,
    *,
    looks_for_families: bool = True,
) -> None:
    """Print the mean over a file's answers, the lowest scores, what people's labels say, and where the verdicts are.

    Args:
        looks_for_families: say where questions look like families and no group is named.
    """
    table = untitled_columns(f"{path} · judge {judgement.judge}")
    for label, text in _summary_rows(judgement.summary, judgement.verdicts):
        table.add_row(label, Text(text))
    out().print(table)
    show_noise(judgement)
    note = families_note(judgement, items) if looks_for_families else ""
    if note:
        prose(out(), Text(f"{note[:1].upper()}{note[1:]}."))
    _show_lowest(judgement.verdicts, items)
    if corrected is not None:
        show_corrected_mean(corrected)
    if written is None:
        out().print(Text(f"Next      sftframe judge {path} --out FILE writes all verdicts"), soft_wrap=True)
    else:
        out().print(Text(f"Verdicts  {written}"), soft_wrap=True)


def show_noise(judgement: Judgement) -> None:
    """Print the judge's noise; nothing if it judged only once."""
    noise = judgement.noise
    if noise is None:
        return
    if noise.item_sd is None or noise.mean_sd is None:
        text = "not known, since no item was scored every time"
    else:
        text = (
            f"standard deviation {noise.item_sd:.2f} of one score, {noise.mean_sd:.2f} of the mean "
            f"({noise.num_repeats} times on {noise.num_items} items)"
        )
    prose(out(), Text(f"Judge's own noise: {text}"))


def show_comparison(comparison: HeadToHead, *, looks_for_families: bool = True) -> None:
    """Print both sides, the judge's verdicts on them, and the conclusion.

    Args:
        looks_for_families: say where questions look like families and no group is named.
    """
    table = untitled_columns(f"judge {comparison.judge}")
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        table.add_row(name, Text(f"{side.label} ({len(side.items)} items)"))
    table.add_row("in common", Text(f"{len(comparison.matches)} items"))
    rows = _difference_rows(comparison) if comparison.scores else _pair_rows(comparison)
    for label, text in rows:
        table.add_row(label, Text(text))
    out().print(table)
    sentence = _scores_say(comparison.scores) if comparison.scores else _pairs_say(comparison.pairs)
    prose(out(), Text(sentence, style="bold"))
    for note in (comparison.note, comparison.families_note() if looks_for_families else ""):
        if note:
            prose(out(), Text(f"{note[:1].upper()}{note[1:]}."))
    prose(out(), "The interval is over items only: another training seed may give another result.")


def _summary_rows(summary: JudgeSummary, verdicts: Sequence[Verdict]) -> list[tuple[str, str]]:
    mean = "–" if summary.mean is None else f"{summary.mean:.1f} of 100"
    if summary.ci95:
        mean += f", 95 % interval {summary.ci95[0]:.1f} to {summary.ci95[1]:.1f}"
    scored = f"{summary.num_scored} of {summary.num_items}{_in_groups(summary)}{_lost(verdicts)}"
    return [("mean", mean), ("scored", scored)]


def _in_groups(summary: JudgeSummary | ScoreDifference | PairSummary) -> str:
    if summary.num_groups is None:
        return ""
    return f" in {groups_text(summary.num_groups, summary.effective_items)}"


def _lost(words: Sequence[Verdict | Preference]) -> str:
    ways = ", ".join(f"{count} {way}" for way, count in failure_counts(words).items())
    return f" ({ways})" if ways else ""


def _show_lowest(verdicts: Sequence[Verdict], items: Sequence[JudgeItem]) -> None:
    scored = [(verdict, item) for verdict, item in zip(verdicts, items, strict=True) if verdict.score is not None]
    lowest = sorted(scored, key=lambda pair: pair[0].score or 0.0)[:NUM_LOWEST]
    if not lowest:
        return
    table = untitled_columns("lowest scores")
    for verdict, item in lowest:
        parts = (item.instruction, item.input, f"→ {item.answer.strip() or 'no answer'}", verdict.reason)
        table.add_row(f"{verdict.score:.0f}", Text("\n".join(one_line(part, 120) for part in parts if part)))
    out().print(table)


def _difference_rows(comparison: HeadToHead) -> list[tuple[str, str]]:
    scores = comparison.scores
    assert scores is not None
    a, b = ([pair[side] for pair in comparison.verdicts] for side in (0, 1))
    rows = [("scored in both", f"{scores.num_items} items{_in_groups(scores)}")]
    for name, mean, verdicts in (("mean of A", scores.mean_a, a), ("mean of B", scores.mean_b, b)):
        rows.append((name, ("–" if mean is None else f"{mean:.1f} of 100") + _lost(verdicts)))
    if scores.mean_difference is not None:
        interval = f", 95 % interval {scores.ci95[0]:+.1f} to {scores.ci95[1]:+.1f}" if scores.ci95 else ""
        rows.append(("B minus A", f"{scores.mean_difference:+.1f} points{interval}"))
    return rows


def _scores_say(scores: ScoreDifference | None) -> str:
    if scores is None or scores.mean_difference is None:
        return "No item was scored on both sides: nothing can be said."
    if scores.ci95 == (0.0, 0.0):
        return f"Both sides score alike on all of {scores.num_items} items."
    if scores.ci95 is None or scores.ci95[0] <= 0 <= scores.ci95[1]:
        return f"Which side scores higher cannot be told from {scores.num_items} items."
    side, other = ("B", "A") if scores.mean_difference > 0 else ("A", "B")
    return f"{side} scores higher than {other} by {abs(scores.mean_difference):.1f} points."


def _pair_rows(comparison: HeadToHead) -> list[tuple[str, str]]:
    pairs = comparison.pairs
    assert pairs is not None
    equal = f", {pairs.num_equal} of them equal answers" if pairs.num_equal else ""
    rows = [
        (
            "judged",
            f"{pairs.num_judged} of {pairs.num_pairs} pairs{_in_groups(pairs)}{_lost(comparison.preferences)}",
        ),
        ("A wins", str(pairs.num_a)),
        ("B wins", str(pairs.num_b)),
        ("ties", f"{pairs.num_ties}{equal}"),
    ]
    if pairs.win_rate is not None and pairs.ci95 is not None:
        interval = f"95 % interval {pairs.ci95[0]:.1%} to {pairs.ci95[1]:.1%}"
        rows.append(("win rate of B", f"{pairs.win_rate:.1%}, {interval} (each order counts half)"))
    if pairs.position_consistency is not None:
        rows.append(("same in both orders", f"{pairs.position_consistency:.1%} of the pairs asked about"))
    if pairs.first_share is not None:
        rows.append(("first shown named", f"{pairs.first_share:.1%} of the times that one was"))
    if pairs.length_slope is not None and pairs.length_slope_ci95 is not None:
        low, high = (100 * end for end in pairs.length_slope_ci95)
        slope = f"{100 * pairs.length_slope:+.1f} points of win rate (95 % interval {low:+.1f} to {high:+.1f})"
        rows.append(("twice as long", slope))
    if pairs.equal_length_win_rate is not None and pairs.equal_length_ci95 is not None:
        low, high = pairs.equal_length_ci95
        interval = f"95 % interval {low:.1%} to {high:.1%}"
        rows.append(("at equal length", f"B would win {pairs.equal_length_win_rate:.1%}, {interval}"))
    return rows


def _pairs_say(pairs: PairSummary | None) -> str:
    if pairs is not None and pairs.num_judged and pairs.num_groups == 1:
        return "All pairs are of one group: nothing can be said about others."
    if pairs is None or pairs.ci95 is None:
        return "No pair could be judged: nothing can be said."
    if pairs.ci95[0] <= 0.5 <= pairs.ci95[1]:
        return f"Which side is better cannot be told from {pairs.num_judged} pairs."
    side, other = ("B", "A") if pairs.ci95[0] > 0.5 else ("A", "B")
    return f"{side}'s answers are preferred to {other}'s."
