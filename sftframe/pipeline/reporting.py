"""The report part of a run, made from the files of the run's folder, so it can be made again."""

from __future__ import annotations

from sftframe.config import RunConfig
from sftframe.files import write_json, write_whole
from sftframe.pipeline.answers import answered_items, check_measured, read_yardsticks
from sftframe.pipeline.preview import view_examples
from sftframe.pipeline.setup import Components, PreparedData
from sftframe.records import Summary
from sftframe.report import Curves, ReportInput, loss_chart, read_curves, report_page, summary_document
from sftframe.runs import RunStore

NUM_TOKEN_EXAMPLES = 3
"""Examples whose tokens the report shows."""


def write_report(folder: RunStore, config: RunConfig, components: Components, prepared: PreparedData) -> Summary:
    """Write `summary.json`, `items.jsonl`, `loss.png` and `report.html`."""
    summary = build_summary(folder, config, prepared)
    items = answered_items(folder.answers("after"), prepared, _judge(folder))
    measured = {item.index for item in items if item.response_nll is not None}
    check_measured(measured, (item.index for item in items), folder.likelihoods_path)
    folder.write_items(items)
    write_json(folder.summary_path, summary_document(summary))
    curves = read_curves(folder.metrics())
    write_whole(folder.loss_png_path, loss_chart(curves, collate=summary.collate))
    write_whole(folder.report_path, _page(folder, summary, curves, components, prepared))
    return summary


def build_summary(folder: RunStore, config: RunConfig, prepared: PreparedData) -> Summary:
    """The run's summary, from its files."""
    judge = _judge(folder)
    before, after = (
        read_yardsticks(files, prepared, judge) for files in (folder.answers("before"), folder.answers("after"))
    )
    lengths = prepared.lengths
    return Summary(
        run=str(folder.path),
        prompt=config.prompt.name,
        collate=config.collate.name,
        model=config.model.name,
        data=str(folder.manifest()["data"]["source"]),
        seed=config.seed,
        before=before,
        after=after,
        train=folder.train_summary(),
        length_report={
            "num_examples": lengths.num_examples,
            "longest": lengths.longest,
            "max_length": lengths.max_length,
            "num_over": len(lengths.over_long),
            "num_dropped": lengths.num_dropped,
            "num_truncated": lengths.num_truncated,
            "num_tokens_cut": lengths.num_tokens_cut,
        },
    )


def _judge(folder: RunStore) -> str:
    """Identity of the judge that the summary uses."""
    return str(folder.manifest()["judge"])


def _page(folder: RunStore, summary: Summary, curves: Curves, components: Components, prepared: PreparedData) -> str:
    before, after, judge = folder.answers("before"), folder.answers("after"), _judge(folder)
    return report_page(
        ReportInput(
            summary=summary,
            curves=curves,
            examples=prepared.test_examples(),
            responses_before=before.known_responses(),
            responses=after.known_responses(),
            verdicts_before=before.known_verdicts(judge),
            verdicts=after.known_verdicts(judge),
            token_examples=_token_examples(components, prepared),
            manifest=folder.manifest(),
            dropped=[(row.place, row.message) for row in prepared.dataset.dropped],
            config_toml=folder.config_path.read_text(encoding="utf-8"),
        )
    )


def _token_examples(components: Components, prepared: PreparedData) -> list[list[tuple[str, str, bool, float]]]:
    """The first training examples as one batch, token by token."""
    first = prepared.train[:NUM_TOKEN_EXAMPLES]
    return [
        [(token.text, token.role, token.weight > 0, token.weight) for token in tokens]
        for _, tokens in view_examples(components, first, len(first))
    ]
