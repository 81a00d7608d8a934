"""Prints what people's labels say of a judge: the corrected figure, and how judge and people agree."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from sftframe.analysis import Agreement, Bias, Corrected, CorrectedMean
from sftframe.cli.console import out, prose, untitled_columns
from sftframe.formatting import signed


def show_corrected_mean(found: CorrectedMean) -> None:
    """The corrected mean beside the judge's own, the agreement, and what was left out."""
    mean = found.mean
    table = untitled_columns(f"people's labels · {mean.num_labels} of {mean.num_items} items")
    for label, text in (*_mean_rows(mean), *agreement_rows(found.agreement)):
        table.add_row(label, Text(text))
    out().print(table)
    for note in found.notes:
        prose(out(), Text(f"{note[:1].upper()}{note[1:]}.", style="dim"))


def _mean_rows(mean: Corrected) -> Iterator[tuple[str, str]]:
    interval = mean.interval
    bounds = f", 95 % interval {interval.low:.1f} to {interval.high:.1f}" if interval else ""
    yield "corrected mean", f"{mean.value:.1f} of 100{bounds}"
    yield "judge alone", f"{mean.judge_alone:.1f}"
    alone = mean.labels_alone_interval
    bounds = f", 95 % interval {alone.low:.1f} to {alone.high:.1f}" if alone else ""
    yield "labels alone", f"{mean.labels_alone:.1f}{bounds}"
    yield "judge's weight", f"{mean.power_tuning:.2f} (0 = its scores say nothing about the labels)"


def agreement_rows(found: Agreement) -> Iterator[tuple[str, str]]:
    """Label and text of the lines on how judge and people agree."""
    parts = [
        f"{name} {value:.2f}"
        for name, value in (("Pearson", found.pearson), ("Spearman", found.spearman))
        if value is not None
    ]
    if found.accuracy is not None:
        parts.append(f"{found.accuracy:.0%} of the answers alike, if 50 points and more are right")
    yield "agreement", f"{'; '.join(parts) or 'not known'} ({found.num_answers} answers)"
    for part in found.arms:
        yield "judge minus people" if len(found.arms) == 1 else f"… {part.name}", bias_text(part)
    for part in found.lengths:
        yield f"… {part.name}", bias_text(part)
    if found.length_slope is not None and found.length_slope_ci95 is not None:
        low, high = found.length_slope_ci95
        yield (
            "… twice as long",
            f"{signed(found.length_slope, 1)} (95 % interval {signed(low, 1)} to {signed(high, 1)})",
        )
    if found.num_twice:
        alpha = "not known, all labels are alike" if found.alpha is None else f"{found.alpha:.2f}"
        yield "people among them", f"Krippendorff's alpha {alpha} ({found.num_twice} answers with several labels)"


def bias_text(part: Bias) -> str:
    """The difference with its interval, and both means."""
    bounds = (
        f" (95 % interval {signed(part.low, 1)} to {signed(part.high, 1)})"
        if part.low is not None and part.high is not None
        else ""
    )
    return f"{signed(part.difference, 1)} points{bounds}: {part.judge:.1f} and {part.people:.1f}"
