"""`report.html`: one self-contained page about one run.

jinja2 escapes all data, and a content security policy lets the page load nothing and run only its own script.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sftframe.config import flattened
from sftframe.data import likely_families
from sftframe.formatting import duration, fixed, memory_size, signed
from sftframe.records import Example, JudgeSummary, Response, Summary, Verdict, Yardsticks
from sftframe.report.curves import Curves, curve_rows, loss_svg
from sftframe.report.rendering import Headline, Table, manifest_tables, render_page, repeat_command
from sftframe.report.run_tables import (
    FLAGS,
    Change,
    answers_of,
    chance_keys,
    count_failures,
    count_flags,
    independent_answers,
    join_items,
    paired_change,
    show_example,
    yardstick_rows,
)
from sftframe.report.summary import RunFacts, run_methods, setup_facts, summary_document


def outcome(summary: Summary, change: Change | None) -> Headline:
    """The result of a run, better or worse, and what is not known about it.

    Args:
        change: of the scores, item by item; None if no item was scored both times.
    """
    what = f"{summary.model} on {summary.data} with {summary.prompt} and {summary.collate}"
    if summary.after is None:
        return Headline(sentence=f"{what} has not been evaluated after fine-tuning: there is no result yet.")
    old, new = _judge(summary.before), _judge(summary.after)
    if new is None or new.mean is None:
        return Headline(sentence=_by_likelihood(what, summary.before, summary.after), notes=_unjudged(new))
    if old is None or old.mean is None or old.name != new.name:
        return Headline(sentence=_after_alone(what, new), notes=(_why_alone(summary.before, old, new), _ONE_SEED))
    sentence = _compared(what, old, old.mean, new, new.mean, change)
    return Headline(sentence=sentence, notes=(*_change_notes(change), _ONE_SEED))


_ONE_SEED = (
    "This is one run with one seed: intervals cover the choice of test items, not the luck of training. "
    "Repeat it with other seeds before calling a small difference real."
)


def _judge(yardsticks: Yardsticks | None) -> JudgeSummary | None:
    return yardsticks.judge if yardsticks else None


def _compared(
    what: str, old: JudgeSummary, old_mean: float, new: JudgeSummary, new_mean: float, change: Change | None
) -> str:
    scored = _scored(new)
    if (old.num_scored, old.num_items) != (new.num_scored, new.num_items):
        scored = f"{_scored(old)} before, {_scored(new)} after"
    gap = new_mean - old_mean
    if change and _is_open(change, gap):
        items = "1 item" if change.num_items == 1 else f"{change.num_items} items"
        return (
            f"Whether fine-tuning {what} changed the {_short(new)} judge's mean cannot be told from "
            f"{items}: {fixed(old_mean)} before, {fixed(new_mean)} after, of 100 ({scored})."
        )
    verb = "raised" if gap > 0 else "lowered" if gap < 0 else "did not move"
    return (
        f"Fine-tuning {what} {verb} the {_short(new)} judge's mean from {fixed(old_mean)} to {fixed(new_mean)} "
        f"of 100 ({scored})."
    )


def _is_open(change: Change, gap: float) -> bool:
    """Whether chance could explain the change, or the items scored both times disagree with the two means."""
    has_moved = change.num_better > 0 or change.num_worse > 0
    return (has_moved and change.could_be_chance) or change.mean * gap < 0


def _short(judge: JudgeSummary) -> str:
    """The judge's name without version, model or digest, which are in the table."""
    found = re.match(r"[\w.-]+", judge.name)
    return found[0] if found else judge.name


def _scored(judge: JudgeSummary) -> str:
    return f"{judge.num_scored} of {judge.num_items} scored"


