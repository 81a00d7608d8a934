"""Judge against people, as lines and tables: what each says alone, how they agree, and the judge's bias."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sftframe.analysis import Agreement, Bias, ComparisonResult, Corrected, Interval, PeopleFindings
from sftframe.formatting import ABSENT, fixed, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """A candidate's difference to the baseline from each source, with its interval."""

    candidate: str
    num_labels: str
    corrected: str
    labels_alone: str
    judge_alone: str
    judge_verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasRow:
    """Judge and people on some of the labelled answers."""

    part: str
    num_answers: str
    judge: str
    people: str
    difference: str


def pair_rows(people: PeopleFindings) -> list[PairRow]:
    """One row per candidate."""
    judged = {found.candidate: found for found in people.judged.comparisons}
    return [
        PairRow(
            candidate=name,
            num_labels=f"{pair.num_labels:,} of {pair.num_items:,}",
            corrected=_with_bounds(pair.value, pair.interval),
            labels_alone=_with_bounds(pair.labels_alone, pair.labels_alone_interval),
            judge_alone=_with_bounds(judged[name].difference, judged[name].interval),
            judge_verdict=judged[name].verdict,
        )
        for name, pair in people.pairs.items()
    ]


def bias_rows(found: Agreement) -> list[BiasRow]:
    """One row per arm, then one per part of the lengths."""
    return [
        BiasRow(
            part=part.name,
            num_answers=f"{part.num_answers:,}",
            judge=fixed(part.judge, 1),
            people=fixed(part.people, 1),
            difference=_bias(part),
        )
        for part in (*found.arms, *found.lengths)
    ]


def agreement_facts(found: Agreement) -> Iterator[tuple[str, str]]:
    """Label and text of what is known besides the bias."""
    parts = [
        f"{name} {value:.2f}"
        for name, value in (("Pearson", found.pearson), ("Spearman", found.spearman))
        if value is not None
    ]
    if found.accuracy is not None:
        parts.append(f"{found.accuracy:.0%} of the answers alike, if 50 points and more are right")
    yield "agreement", f"{'; '.join(parts) or 'not known'} ({found.num_answers:,} answers)"
    if found.length_slope is not None and found.length_slope_ci95 is not None:
        low, high = found.length_slope_ci95
        bounds = f"95 % interval {signed(low)} to {signed(high)}"
        yield "twice as long", f"{signed(found.length_slope)} points of judge minus people ({bounds})"
    if found.num_twice:
        alpha = "not known, all labels are alike" if found.alpha is None else f"{found.alpha:.2f}"
        yield "people among them", f"Krippendorff's alpha {alpha} ({found.num_twice:,} answers with several labels)"


def bias_text(part: Bias) -> str:
    """The difference with its interval, and both means."""
    return f"{_bias(part)}: {fixed(part.judge, 1)} and {fixed(part.people, 1)}"


def people_lines(result: ComparisonResult) -> tuple[str, ...]:
    """What people say against the judge, in sentences; empty without labels."""
    people = result.people
    if people is None:
        return ()
    lines = [_alone(name, pair) for name, pair in people.pairs.items()]
    found = people.agreement
    if _is_length_biased(found):
        assert found.length_slope is not None
        lines.append(
            f"The judge is {'kinder to' if found.length_slope > 0 else 'harder on'} long answers than people are: "
            f"{signed(found.length_slope)} points where an answer is twice as long."
        )
    return tuple(lines)


def people_markdown(result: ComparisonResult) -> list[str]:
    """The tables as lines of Markdown; empty without labels."""
    people = result.people
    if people is None:
        return []
    lines = [
        "",
        "| candidate | labelled items | people and judge | labels alone | judge alone |",
        "|---|---|---|---|---|",
    ]
    for row in pair_rows(people):
        cells = (_code(row.candidate), row.num_labels, row.corrected, row.labels_alone, row.judge_alone)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| labelled answers | number | judge | people | judge minus people |", "|---|---|---|---|---|"]
    for bias in bias_rows(people.agreement):
        lines.append(f"| {_code(bias.part)} | {bias.num_answers} | {bias.judge} | {bias.people} | {bias.difference} |")
    lines += ["", *(f"- {label}: {text}" for label, text in agreement_facts(people.agreement))]
    return lines


def _alone(name: str, pair: Corrected) -> str:
    return (
        f"{name}: people labelled {pair.num_labels:,} of the {pair.num_items:,} items. Their labels alone say "
        f"{_with_bounds(pair.labels_alone, pair.labels_alone_interval)} points, the judge alone "
        f"{signed(pair.judge_alone)}, both together {_with_bounds(pair.value, pair.interval)}."
    )


def _with_bounds(value: float, interval: Interval | None) -> str:
    return signed(value) if interval is None else f"{signed(value)} ({signed(interval.low)} to {signed(interval.high)})"


def _bias(part: Bias) -> str:
    if part.low is None or part.high is None:
        return f"{signed(part.difference)} ({ABSENT})"
    return f"{signed(part.difference)} ({signed(part.low)} to {signed(part.high)})"


def _is_length_biased(found: Agreement) -> bool:
    """Whether the interval of the slope leaves out zero."""
    return found.length_slope_ci95 is not None and not found.length_slope_ci95[0] <= 0 <= found.length_slope_ci95[1]


def _code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"
