"""`sftframe compare`: two sets of answers to the same questions, head to head."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sftframe.cli.judge import NoCache, without_cache
from sftframe.cli.settings import Settings, takes_only


class By(StrEnum):
    """What a judge is asked."""

    PAIRS = "pairs"
    SCORES = "scores"


Side = Annotated[
    Path, typer.Argument(help="A run's folder, or a file of answers as `judge` takes it.", show_default=False)
]
ByOption = Annotated[
    By | None,
    typer.Option(
        "--by",
        help="Ask for the better of two answers, or score each; by default pairs where the judge can.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the comparison and every item as JSON.")]


@takes_only("--judge")
def compare(
    a: Side, b: Side, settings: Settings, by: ByOption = None, no_cache: NoCache = False, as_json: Json = False
) -> None:
    """Compare two sets of answers on the questions that both have; a judge of pairs sees both orders.

    Example: sftframe compare runs/one runs/two --judge ollama
    """
    from sftframe.cli.judge_render import show_comparison, show_comparison_document
    from sftframe.cli.render import TerminalObserver
    from sftframe.config import validate
    from sftframe.judging import compare_answers

    config = validate((without_cache(settings) if no_cache else settings).layer())
    with TerminalObserver() as observer:
        comparison = compare_answers(
            a,
            b,
            config,
            by=None if by is None else by.value,
            registry=settings.registry(),
            observer=observer,
        )
    if as_json:
        show_comparison_document(comparison)
    else:
        show_comparison(comparison)
    comparison.check(config.max_failures)
