"""`sftframe compare`: compares finished runs on every yardstick, or two sets of answers with a judge."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftframe.cli import completion
from sftframe.cli.ablate import Baseline, Margin, YardstickKey
from sftframe.cli.judge import NoCache, without_cache
from sftframe.cli.labels import LabelFile, Labelling, LabelScale, WriteLabels, labelling, write_for_people
from sftframe.cli.options import argument, option
from sftframe.cli.settings import Settings, takes_only
from sftframe.cli.streams import write, write_json, write_page
from sftframe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sftframe.analysis import ComparisonResult
    from sftframe.judging import HeadToHead
    from sftframe.registry import Registry


class By(StrEnum):
    """What the judge gets: single answers or pairs."""

    PAIRS = "pairs"
    SCORES = "scores"


class Format(StrEnum):
    """Output formats of a comparison."""

    TEXT = "text"
    MD = "md"
    CSV = "csv"
    HTML = "html"
    JSON = "json"


Sides = Annotated[
    list[Path],
    argument("A B…", "Folders of runs, or two files of answers in the form that `judge` reads.", completion.runs),
]
FormatOption = option(
    "--format", help="text, md (for a pull request), csv, json, or html (the whole report as a page)."
)
ByOption = Annotated[
    By | None,
    option(
        "--by",
        help="pairs: the judge picks the better answer; scores: it scores each. Default: pairs if the judge can.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the comparison and every item as JSON.")]


@takes_only("--judge")
def compare(
    paths: Sides,
    settings: Settings,
    by: ByOption = None,
    yardstick: YardstickKey = None,
    margin: Margin = None,
    baseline: Baseline = None,
    labels: LabelFile = None,
    label_scale: LabelScale = None,
    write_labels: WriteLabels = None,
    no_cache: NoCache = False,
    output_format: Annotated[Format, FormatOption] = Format.TEXT,
    as_json: Json = False,
) -> None:
    """Compare finished runs on every yardstick, or two sets of answers with a judge.

    Runs that differ only in their seed are one arm.

    With --judge, --by or a file of answers, the judge gets the two sides. Judges of pairs see each pair in both orders.

    With --labels, people's labels of some of the answers correct the judge, and the verdict is from both.
    --write-labels draws the answers for people to label.

    Example: sftframe compare runs/one runs/two
    """
    if len(paths) < 2:
        raise ConfigError(f"compare {paths[0]}: expected at least two runs, or two files of answers")
    is_json = as_json or output_format is Format.JSON
    people = labelling(labels, label_scale, write_labels)
    if people != Labelling() and by is By.PAIRS:
        raise ConfigError("--labels are of single answers, so they cannot correct --by pairs: use --by scores")
    if by is None and "judge.name" not in settings.flags and all(path.is_dir() for path in paths):
        result = _runs_compared(paths, (yardstick, margin), baseline, people, settings.registry())
        _show_or_draw(result, {"comparison": None}, people, paths, output_format, is_json=is_json)
        return
    by = By.SCORES if people != Labelling() else by
    _head_to_head(paths, settings, by, (yardstick, margin), people, no_cache, output_format, is_json=is_json)


def _runs_compared(
    paths: Sequence[Path],
    question: tuple[str | None, float | None],
    baseline: str | None,
    people: Labelling,
    registry: Registry,
) -> ComparisonResult:
    from sftframe.analysis import compare as compare_arms
    from sftframe.analysis import group_into_arms, with_labels
    from sftframe.judging import judge_behind
    from sftframe.runs import load_run

    yardstick, margin = question
    arms = group_into_arms([load_run(path) for path in paths])
    judge = judge_behind(arms[0].any_run().judge, registry)
    result = compare_arms(arms, yardstick=yardstick or "judge", margin=margin, baseline=baseline, judge=judge)
    return result if people.people is None else with_labels(result, people.people)


def _head_to_head(
    paths: Sequence[Path],
    settings: Settings,
    by: By | None,
    question: tuple[str | None, float | None],
    people: Labelling,
    no_cache: bool,
    output_format: Format,
    *,
    is_json: bool,
) -> None:
    from sftframe.cli.judge_render import show_comparison
    from sftframe.cli.render import TerminalObserver
    from sftframe.config import validate
    from sftframe.judging import compare_answers, comparison_document

    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise ConfigError(f"nothing at {missing}: expected a run's folder or a file of answers")
    if len(paths) > 2:
        raise ConfigError(
            f"{len(paths)} sets of answers: a judge compares two; without --judge, runs are compared on every yardstick"
        )
    settings = settings.with_found_config()
    config = validate((without_cache(settings) if no_cache else settings).layer())
    with TerminalObserver() as observer:
        found = compare_answers(
            paths[0],
            paths[1],
            config,
            by=None if by is None else by.value,
            registry=settings.registry(),
            observer=observer,
        )
    result = _scores_compared(
        found, *question, people, settings.registry(), looks_for_families=config.data.group is not False
    )
    if result is not None:
        _show_or_draw(result, comparison_document(found), people, paths, output_format, is_json=is_json)
    elif is_json:
        write_json(comparison_document(found))
    else:
        show_comparison(found, looks_for_families=config.data.group is not False)
    found.check(config.max_failures)


def _scores_compared(
    found: HeadToHead,
    yardstick: str | None,
    margin: float | None,
    people: Labelling,
    registry: Registry,
    *,
    looks_for_families: bool,
) -> ComparisonResult | None:
    """The statistics of two sets of scores; None for pairs, or if no item has scores on both sides."""
    from sftframe.analysis import arms_of_answers, with_labels
    from sftframe.analysis import compare as compare_arms
    from sftframe.judging import judge_behind

    if found.scores is None or not found.scores.num_items:
        return None
    judge = judge_behind(found.judge, registry)
    result = compare_arms(
        arms_of_answers(found),
        yardstick=yardstick or "judge",
        margin=margin,
        judge=judge,
        looks_for_families=looks_for_families,
    )
    if people.people is None:
        return result
    moved = any((place, place) != (one.index, other.index) for place, (one, other) in enumerate(found.matches))
    if people.people.is_by_position and moved:
        raise ConfigError(
            f"{people.path} names items by 'index', but the two sides do not have all items in the same order: use the "
            "ids of answers"
        )
    return with_labels(result, people.people)


def _show_or_draw(
    result: ComparisonResult,
    document: dict[str, Any],
    people: Labelling,
    paths: Sequence[Path],
    output_format: Format,
    *,
    is_json: bool,
) -> None:
    from sftframe.analysis import draw_for_labels

    if people.num_items is None:
        _show(result, document, output_format, is_json=is_json)
        return
    drawn = draw_for_labels(result, people.num_items)
    write_for_people(drawn, people.path, shlex.join(["sftframe", "compare", *map(str, paths)]), as_json=is_json)


def _show(result: ComparisonResult, document: dict[str, Any], output_format: Format, *, is_json: bool) -> None:
    from sftframe.cli.comparison_render import show_comparison_result, show_flips
    from sftframe.report import (
        PageInput,
        comparison_csv,
        comparison_document,
        comparison_markdown,
        comparison_page,
        read_arm_curves,
    )

    if is_json:
        write_json({**document, "comparison": comparison_document(result)})
    elif output_format is Format.HTML:
        write_page(comparison_page(PageInput(result=result, curves=read_arm_curves(result.arms))) + "\n")
    elif output_format is Format.MD:
        write(comparison_markdown(result))
    elif output_format is Format.CSV:
        write(comparison_csv(result))
    else:
        show_comparison_result(result)
        show_flips(result)
