"""The answering part of a run: likelihoods, responses and verdicts on the test examples, each file resumable.

What a file already holds is not done again. The untuned and the fine-tuned model are measured in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftframe.config import RunConfig
from sftframe.interfaces import CausalLM
from sftframe.pipeline.setup import Components, Material
from sftframe.progress import Observer
from sftframe.records import Example, JudgeSummary, Likelihood, Response, Verdict, Yardsticks
from sftframe.runs import JsonLines, RunFolder, read_json_lines, write_json
from sftframe.stages.batches import evaluation_batches
from sftframe.stages.evaluate import measure_likelihoods, yardsticks
from sftframe.stages.generate import generate_responses, generation_settings
from sftframe.stages.judge import check_failures, judge_responses, make_items, summarise
from sftframe.stages.tokens import encode_prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFiles:
    """Where one model's measurements lie."""

    label: str
    likelihoods: Path
    responses: Path
    verdicts: Path

    @classmethod
    def after(cls, folder: RunFolder) -> AnswerFiles:
        """Of the fine-tuned model."""
        return cls(
            label="after",
            likelihoods=folder.likelihoods_path,
            responses=folder.responses_path,
            verdicts=folder.verdicts_path,
        )

    @classmethod
    def before(cls, folder: RunFolder) -> AnswerFiles:
        """Of the untuned model."""
        return cls(
            label="before",
            likelihoods=folder.before_likelihoods_path,
            responses=folder.before_responses_path,
            verdicts=folder.before_verdicts_path,
        )

    def known_responses(self) -> list[Response]:
        """The answers written so far."""
        return [Response(**{**line, "ids": tuple(line["ids"])}) for line in _lines(self.responses)]

    def known_verdicts(self) -> list[Verdict]:
        """The verdicts had so far; the last word on an item counts."""
        latest = {line["index"]: Verdict(**line) for line in _lines(self.verdicts)}
        return [latest[index] for index in sorted(latest)]

    def known_likelihoods(self) -> list[Likelihood]:
        """The likelihoods, once all of them are there."""
        return [Likelihood(**line) for line in _lines(self.likelihoods)]

    def forget(self) -> None:
        """Delete what an older generation left."""
        for path in (self.likelihoods, self.responses, self.verdicts):
            path.unlink(missing_ok=True)


def write_answers(
    config: RunConfig,
    components: Components,
    material: Material,
    model: CausalLM,
    files: AnswerFiles,
    observer: Observer,
) -> None:
    """Measure likelihoods and write the responses that are still missing.

    Raises:
        ModelError: a prompt does not fit the model's context.
    """
    if not files.likelihoods.exists():
        _write_likelihoods(config, components, material, model, files, observer)
    known = {response.index for response in files.known_responses()}
    examples = material.test_examples()
    missing = [example for example in examples if example.index not in known]
    prompts = encode_prompts(missing, components.style, model.tokenizer)
    settings = generation_settings(config.generate, components.style, seed=config.seed)
    observer.begin(f"answers {files.label}", len(examples), "answers")
    observer.advance(len(examples) - len(missing))
    with JsonLines(files.responses) as lines:
        indices = [example.index for example in missing]
        for response in generate_responses(model, components.style, prompts, indices, settings):
            lines.append(response)
            observer.advance(tokens=float(len(response.ids)))
    observer.end()


def write_verdicts(
    config: RunConfig, components: Components, examples: list[Example], files: AnswerFiles, observer: Observer
) -> JudgeSummary:
    """Judge the responses that have no verdict yet.

    Raises:
        JudgeError: the judge failed on more than `max_failures` of the items; all verdicts so far are kept.
    """
    judge = components.judge
    items = make_items(examples, files.known_responses())
    known = {verdict.index: verdict for verdict in files.known_verdicts()}
    num_settled = sum(verdict.status == "ok" and verdict.judge == judge.identity for verdict in known.values())
    if num_settled < len(items):
        observer.begin(f"judge {files.label}", len(items), "verdicts")
        observer.advance(num_settled)
    with JsonLines(files.verdicts) as lines:

        def keep(verdict: Verdict) -> None:
            lines.append(verdict)
            observer.advance()

        verdicts = judge_responses(judge, items, known=known, on_verdict=keep, max_failures=config.max_failures)
    if num_settled < len(items):
        observer.end()
    check_failures(verdicts, config.max_failures)
    return summarise(verdicts, judge.identity)


def read_yardsticks(files: AnswerFiles, material: Material, judge: str) -> Yardsticks | None:
    """What the files of one model say; None where it was not measured."""
    likelihoods = files.known_likelihoods()
    if not likelihoods:
        return None
    verdicts = files.known_verdicts()
    summary = summarise(verdicts, judge) if verdicts else None
    return yardsticks(likelihoods, material.references(), files.known_responses(), summary)


def write_responses_document(material: Material, folder: RunFolder) -> None:
    """`responses.json`: the test entries with `model_response` added, in the chapter's shape."""
    answers = {response.index: response.text for response in AnswerFiles.after(folder).known_responses()}
    document = [
        {
            "instruction": example.instruction,
            "input": example.input,
            "output": example.output,
            "model_response": answers[example.index],
        }
        for example in material.test_examples()
    ]
    write_json(folder.responses_json_path, document)


def _write_likelihoods(
    config: RunConfig,
    components: Components,
    material: Material,
    model: CausalLM,
    files: AnswerFiles,
    observer: Observer,
) -> None:
    """All at once: it is one forward pass, and a part of it is of no use."""
    num_bytes = {index: len(text.encode()) for index, text in material.references().items()}
    batches = evaluation_batches(list(material.test), components.strategy, config.train.batch_size)
    observer.begin(f"likelihood {files.label}", len(material.test), "examples")
    found: list[Likelihood] = []
    for items, _loss, _weight in measure_likelihoods(model, batches, num_bytes):
        found += items
        observer.advance(len(items))
    observer.end()
    making = files.likelihoods.with_suffix(".part")
    making.unlink(missing_ok=True)
    with JsonLines(making) as lines:
        for item in sorted(found, key=lambda one: one.index):
            lines.append(item)
    making.replace(files.likelihoods)


def _lines(path: Path) -> list[dict[str, Any]]:
    return read_json_lines(path) if path.exists() else []
