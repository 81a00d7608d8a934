"""Answered examples wherever they stand, in a run's folder or in a file, as items for a judge.

Takes a path, gives `AnsweredItems`. A run is read from its folder alone: neither its data nor its model are needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sftframe.config import RunConfig
from sftframe.errors import ConfigError
from sftframe.files import read_json_lines
from sftframe.records import ItemResult, JudgeItem, Response, Verdict
from sftframe.runs import RunFolder
from sftframe.stages.data import load_answered


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredItems:
    """Questions with a model's answers."""

    label: str
    """The path, as it was given."""
    items: tuple[JudgeItem, ...]
    data_sha256: str | None = None
    """Of the data that a run was made with; None for a file, which is its own."""
    verdicts: Mapping[str, Mapping[int, Verdict]] = field(default_factory=dict)
    """What judges said of these answers already: by `Judge.identity`, then by index."""


def read_answered_file(path: Path, config: RunConfig) -> AnsweredItems:
    """The items of a file in the chapter's shape; `data.fields` maps other names, `data.limit` takes the first ones.

    Raises:
        DataError: it cannot be read, or an entry cannot be used.
    """
    found = load_answered(config.data.model_copy(update={"source": str(path)}))
    items = tuple(
        JudgeItem(
            index=example.index,
            instruction=example.instruction,
            input=example.input,
            reference=example.output,
            answer=answer,
        )
        for example, answer in zip(found.dataset.examples, found.answers, strict=True)
    )
    return AnsweredItems(label=str(path), items=items)


def read_answered_run(path: Path) -> AnsweredItems:
    """The test items of a run with the fine-tuned model's answers, in the order of the data.

    Raises:
        ConfigError: the folder is no run, or its run is not finished.
    """
    folder = RunFolder.open(path)
    if not (folder.items_path.exists() and folder.responses_path.exists()):
        raise ConfigError(f"{path} is not finished: go on with it by sftframe run --resume {path}")
    try:
        questions = [ItemResult(**line) for line in read_json_lines(folder.items_path)]
        answers = {line["index"]: Response(**line).text for line in read_json_lines(folder.responses_path)}
        sha256 = str(json.loads(folder.manifest_path.read_text(encoding="utf-8"))["data"]["sha256"])
        items = tuple(_item(question, answers) for question in questions)
        return AnsweredItems(label=str(path), items=items, data_sha256=sha256, verdicts=_verdicts(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {type(error).__name__}: {error}; was it made by another version of sftframe? "
            f"sftframe report {path} writes its files again"
        ) from error


def _item(question: ItemResult, answers: Mapping[int, str]) -> JudgeItem:
    """The question of the last report, with the answer as it is now."""
    return JudgeItem(
        index=question.index,
        instruction=question.instruction,
        input=question.input,
        reference=question.reference,
        answer=answers[question.index],
    )


def _verdicts(folder: RunFolder) -> dict[str, dict[int, Verdict]]:
    found: dict[str, dict[int, Verdict]] = {}
    if folder.verdicts_path.exists():
        for line in read_json_lines(folder.verdicts_path):
            verdict = Verdict(**line)
            found.setdefault(verdict.judge, {})[verdict.index] = verdict
    return found
