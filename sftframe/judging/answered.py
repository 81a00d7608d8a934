"""Reads answered examples from a run's folder or from a file, as items for a judge.

Only the run's folder is read: its data and its model are not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sftframe.config import RunConfig
from sftframe.errors import ConfigError
from sftframe.records import ItemResult, JudgeItem, Response, Verdict
from sftframe.runs import RunFolder
from sftframe.stages.data import load_answered
from sftframe.stages.judge import judge_item
from sftframe.stored import read_object, read_records


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredItems:
    """Questions with a model's answers."""

    label: str
    """The path, as it was given."""
    items: tuple[JudgeItem, ...]
    data_sha256: str | None = None
    """SHA-256 of the run's data; None for a file of answers."""
    verdicts: Mapping[str, Mapping[int, Verdict]] = field(default_factory=dict)
    """Verdicts that exist already: by `Judge.identity`, then by index."""


def is_answer_file(path: Path) -> bool:
    """Whether a path means a file of answers and not a run's folder; it need not exist."""
    return path.is_file() or (path.suffix.lower() in _ENDINGS and not path.is_dir())


_ENDINGS = (".json", ".jsonl", ".ndjson")


def read_answered_file(path: Path, config: RunConfig) -> AnsweredItems:
    """The items of a file in the chapter's format. `data.fields` maps other names; `data.limit` takes the first ones.

    Raises:
        DataError: it cannot be read, or an entry cannot be used.
    """
    found = load_answered(config.data.model_copy(update={"source": str(path)}))
    answered = zip(found.dataset.examples, found.answers, strict=True)
    return AnsweredItems(label=str(path), items=tuple(judge_item(example, answer) for example, answer in answered))


def read_answered_run(path: Path) -> AnsweredItems:
    """The test items of a run with the fine-tuned model's answers, in the order of the data.

    Raises:
        ConfigError: the folder is not a run, or the run is not finished.
    """
    folder = RunFolder.open(path)
    if not (folder.items_path.exists() and folder.responses_path.exists()):
        raise ConfigError(f"{path} is not finished: continue it with sftframe run --resume {path}")
    answers = {response.index: response.text for response in read_records(Response, folder.responses_path)}
    verdicts: dict[str, dict[int, Verdict]] = {}
    for verdict in read_records(Verdict, folder.verdicts_path) if folder.verdicts_path.exists() else []:
        verdicts.setdefault(verdict.judge, {})[verdict.index] = verdict
    return AnsweredItems(
        label=str(path),
        items=tuple(_item(question, answers, path) for question in read_records(ItemResult, folder.items_path)),
        data_sha256=_data_sha256(folder.manifest_path),
        verdicts=verdicts,
    )


def _item(question: ItemResult, answers: Mapping[int, str], path: Path) -> JudgeItem:
    """The question of the last report, with the answer as it is now."""
    if question.index not in answers:
        raise ConfigError(f"{path} has no answer to test item {question.index}: sftframe generate {path} writes it")
    return asked_again(question, answers[question.index])


def asked_again(item: ItemResult, answer: str) -> JudgeItem:
    """A test item of a run as an item for a judge, with this answer."""
    return JudgeItem(
        index=item.index,
        instruction=item.instruction,
        input=item.input,
        reference=item.reference,
        answer=answer,
    )


def _data_sha256(path: Path) -> str:
    data = read_object(path).get("data")
    if not isinstance(data, dict) or not isinstance(data.get("sha256"), str):
        raise ConfigError(f"{path} does not record the data of the run: it is damaged or was changed")
    return str(data["sha256"])
