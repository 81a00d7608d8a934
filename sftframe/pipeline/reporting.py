"""The report part of a run, made from the files of the run's folder, so it can be made again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sftframe.config import RunConfig
from sftframe.files import plain, read_json_lines, write_json, write_whole
from sftframe.pipeline import manifest
from sftframe.pipeline.answers import AnswerFiles, check_measured, read_yardsticks
from sftframe.pipeline.preview import view_examples
from sftframe.pipeline.setup import Components, PreparedData
from sftframe.records import Example, ItemResult, Response, Summary, TrainSummary, Verdict
from sftframe.report import Curves, ReportInput, loss_chart, read_curves, report_page, summary_document
from sftframe.runs import RunFolder, read_json, read_record

NUM_TOKEN_EXAMPLES = 3
"""Examples whose tokens the report shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredExample:
    """A test example with the fine-tuned model's answer."""

    example: Example
    response: Response
    verdict: Verdict | None


def answered_examples(folder: RunFolder, prepared: PreparedData) -> list[AnsweredExample]:
    """All test examples that have an answer, in the order of the data."""
    files = AnswerFiles.after(folder)
    responses = {response.index: response for response in files.known_responses()}
    verdicts = {verdict.index: verdict for verdict in files.known_verdicts(_judge(folder))}
    return [
        AnsweredExample(example=example, response=responses[example.index], verdict=verdicts.get(example.index))
        for example in prepared.test_examples()
        if example.index in responses
    ]


def write_report(folder: RunFolder, config: RunConfig, components: Components, prepared: PreparedData) -> Summary:
    """Write `summary.json`, `items.jsonl`, `loss.png` and `report.html`."""
    summary = build_summary(folder, config, prepared)
    write_whole(folder.items_path, "".join(f"{json.dumps(plain(item))}\n" for item in item_results(folder, prepared)))
    write_json(folder.summary_path, summary_document(summary))
    curves = read_curves(read_json_lines(folder.metrics_path) if folder.metrics_path.exists() else [])
    write_whole(folder.loss_png_path, loss_chart(curves, collate=summary.collate))
    write_whole(folder.report_path, _page(folder, summary, curves, components, prepared))
    return summary


def build_summary(folder: RunFolder, config: RunConfig, prepared: PreparedData) -> Summary:
    """The run's summary, from its files."""
    judge = _judge(folder)
    before, after = (
        read_yardsticks(files, prepared, judge) for files in (AnswerFiles.before(folder), AnswerFiles.after(folder))
    )
    lengths = prepared.lengths
    return Summary(
        run=str(folder.path),
        prompt=config.prompt.name,
        collate=config.collate.name,
        model=config.model.name,
        data=str(manifest.read_manifest(folder)["data"]["source"]),
        seed=config.seed,
        before=before,
        after=after,
        train=_train_summary(folder),
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


def item_results(folder: RunFolder, prepared: PreparedData) -> list[ItemResult]:
    """All that is known of every test item that the fine-tuned model answered, in the order of the data."""
    likelihoods = {item.index: item for item in AnswerFiles.after(folder).known_likelihoods()}
    answers = answered_examples(folder, prepared)
    check_measured(likelihoods, (answered.example.index for answered in answers), folder.likelihoods_path)
    return [
        ItemResult(
            index=answered.example.index,
            instruction=answered.example.instruction,
            input=answered.example.input,
            reference=answered.example.output,
            answer=answered.response.text,
            stop_reason=answered.response.stop_reason,
            response_nll=likelihoods[answered.example.index].response_nll,
            num_response_bytes=likelihoods[answered.example.index].num_response_bytes,
            score=answered.verdict.score if answered.verdict else None,
            verdict=answered.verdict.status if answered.verdict else None,
            reason=answered.verdict.reason if answered.verdict else "",
        )
        for answered in answers
    ]


def _judge(folder: RunFolder) -> str:
    """Identity of the judge that the summary uses."""
    return str(manifest.read_manifest(folder)["judge"])


def _train_summary(folder: RunFolder) -> TrainSummary | None:
    if not folder.train_path.exists():
        return None
    return read_record(TrainSummary, read_json(folder.train_path), folder.train_path)


def _page(folder: RunFolder, summary: Summary, curves: Curves, components: Components, prepared: PreparedData) -> str:
    before, after, judge = AnswerFiles.before(folder), AnswerFiles.after(folder), _judge(folder)
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
            manifest=manifest.read_manifest(folder),
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