def _change_notes(change: Change | None) -> tuple[str, ...]:
    if change is None:
        return ()
    interval = f", 95 % interval {signed(change.ci95[0])} to {signed(change.ci95[1])}" if change.ci95 else ""
    num_same = change.num_items - change.num_better - change.num_worse
    return (
        f"Item by item: {signed(change.mean)} points{interval}, on the {change.num_items} items scored both times; "
        f"{change.num_better} better, {num_same} the same, {change.num_worse} worse.",
    )


def _after_alone(what: str, new: JudgeSummary) -> str:
    assert new.mean is not None
    mean = f"a mean of {fixed(new.mean)} of 100 from the {_short(new)} judge"
    return f"After fine-tuning, {what} has {mean} ({_scored(new)})."


def _why_alone(before: Yardsticks | None, old: JudgeSummary | None, new: JudgeSummary) -> str:
    if before is None:
        return "The untuned model was not measured, so this run does not show what fine-tuning changed."
    if old is None or old.mean is None:
        return "The untuned model's answers have no scores, so the scores do not show what fine-tuning changed."
    return f"The untuned model was scored by another judge ({old.name}); its scores do not compare with {new.name}'s."


def _by_likelihood(what: str, before: Yardsticks | None, after: Yardsticks) -> str:
    unit = "nats per token"
    new_nll = after.response_nll_per_token
    if before is None:
        return f"After fine-tuning, {what} has a response NLL of {fixed(new_nll, 3)} {unit}."
    old_nll = before.response_nll_per_token
    verb = "lowered" if new_nll < old_nll else "raised" if new_nll > old_nll else "did not move"
    return f"Fine-tuning {what} {verb} the response NLL from {fixed(old_nll, 3)} to {fixed(new_nll, 3)} {unit}."


def _unjudged(judge: JudgeSummary | None) -> tuple[str, ...]:
    if judge is None:
        return ("No judge has scored the answers.", _ONE_SEED)
    return (f"The {_short(judge)} judge could score none of the {judge.num_items} answers.", _ONE_SEED)


SECTIONS = {
    "yardsticks": "Before and after",
    "loss": "Loss during training",
    "answers": "Answers",
    "tokens": "What the model sees",
    "counted": "Which tokens counted",
    "setup": "Set-up",
}
"""Heading by id of every section, in their order; the links at the top of the page have the same text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """The content of a report. Only the summary is required; a section without data says so."""

    summary: Summary
    curves: Curves = field(default_factory=Curves)
    examples: Sequence[Example] = ()
    """The test part, in order."""
    responses_before: Sequence[Response] = ()
    """The untuned model's."""
    responses: Sequence[Response] = ()
    verdicts_before: Sequence[Verdict] = ()
    verdicts: Sequence[Verdict] = ()
    token_examples: Sequence[Sequence[tuple[str, str, bool, float]]] = ()
    """Per example its tokens: text, role label, whether it counts as a target, weight; see `ShownToken`."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    dropped: Sequence[tuple[str, str]] = ()
    """Rows of the data that were left out: place and reason."""
    config_toml: str = ""
    """The resolved configuration, as it is in the run's folder."""
    command: str | None = None
    """The command to repeat the run; by default from the run's `config.toml`."""


def report_page(report: ReportInput) -> str:
    """The page as HTML; the same input gives the same characters."""
    return render_page("run.html.j2", _content(report), scripts=("page.js",))


