"""`sftframe judge`: scores the answers of a run, or of a file in the chapter's format."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli import completion
from sftframe.cli.labels import LabelFile, Labelling, LabelScale, WriteLabels, labelling, write_for_people
from sftframe.cli.options import argument, option
from sftframe.cli.settings import MADE_WITH_THE_RUN, Settings, takes_settings
from sftframe.cli.streams import saved
from sftframe.errors import ConfigError, JudgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sftframe.analysis import CorrectedMean
    from sftframe.judging import Judgement
    from sftframe.records import JudgeItem

Answers = Annotated[
    Path,
    argument(
        "PATH",
        "A run's folder, or a JSON or JSON Lines file with instruction, input, output and model_response.",
        completion.runs,
    ),
]
Repeats = Annotated[
    int, typer.Option("--repeats", min=1, metavar="K", help="Judge every answer K times, to measure the judge's noise.")
]
VerdictFile = Annotated[
    Path | None,
    option("--out", metavar="FILE", help="File to write the verdicts to; only for a file of answers."),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Ask the judge again, even if its verdict exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print mean, interval and every verdict as JSON.")]


@takes_settings(*MADE_WITH_THE_RUN)
def judge(
    path: Answers,
    settings: Settings,
    num_repeats: Repeats = 1,
    out: VerdictFile = None,
    labels: LabelFile = None,
    label_scale: LabelScale = None,
    write_labels: WriteLabels = None,
    no_cache: NoCache = False,
    as_json: Json = False,
) -> None:
    """Score the answers of a run or a file; verdicts that exist are reused.

    With --labels, people's labels of some of the answers correct the judge's mean and its interval. --write-labels
    draws the answers for people to label.

    Example: sftframe judge answers.json --judge ollama --set judge.model=llama3
    """
    from sftframe.judging import is_answer_file

    settings = without_cache(settings) if no_cache else settings
    people = labelling(labels, label_scale, write_labels)
    if is_answer_file(path):
        _judge_file(path, settings, num_repeats, out, people, as_json=as_json)
    elif out is not None:
        raise ConfigError(f"--out is for the verdicts on a file; those on a run are in {path / 'verdicts.jsonl'}")
    else:
        _judge_run(path, settings, num_repeats, people, as_json=as_json)


def without_cache(settings: Settings) -> Settings:
    """These settings, with `judge.cache` off."""
    return replace(settings, flags={**settings.flags, "judge.cache": False})


def _judge_run(path: Path, settings: Settings, num_repeats: int, people: Labelling, *, as_json: bool) -> None:
    from sftframe.cli.judge_render import show_judgement_document, show_noise
    from sftframe.cli.labels_render import show_corrected_mean
    from sftframe.cli.render import TerminalObserver, show_result
    from sftframe.pipeline import Session

    judgements: dict[str, Judgement] = {}
    failure = None
    with TerminalObserver() as observer:
        session = Session.reopen(path, settings.registry(), observer, layer=settings.layer())
        if not session.folder.responses_path.exists():
            raise ConfigError(f"{path} has no answers to judge yet: sftframe run --resume {path} writes them")
        session.check_judge()
        with session.at_work():
            try:
                session.judge(num_repeats=num_repeats, on_judgement=judgements.__setitem__)
            except JudgeError as error:
                failure = error
            if "after" in judgements:
                summary = session.report()
    if "after" in judgements:
        with saved(path):
            corrected = _corrected(people, judgements["after"], session.folder.items(), path)
            if people.num_items is not None:
                _write_for_people(people, judgements["after"], session.folder.items(), path, as_json=as_json)
            elif as_json:
                show_judgement_document(judgements["after"], corrected)
            else:
                show_noise(judgements["after"])
                if corrected is not None:
                    show_corrected_mean(corrected)
                show_result(session, summary, as_json=False)
    if failure is not None:
        raise failure


def _corrected(people: Labelling, judgement: Judgement, items: Sequence[JudgeItem], path: Path) -> CorrectedMean | None:
    from sftframe.analysis import correct_mean

    if people.people is None:
        return None
    scores = {verdict.index: verdict.score for verdict in judgement.verdicts}
    return correct_mean(items, scores, people.people, name=str(path), groups=judgement.groups)


def _write_for_people(
    people: Labelling, judgement: Judgement, items: Sequence[JudgeItem], path: Path, *, as_json: bool
) -> None:
    from sftframe.analysis import draw_items

    only = 0
    scores = {verdict.index: verdict.score for verdict in judgement.verdicts}
    drawn = draw_items({str(path): {only: items}}, {str(path): {only: scores}}, people.num_items or 0)
    write_for_people(drawn, people.path, f"sftframe judge {path}", as_json=as_json)


def _judge_file(
    path: Path,
    settings: Settings,
    num_repeats: int,
    out: Path | None,
    people: Labelling,
    *,
    as_json: bool,
) -> None:
    from sftframe.cli.judge_render import show_judgement, show_judgement_document
    from sftframe.cli.render import TerminalObserver
    from sftframe.config import validate
    from sftframe.files import write_json
    from sftframe.judging import choose_judge, judge_items, judgement_document, read_answered_file

    if out is not None:
        _check_free(out)
    settings = settings.with_found_config()
    config = validate(settings.layer())
    with TerminalObserver() as observer:
        answered = read_answered_file(path, config)
        items = answered.items
        judging = choose_judge(config, settings.registry(), observer)
        judgement = judge_items(judging, items, num_repeats=num_repeats, groups=answered.groups)
    if out is not None:
        write_json(out, judgement_document(judgement))
    with nullcontext() if out is None else saved(out):
        corrected = _corrected(people, judgement, items, path)
        if people.num_items is not None:
            _write_for_people(people, judgement, items, path, as_json=as_json)
        elif as_json:
            show_judgement_document(judgement, corrected)
        else:
            looks_for_families = config.data.group is not False
            show_judgement(judgement, items, path, out, corrected, looks_for_families=looks_for_families)
    judgement.check(config.max_failures)


_MOST_VERDICTS = 2**30
"""Largest file of verdicts that may be replaced, in bytes."""


def _check_free(out: Path) -> None:
    """Check that `out` is new or has verdicts: no other file is replaced, above all not the answers themselves."""
    from sftframe.files import read_named_file

    if not out.exists():
        return
    try:
        document = json.loads(read_named_file(out, most=_MOST_VERDICTS))
        is_ours = isinstance(document, dict) and "verdicts" in document
    except (OSError, ValueError, RecursionError):
        is_ours = False
    if not is_ours:
        raise ConfigError(f"--out {out} exists and is no file of verdicts: name another file, or delete it")
