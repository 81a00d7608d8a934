"""`sftframe data`: what is in a dataset, before a minute is spent on it; and a cleaned file."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftframe.cli.options import argument, option
from sftframe.cli.settings import Settings, takes_settings
from sftframe.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sftframe.audit import TokenLengths
    from sftframe.cli.render import TerminalObserver
    from sftframe.config import RunConfig
    from sftframe.data import Dataset, Split
    from sftframe.registry import Registry


class Format(StrEnum):
    """Output formats of an audit."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


_NOT_HERE = (
    "--data",
    "--batch-size",
    "--seed",
    "--collate",
    "--judge",
    "--epochs",
    "--max-steps",
    "--lr",
    "--device",
    "--dtype",
    "--threads",
)


@takes_settings(*_NOT_HERE)
def data(
    settings: Settings,
    source: Annotated[
        str | None, argument("SOURCE", "A file, folder or pattern, hf:OWNER/NAME, starter or ch07. Default: starter.")
    ] = None,
    count: Annotated[
        int, option("-n", "--examples", min=0, metavar="N", help="Number of examples to show of each finding.")
    ] = 3,
    no_tokens: Annotated[bool, option("--no-tokens", help="Count characters only; much faster.")] = False,
    write: Annotated[
        Path | None,
        option(
            "--write", metavar="FILE", help="Write the rows that are kept to this .jsonl, and the others beside it."
        ),
    ] = None,
    drop: Annotated[
        list[str] | None, option("--drop", metavar="KIND", help="With --write: leave these rows out too; repeatable.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        option("--keep", metavar="KIND", help="With --write: keep these rows, which are left out otherwise."),
    ] = None,
    output_format: Annotated[Format, option("--format", help="text, json, or html (a page).")] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, with every finding.")] = False,
) -> None:
    """Look at data before training: lengths, duplicates, contradictions, leaks, refusals, damaged text and more.

    Example: sftframe data mine.jsonl --write clean.jsonl
    """
    from sftframe import audit
    from sftframe.cli import data_render
    from sftframe.cli.render import TerminalObserver
    from sftframe.cli.streams import write_json, write_page
    from sftframe.data import load_examples
    from sftframe.device import allowed_cores
    from sftframe.pipeline import about_columns, about_groups, resolve

    if write is None and (drop or keep):
        raise ConfigError("--drop and --keep choose rows for --write FILE; without it nothing is written")
    if as_json and output_format is Format.HTML:
        raise ConfigError("--json and --format html: choose one")
    kinds = audit.kinds_to_drop(drop or (), keep or ())
    if write is not None:
        audit.check_target(write)
    settings = settings.with_found_config()
    if source is not None:
        settings = replace(settings, flags={**settings.flags, "data.source": source})
    registry = settings.registry()
    config = resolve(settings.layer(asks_judge=False), registry)
    with TerminalObserver() as observer:
        dropping = config.data.model_copy(update={"invalid": "drop"})  # an audit lists all of them
        found = load_examples(dropping, report=observer.note, on_lost_inputs=observer.warn)
        parts = _split(found, config, observer)

        def tokens() -> TokenLengths | None:
            counted = None if no_tokens else _tokens(found, config, registry, observer)
            observer.begin("rows", 2 * len(found.examples), "looks")
            return counted

        result = audit.audit(
            found,
            parts=_indices(parts),
            notes=(*about_columns(found), *(() if parts is None else about_groups(config.data, parts))),
            tokens=tokens,
            num_processes=allowed_cores(),
            on_rows=observer.advance,
        )
        observer.end()
    cleaning = None
    if write is not None:
        cleaning = audit.clean(found.examples, result, kinds)
        audit.write_clean(write, cleaning)
    if as_json or output_format is Format.JSON:
        document: dict[str, Any] = result.document()
        if write is not None and cleaning is not None:
            document["written"] = {
                "path": str(write),
                "rows": len(cleaning.kept),
                "dropped_path": str(audit.dropped_path(write)),
                "dropped": cleaning.reasons(),
                "invalid": len(cleaning.invalid),
                "settings": list(audit.settings_for(cleaning)),
            }
        write_json(document)
    elif output_format is Format.HTML:
        write_page(audit.audit_page(result))
    else:
        data_render.show_audit(result, count)
    if output_format is not Format.JSON and not as_json and write is not None and cleaning is not None:
        data_render.show_cleaning(write, cleaning)


def _split(found: Dataset, config: RunConfig, observer: TerminalObserver) -> Split | None:
    """The parts; None if there are too few rows for them."""
    from sftframe.data import split

    try:
        return split(found, config.data)
    except DataError as error:
        observer.note(f"leaks between the parts are not looked for: {error}")
        return None


def _indices(parts: Split | None) -> dict[str, list[int]]:
    if parts is None:
        return {}
    named = {"train": parts.train, "test": parts.test, "validation": parts.validation}
    return {name: [example.index for example in part] for name, part in named.items()}


def _tokens(found: Dataset, config: RunConfig, registry: Registry, observer: TerminalObserver) -> TokenLengths | None:
    """None if the prompt style cannot write these data; what they contain can be looked at all the same."""
    from sftframe.audit import TokenLengths
    from sftframe.pipeline import Components, count_tokens

    components = Components.choose(config, registry)
    try:
        prompts, answers = count_tokens(found.examples, config, components, observer)
    except DataError as error:
        observer.warn(f"tokens are not counted: {error}")
        return None
    context_length = components.backend.context_length()
    return TokenLengths(
        style=config.prompt.name,
        tokenizer=config.model.name,
        prompts=prompts,
        answers=answers,
        most=min(config.tokens.max_length or context_length, context_length),
    )