def _content(report: ReportInput) -> dict[str, Any]:
    from markupsafe import Markup

    summary = report.summary
    items = join_items(
        report.examples,
        before=report.responses_before,
        after=report.responses,
        verdicts_before=report.verdicts_before,
        verdicts_after=report.verdicts,
    )
    groups = {example.index: example.group for example in report.examples if example.group}
    change = paired_change(report.verdicts_before, report.verdicts, groups)
    facts, headline = _facts(report), outcome(summary, change)
    return {
        "sections": SECTIONS,
        "title": summary.run,
        "summary": summary,
        "headline": replace(headline, notes=(*headline.notes, *_families(report, facts))),
        "pieces": _pieces(summary),
        "yardsticks": yardstick_rows(
            summary.before,
            summary.after,
            num_before=len(report.responses_before),
            num_after=len(report.responses),
            chance_keys=chance_keys(items, change),
            units={
                "before": independent_answers(answers_of(items, "before")),
                "after": independent_answers(answers_of(items, "after")),
            },
        ),
        "failures": {"before": count_failures(report.verdicts_before), "after": count_failures(report.verdicts)},
        "curves": report.curves,
        "curve_rows": curve_rows(report.curves),
        "charts": {
            "wide": Markup(loss_svg(report.curves, summary.collate)),
            "narrow": Markup(loss_svg(report.curves, summary.collate, is_narrow=True)),
        },
        "items": items,
        "flags": FLAGS,
        "num_flagged": count_flags(items),
        "tokens_are": "Training examples exactly as they went into the loss",
        "token_examples": {
            f"Example {number}": show_example(tokens) for number, tokens in enumerate(report.token_examples, start=1)
        },
        "manifest": (*_summary_tables(report), *manifest_tables(report.manifest)),
        "differing_entries": (),
        "pairing": {},
        "config_toml": report.config_toml,
        "command": report.command or repeat_command(summary.run),
        "facts": setup_facts([facts]),
        "methods": run_methods(facts) if facts.settings else "",
    }


def _families(report: ReportInput, facts: RunFacts) -> Iterator[str]:
    """A note if no group is named and test questions look like families, with what these would change."""
    if facts.settings.get("data.group") is not None or any(example.group for example in report.examples):
        return
    families = likely_families(report.examples, [example.output for example in report.examples])
    if families is None:
        return
    names = {one.index: f"family {number}" for one, number in zip(report.examples, families.groups, strict=False)}
    change = paired_change(report.verdicts_before, report.verdicts, names)
    would = ""
    if change is not None and change.ci95 is not None:
        ends = " to ".join(signed(end) for end in change.ci95)
        would = f"; with them as groups the 95 % interval of the change would be {ends}"
    yield f"{families.told[:1].upper()}{families.told[1:]}, and no group is named{would}: {families.setting}."


def _pieces(summary: Summary) -> list[tuple[str, str]]:
    pieces = [
        ("Prompt style", summary.prompt),
        ("Collate strategy", summary.collate),
        ("Model", summary.model),
        ("Data", summary.data),
        ("Seed", str(summary.seed)),
    ]
    if train := summary.train:
        pieces.append(("Training", f"{train.steps:,} steps in {duration(train.seconds)}"))
    return pieces


def _summary_tables(report: ReportInput) -> Iterator[Table]:
    """The training, and the lengths if the manifest does not have them."""
    if train := report.summary.train:
        yield (
            "training",
            (
                ("optimizer steps", f"{train.steps:,}"),
                ("examples seen", f"{train.examples_seen:,}"),
                ("tokens seen", f"{train.tokens_seen:,}"),
                ("time", duration(train.seconds)),
                ("speed", f"{fixed(train.tokens_per_s, 0)} tokens/s"),
                ("peak memory", memory_size(train.peak_memory_bytes)),
            ),
        )
    if report.summary.length_report and "lengths" not in report.manifest:
        yield "lengths", tuple((name, f"{count:,}") for name, count in report.summary.length_report.items())
    if report.dropped:
        more = len(report.dropped) - _MOST_DROPPED
        last = (("…", f"{more:,} more, all in dropped-rows.jsonl"),) if more > 0 else ()
        yield "entries left out", (*report.dropped[:_MOST_DROPPED], *last)


_MOST_DROPPED = 50


def _facts(report: ReportInput) -> RunFacts:
    try:
        settings = dict(flattened(tomllib.loads(report.config_toml)))
    except tomllib.TOMLDecodeError:  # damaged by hand: the page shows it as it is
        settings = {}
    return RunFacts(settings=settings, manifest=report.manifest, summary=summary_document(report.summary))
