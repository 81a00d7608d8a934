"""What is said before a run starts: its pieces, how its data were read, and what may surprise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sftframe.config import DataConfig, RunConfig
from sftframe.data import (
    Dataset,
    Split,
    counted,
    likely_families,
    num_duplicates,
    setting_of,
    torn_groups,
    unused_columns_text,
)
from sftframe.pipeline.setup import Setup
from sftframe.progress import Observer
from sftframe.prompts import OWN, control_tokens_in
from sftframe.records import Example

_USUAL_SHAPE = "instruction/input/output"
_MOST_REASONS = 8


def announce(setup: Setup, observer: Observer) -> None:
    """Report the pieces of the run, and warn of unused text and of cut, dropped or repeated examples."""
    config, lengths, parts = setup.config, setup.prepared.lengths, setup.prepared.split
    observer.note(
        f"model {config.model.name} · prompt {config.prompt.name} · collate {config.collate.name} · "
        f"judge {config.judge.name} · data {config.data.source} · seed {config.seed}"
    )
    if config.prompt.name == OWN:
        observer.note(_about_own_prompt(config))
    observer.note(
        f"{len(parts.train)} train, {len(parts.test)} test and {len(parts.validation)} validation examples; "
        f"tokens: mean {lengths.mean:.1f}, longest {lengths.longest}, at most {lengths.max_length}"
    )
    announce_data(setup.prepared.dataset, observer)
    for line in about_turns(setup.config, setup.prepared.dataset):
        observer.note(line)
    for line in about_unweighted_tests(setup.prepared.test_examples()):
        observer.warn(line)
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
    for line in about_groups(config.data, parts):
        observer.note(line)


def about_groups(data: DataConfig, parts: Split) -> Iterator[str]:
    """That named groups are in two parts, and that test questions look like families although no group is named."""
    yield from _about_torn_groups(data, parts)
    if data.group is None and not any(example.group for example in parts.test):
        families = likely_families(parts.test, [example.output for example in parts.test])
        if families is not None:
            yield (
                f"{families.told}: if these go together, all count like as few as {families.fewest:,.0f} independent "
                f"ones, so {families.setting}, or say that they do not belong together with --set data.group=false"
            )


def _about_torn_groups(data: DataConfig, parts: Split) -> Iterator[str]:
    """That named groups are in two parts: what is measured on them is not about new groups.

    Nothing is said of the bundled data, whose families are in all parts on purpose.
    """
    num_examples, num_groups = torn_groups(parts)
    if not num_examples or not (data.group or data.keep_groups_together):
        return
    told = (
        f"{num_examples:,} of {len(parts.test):,} test examples are of {num_groups:,} "
        f"group{'s' * (num_groups != 1)} that the training data have too, so the answers say little about new groups"
    )
    if data.keep_groups_together:
        yield f"{told}: parts that have a file or entries of their own are kept as they are"
    else:
        yield f"{told}; data.keep_groups_together=true keeps every group in one part"


def _about_own_prompt(config: RunConfig) -> str:
    variables = config.prompt.options.get("variables") or {}
    given = "".join(f", with {name}={json.dumps(value)}" for name, value in variables.items())
    return f"prompt {OWN} is the model's own chat template{given}; --prompt alpaca (or another) takes other words"


def _about_words(setup: Setup) -> Iterator[str]:
    """What the prompt style's own words and stop strings will do with this tokenizer and these outputs."""
    style, parts = setup.components.style, setup.prepared.split
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


def about_turns(config: RunConfig, dataset: Dataset, *, strategy: str = "") -> Iterator[str]:
    """Which answers of conversations count; nothing about data without any.

    Args:
        strategy: who says so; by default `collate` with the strategy's name.
    """
    talks = [example for example in dataset.examples if example.turns]
    if talks:
        is_last = config.collate.turns == "last"
        which = "the last answer alone counts" if is_last else "every answer counts"
        other = "all counts every answer" if is_last else "last counts the last one alone"
        num_earlier = 0 if is_last else sum(not turn.weight for example in talks for turn in example.turns)
        num_without = num_earlier + sum(not example.weight for example in talks)
        except_ = f", except {num_without:,} with the weight 0," if num_without else ","
        yield (
            f"{len(talks):,} of {len(dataset.examples):,} examples are conversations: {which}{except_} as "
            f"{strategy or f'collate {config.collate.name}'} says (collate.turns={other})"
        )


def about_unweighted_tests(examples: Sequence[Example]) -> Iterator[str]:
    """That answers which are not trained are measured as if they were right.

    Args:
        examples: of the test part.
    """
    number = sum(not example.weight for example in examples)
    if number:
        yield (
            f"{number:,} of {len(examples):,} test examples end in an answer with the weight 0, which is still the "
            "reference of the judge and the answer whose likelihood is measured: end these conversations with their "
            "last answer that counts, or read the last exchanges alone without these with data.turns=last and "
            "data.invalid=drop"
        )


def announce_data(dataset: Dataset, observer: Observer) -> None:
    """Report how a file was read: its shape if it is not the usual one, what was changed, dropped and not read.

    Dropped rows are a warning, and so are columns that are not read if one of them contains text.
    """
    if dataset.shape != _USUAL_SHAPE:
        observer.note(f"{dataset.source}: read as {dataset.shape}")
    for done, count in dataset.changes.items():
        observer.note(f"{dataset.source}: {done} (in {count:,} of {dataset.num_rows:,} entries)")
    if dataset.dropped:
        reasons = [
            f"{count:,} × {reason}" for reason, count in counted([row.reason for row in dataset.dropped]).items()
        ]
        more = f", … ({len(reasons)} reasons in all)" if len(reasons) > _MOST_REASONS else ""
        observer.warn(
            f"{dataset.source}: {len(dataset.dropped):,} of {dataset.num_rows:,} entries dropped: "
            f"{', '.join(reasons[:_MOST_REASONS])}{more}"
        )
    for line in _about_parts_in(dataset):
        observer.note(line)
    unused = _about_unused(dataset)
    if unused:
        has_text = any(column.has_text for column in dataset.unused_columns)
        (observer.warn if has_text else observer.note)(unused)


def about_columns(dataset: Dataset) -> Iterator[str]:
    """Columns that are not read, and one of them that names the parts of a split."""
    yield from _about_parts_in(dataset)
    unused = _about_unused(dataset)
    if unused:
        yield unused


def _about_parts_in(dataset: Dataset) -> Iterator[str]:
    for column in dataset.unused_columns:
        if column.has_parts and not dataset.parts:
            yield (
                f"{dataset.source}: {column.name!r} names a part of the split in every entry: "
                f"{setting_of('data.part', column.name)} splits by it"
            )


def _about_unused(dataset: Dataset) -> str:
    columns = dataset.unused_columns
    if not columns:
        return ""
    message = f"{dataset.source}: {unused_columns_text(columns, dataset.num_rows)}"
    if not any(column.has_text for column in columns):
        return message
    way = "" if all(one.is_message_key for one in columns) else ". --set data.fields.FIELD=NAME reads a column"
    return f"{message}; the model does not see them{way}"
