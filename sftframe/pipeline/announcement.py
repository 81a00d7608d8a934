"""What a run is about to do, said before its first step: the pieces, the split, the lengths, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator

from sftframe.export import control_tokens_in
from sftframe.pipeline.setup import Setup
from sftframe.progress import Observer
from sftframe.stages.data import Dataset, num_duplicates, unused_columns_told


def announce(setup: Setup, observer: Observer) -> None:
    """Report the pieces of the run, and warn of unused text and of cut, dropped or repeated examples."""
    config, lengths, parts = setup.config, setup.material.lengths, setup.material.split
    observer.note(
        f"model {config.model.name} · prompt {config.prompt.name} · collate {config.collate.name} · "
        f"judge {config.judge.name} · data {config.data.source} · seed {config.seed}"
    )
    observer.note(
        f"{len(parts.train)} train, {len(parts.test)} test and {len(parts.validation)} validation examples; "
        f"tokens: mean {lengths.mean:.1f}, longest {lengths.longest}, at most {lengths.max_length}"
    )
    announce_unused_columns(setup.material.dataset, observer)
    if lengths.over_long:
        observer.warn(
            f"{len(lengths.over_long)} examples are over {lengths.max_length} tokens: {lengths.num_dropped} dropped, "
            f"{lengths.num_truncated} cut by {lengths.num_tokens_cut} tokens"
        )
    for line in _about_words(setup):
        observer.warn(line)
    num_repeated = num_duplicates(parts).test_in_train
    if num_repeated:
        observer.warn(f"{num_repeated} test examples are in the training data too")


def _about_words(setup: Setup) -> Iterator[str]:
    """What the prompt style's own words and stop strings will do with this tokenizer and these outputs."""
    style, parts = setup.components.style, setup.material.split
    for name in control_tokens_in(style, setup.components.tokenizer):
        yield (
            f"prompt style {style.name!r} writes {name!r}, the name of a control token: this run trains it as the "
            "ordinary tokens of its letters, but other programs read one token, so the model cannot be exported"
        )
    for stop in style.stop_strings:
        cut = {
            label: count
            for label, part in (("train", parts.train), ("test", parts.test))
            if (count := sum(stop in example.output for example in part))
        }
        if cut:
            numbers = " and ".join(f"{count} {label}" for label, count in cut.items())
            yield (
                f"{numbers} outputs contain {stop!r}, the text at which prompt style {style.name!r} stops an answer: "
                "answers end there and are never the whole output; choose another style, or change the data"
            )


def announce_unused_columns(dataset: Dataset, observer: Observer) -> None:
    """Report the columns of the file that are not read: a warning if one of them contains text, else a note."""
    columns = dataset.unused_columns
    if not columns:
        return
    told = f"{dataset.source}: {unused_columns_told(columns, len(dataset.examples))}"
    if any(column.has_text for column in columns):
        observer.warn(f"{told}; the model does not see them. --set data.fields.FIELD=NAME reads a column")
    else:
        observer.note(told)
