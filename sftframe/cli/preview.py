"""`sftframe preview`: shows examples exactly as the model will see them, and the shape of every batch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli.options import Json, option
from sftframe.cli.settings import Settings, takes_settings

if TYPE_CHECKING:
    from sftframe.config import RunConfig
    from sftframe.pipeline import Components, Previewed
    from sftframe.progress import Observer


@takes_settings("--judge", "--epochs", "--max-steps", "--lr", "--device", "--dtype", "--threads")
def preview(
    settings: Settings,
    count: Annotated[
        int,
        typer.Option(
            "-n", "--examples", min=1, metavar="N", help="Number of examples to show, or of batches with --tensors."
        ),
    ] = 3,
    index: Annotated[
        list[int] | None, typer.Option("--index", help="Show the example with this number; repeatable.", metavar="I")
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", help="Show token ids too.")] = False,
    lengths: Annotated[
        bool, typer.Option("--lengths", help="Measure the lengths of all examples, not only of 2,000.")
    ] = False,
    batches: Annotated[bool, typer.Option("--batches", help="List every training batch instead.")] = False,
    tensors: Annotated[
        bool,
        typer.Option("--tensors", help="Also print inputs, targets and weights of the first N batches."),
    ] = False,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch", min=0, metavar="E", help="Show batches in the order of this epoch. Default: file order."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        option(
            "--against",
            help="Compare all rows with what another trainer fed its model: input_ids and labels as .jsonl, .parquet "
            "or a folder of datasets.save_to_disk.",
            metavar="DUMP",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show examples as the model will see them: roles, targets that count, lengths, batches.

    With --against, exit code 1 if any row differs.

    Example: sftframe preview --prompt phi3 --collate mask-instruction
    """
    from sftframe.cli import preview_render
    from sftframe.cli.render import MessageObserver
    from sftframe.pipeline import (
        Components,
        about_turns,
        about_unweighted_tests,
        announce_data,
        check_last_answers,
        count_targets,
        read_data,
        resolve,
        view_batches,
        view_examples,
    )

    settings = settings.with_found_config()
    registry = settings.registry()
    config = resolve(settings.layer(asks_judge=False), registry)
    components = Components.choose(config, registry)
    observer = MessageObserver()
    if against is not None:
        _show_against(against, count, (config, components), observer, as_json=as_json)
        return
    is_listing = batches or tensors
    data = read_data(
        config, components, observer, indices=set(index or ()), measures_all=lengths or is_listing or count > _MANY
    )
    prepared = data.prepared
    announce_data(prepared.dataset, observer)
    for line in about_turns(config, prepared.dataset):
        observer.note(line)
    for line in about_unweighted_tests(prepared.split.test):
        observer.warn(line)
    check_last_answers(config, components, prepared)
    if is_listing:
        views, counts = view_batches(config, components, prepared, epoch=epoch, num_tensors=count if tensors else 0)
        preview_render.show_batches(views, preview_render.Facts.of(config, data, counts), as_json=as_json)
        return
    is_partial = bool(index) and data.num_measured < data.num_examples
    counts = count_targets(config, components, data) if is_partial else view_batches(config, components, prepared)[1]
    wanted = set(index or prepared.train.indices[:count])
    _check_kept(wanted if index else (), data, config.tokens.over_long, components.backend.context_length())
    shown = [
        (part, example, tokens)
        for part, store in data.parts.items()
        for example, tokens in view_examples(components, store, config.train.batch_size, wanted)
    ]
    facts = preview_render.Facts.of(config, data, counts)
    preview_render.show_examples(shown, facts, with_ids=ids, as_json=as_json)


def _show_against(
    path: Path, most: int, made: tuple[RunConfig, Components], observer: Observer, *, as_json: bool
) -> None:
    from sftframe.cli.preview_render import show_against
    from sftframe.pipeline import announce_data, compare_dump, our_rows, read_data, read_dump

    theirs = read_dump(path)
    config, components = made
    data = read_data(config, components, observer, indices=(), measures_all=True)
    announce_data(data.prepared.dataset, observer)
    found = compare_dump(theirs, our_rows(config, components, data), components.tokenizer)
    show_against(path, found, most, collate=config.collate.name, as_json=as_json)
    if not found.is_same:
        raise typer.Exit(1)


_MANY = 2000
"""To show more examples than this, all are tokenised first."""


def _check_kept(wanted: Collection[int], data: Previewed, over_long: str, context_length: int) -> None:
    from sftframe.errors import DataError
    from sftframe.prompts.tokens import what_helps_over_long

    missing = sorted(set(wanted).difference(*(store.indices for store in data.parts.values())))
    if missing:
        most = data.prepared.lengths.max_length
        raise DataError(
            f"--index {missing[0]}: this example is dropped because it has more than "
            f"{most} tokens: {what_helps_over_long(most, context_length, over_long)}"
        )
