"""`report.html`: one self-contained page about one run.

jinja2 escapes all data, and a content security policy lets the page load nothing and run only its own script.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sftframe.config import flattened
from sftframe.records import Example, Response, Summary, Verdict
from sftframe.stages.report.answers import FLAGS, count_failures, count_flags, join_items
from sftframe.stages.report.charts import loss_svg
from sftframe.stages.report.comparison import chance_keys, paired_change
from sftframe.stages.report.curves import Curves, curve_rows
from sftframe.stages.report.facts import RunFacts, run_methods, setup_facts
from sftframe.stages.report.manifest import manifest_tables, repeat_command
from sftframe.stages.report.outcome import outcome
from sftframe.stages.report.rendering import render_page
from sftframe.stages.report.summary import summary_document
from sftframe.stages.report.tokens import show_example
from sftframe.stages.report.yardsticks import yardstick_rows

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
    config_toml: str = ""
    """The resolved configuration, as it is in the run's folder."""
    command: str | None = None
    """The command to repeat the run; by default from the run's `config.toml`."""


def report_page(report: ReportInput) -> str:
    """The page as HTML; the same input gives the same characters."""
    return render_page(_content(report), scripts=("page.js",))


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
    change = paired_change(report.verdicts_before, report.verdicts)
    facts = _facts(report)
    return {
        "sections": SECTIONS,
        "summary": summary,
        "outcome": outcome(summary, change),
        "yardsticks": yardstick_rows(
            summary.before,
            summary.after,
            num_before=len(report.responses_before),
            num_after=len(report.responses),
            chance_keys=chance_keys(items, change),
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
        "token_examples": [show_example(tokens) for tokens in report.token_examples],
        "length_report": {} if "lengths" in report.manifest else summary.length_report,
        "manifest": manifest_tables(report.manifest),
        "config_toml": report.config_toml,
        "command": report.command or repeat_command(summary.run),
        "facts": setup_facts([facts]),
        "methods": run_methods(facts) if facts.settings else "",
    }


def _facts(report: ReportInput) -> RunFacts:
    try:
        settings = dict(flattened(tomllib.loads(report.config_toml)))
    except tomllib.TOMLDecodeError:  # damaged by hand: the page shows it as it is
        settings = {}
    return RunFacts(settings=settings, manifest=report.manifest, summary=summary_document(report.summary))
