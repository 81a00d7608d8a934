"""`sftframe preview`: examples exactly as the model will see them, and the shape of every batch."""

from __future__ import annotations

from typing import Annotated

import typer

from sftframe.cli.settings import Settings, takes_settings


@takes_settings("--judge", "--epochs", "--max-steps", "--lr", "--device", "--dtype", "--threads")
def preview(
    settings: Settings,
    count: Annotated[int, typer.Option("-n", "--examples", min=1, metavar="N", help="How many examples to show.")] = 3,
    index: Annotated[
        list[int] | None, typer.Option("--index", help="Show this example of the data; repeatable.", metavar="I")
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", help="Show token ids too.")] = False,
    batches: Annotated[bool, typer.Option("--batches", help="List every training batch instead.")] = False,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch", min=0, metavar="E", help="Batches in the order of this epoch; by default in file order."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show examples as the model will see them: roles, counted targets, lengths, batches.

    Example: sftframe preview --prompt phi3 --collate mask-instruction
    """
    from sftframe.cli import preview_render
    from sftframe.cli.render import TellingObserver
    from sftframe.pipeline.announcement import announce_unused_columns
    from sftframe.pipeline.preview import view_batches, view_examples
    from sftframe.pipeline.setup import Components, prepare_data, resolve

    settings = settings.with_found_config()
    registry = settings.registry()
    config = resolve(settings.layer(asks_judge=False), registry)
    components = Components.choose(config, registry)
    observer = TellingObserver()
    material = prepare_data(config, components, observer)
    announce_unused_columns(material.dataset, observer)
    views, counts = view_batches(config, components, material, epoch=epoch)
    facts = preview_render.Facts(
        collate=config.collate.name,
        counts=counts,
        lengths=material.lengths,
        unused_columns=tuple(column.name for column in material.dataset.unused_columns),
    )
    if batches:
        preview_render.show_batches(views, facts, as_json=as_json)
        return
    wanted = set(material.train.indices[:count]) if not index else _found(index, material.train.indices)
    shown = [
        (example, tokens)
        for example, tokens in view_examples(components, material.train, config.train.batch_size)
        if example.index in wanted
    ]
    preview_render.show_examples(shown, facts, with_ids=ids, as_json=as_json)


def _found(wanted: list[int], known: list[int]) -> set[int]:
    from sftframe.errors import DataError

    missing = sorted(set(wanted).difference(known))
    if missing:
        raise DataError(
            f"--index {missing[0]}: no training example has this index; they go from {known[0]} to {known[-1]}"
        )
    return set(wanted)
