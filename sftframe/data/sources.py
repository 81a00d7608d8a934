"""Named sources and files of examples, checked row by row; also files with answers."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sftframe.data.columns import FieldNames, NoSuchGroupError, UnusedColumn, lost_inputs, missing_group, unused_columns
from sftframe.data.conversations import Rules
from sftframe.data.files import (
    HUB,
    NAMED,
    ReadFiles,
    first_entries,
    is_saved,
    parse_entries,
    read_files,
    summed_columns,
)
from sftframe.data.hub import read_hub, read_saved
from sftframe.data.parts import PartName
from sftframe.data.rows import DroppedRow, RowRules, read_rows
from sftframe.data.shapes import shape_text
from sftframe.errors import ConfigError, DataError
from sftframe.network import downloads
from sftframe.records import Example

if TYPE_CHECKING:
    from sftframe.config import DataConfig


CH07_URL = (
    "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch07/01_main-chapter-code/instruction-data.json"
)
"""The 1,100 entries of the chapter; `SFTFRAME_CH07_URL` names a mirror."""
CH07_SHA256 = "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"
_MOST_BYTES = 16_000_000
"""The file has 0.2 MB; a much longer one is another file, and is not read to its end."""

Report = Callable[[str], None]
OnBytes = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Checked examples and their source."""

    source: str
    """`starter`, `ch07`, or the path of the file or files as it was given."""
    sha256: str
    """Of the file's bytes, hexadecimal; of several files, of their names and hashes."""
    examples: tuple[Example, ...]
    """In the file's order; never empty."""
    unused_columns: tuple[UnusedColumn, ...] = ()
    """Columns of the file that are not read."""
    shape: str = "instruction/input/output"
    """How the entries were read, in words."""
    num_rows: int = 0
    """Entries that were looked at, the dropped ones too."""
    dropped: tuple[DroppedRow, ...] = ()
    """Entries that cannot be used and were left out (`data.invalid`)."""
    changes: Mapping[str, int] = field(default_factory=dict)
    """What was done to entries, in words, with the number of entries."""
    parts: tuple[PartName | None, ...] = ()
    """One per example, if some have a part of their own; None = not named."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """Of a dataset of the hub its `revision`, `configuration` and `fingerprint`."""
    part_files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By part with a file of its own, the file's `source`, `sha256` and origin; the hash of all data includes it."""


def load_examples(
    config: DataConfig,
    *,
    cache_dir: Path | None = None,
    report: Report | None = None,
    on_bytes: OnBytes | None = None,
    on_lost_inputs: Report | None = None,
    unread: Collection[str] = (),
) -> Dataset:
    """The examples of a configuration's source, all of them checked.

    Args:
        cache_dir: where downloads are kept; by default `downloads.cache_dir()`.
        report: gets a line about slow work and other useful facts.
        on_bytes: gets the bytes of a download so far, and their total if it is known.
        on_lost_inputs: gets the line that would be an error, if a run was already started with these data.
        unread: columns that are not read, whatever their names, because such a run was started without them.

    Raises:
        DataError: there is no such source or file, it cannot be read, an entry in it cannot be used, or inputs
            would be lost because their column has another name.
        ConfigError: `data.fields` gives two fields the same name in the file.
    """
    is_starter = config.source == "starter"
    names = FieldNames.of(
        config.fields, group=None if is_starter else config.group, part=config.part, shape=config.shape, unread=unread
    )
    say = report or (lambda line: None)
    if is_starter:
        read = _read_bytes((files("sftframe") / "datasets" / "starter.jsonl").read_bytes(), ".jsonl", config, names)
    elif config.source == "ch07":
        data = _chapter_data(cache_dir or downloads.cache_dir(), say, on_bytes)
        read = _read_bytes(data, ".json", config, names)
    else:
        if config.source.startswith(HUB):
            say(f"{config.source}: from the Hugging Face hub, or from its cache")
        read = read_source(config.source, names, config.limit)
    for note in read.notes:
        say(note)
    dataset, _ = make_dataset(read, config, names, on_lost_inputs=on_lost_inputs)
    if is_starter:
        dataset = _with_families(dataset, config.group)
    own: dict[PartName, str | None] = {"test": config.test, "validation": config.validation}
    for part, source in own.items():
        if source is not None:
            dataset = _with_part(dataset, part, _file_of_part(part, source, config, unread, say, on_lost_inputs))
    num_empty = sum(not example.output or example.output.isspace() for example in dataset.examples)
    if num_empty:
        have = "has" if num_empty == 1 else "have"
        say(f"{config.source}: {num_empty} of {len(dataset.examples)} entries {have} an empty output")
    return dataset


def _file_of_part(
    part: PartName,
    source: str,
    config: DataConfig,
    unread: Collection[str],
    say: Report,
    on_lost_inputs: Report | None,
) -> Dataset:
    """The examples of `data.test` or `data.validation`."""
    if source in NAMED:
        raise ConfigError(f"data.{part}: expected a file, a folder or a pattern, found {source!r}")
    try:
        return load_examples(
            config.model_copy(update={"source": source, "test": None, "validation": None, "part": None}),
            report=say,
            on_lost_inputs=on_lost_inputs,
            unread=unread,
        )
    except DataError as error:
        raise DataError(f"data.{part}: {error}") from error


def _with_part(dataset: Dataset, part: PartName, other: Dataset) -> Dataset:
    """A dataset with another one as one of its parts; the indices of the other one follow its own.

    Raises:
        ConfigError: the dataset has such a part already.
    """
    if part in dataset.parts:
        raise ConfigError(
            f"data.{part}: {dataset.source} has a {part} part of its own; leave data.{part} out, or give a source "
            "without this part"
        )
    start = max(dataset.num_rows, dataset.examples[-1].index + 1)
    moved = tuple(replace(example, index=start + example.index) for example in other.examples)
    hashes = f"{dataset.sha256}\n{part} {other.sha256}\n"
    changes = Counter(dataset.changes)
    changes.update(other.changes)
    return replace(
        dataset,
        sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        examples=(*dataset.examples, *moved),
        unused_columns=summed_columns([*dataset.unused_columns, *other.unused_columns]),
        num_rows=dataset.num_rows + other.num_rows,
        dropped=(*dataset.dropped, *other.dropped),
        changes=dict(changes),
        parts=(*(dataset.parts or [None] * len(dataset.examples)), *([part] * len(moved))),
        part_files={
            **dataset.part_files,
            part: {"source": other.source, "sha256": other.sha256, **other.origin},
        },
    )


STARTER_GROUP = "family"
"""What the groups of the bundled data are called, as a value of `data.group`."""


def _with_families(dataset: Dataset, group: str | Literal[False] | None) -> Dataset:
    """The bundled data with the families of its questions as groups.

    They are in a file of their own, so that the data file keeps its bytes and its SHA-256.
    """
    if group is False:
        return dataset
    if group not in (None, STARTER_GROUP):
        raise missing_group(str(group), [STARTER_GROUP])
    families = (files("sftframe") / "datasets" / "starter-families.txt").read_text(encoding="utf-8").split("\n")
    examples = zip(dataset.examples, families, strict=False)  # `data.limit` leaves examples out
    return replace(dataset, examples=tuple(replace(example, group=family) for example, family in examples))


def read_source(source: str, names: FieldNames, limit: int | None) -> ReadFiles:
    """The entries of a dataset of the hub, of a folder that `datasets` has saved, or of files.

    Raises:
        DataError: it cannot be read.
        ConfigError: the name of a dataset of the hub is none.
    """
    if source.startswith(HUB):
        return read_hub(source, names, limit)
    try:
        is_folder_of_datasets = is_saved(Path(source).expanduser())
    except (OSError, ValueError, RuntimeError):
        is_folder_of_datasets = False  # reading it says what is wrong
    return (read_saved if is_folder_of_datasets else read_files)(source, names, limit)


def _read_bytes(data: bytes, suffix: str, config: DataConfig, names: FieldNames) -> ReadFiles:
    entries = parse_entries(data, suffix, config.source, names)
    return ReadFiles(entries=first_entries(entries, config.limit), sha256=hashlib.sha256(data).hexdigest())


def make_dataset(
    read: ReadFiles, config: DataConfig, names: FieldNames, *, on_lost_inputs: Report | None = None
) -> tuple[Dataset, tuple[str, ...]]:
    """The examples of a source's entries with what was done to them, and their answers if the names have a response.

    Args:
        on_lost_inputs: gets the line about lost inputs; without it, lost inputs are an error.

    Raises:
        DataError: an entry cannot be used, or inputs would be lost because their column has another name.
    """
    source, entries = config.source, read.entries
    rows = read_rows(entries, source, names, row_rules(config))
    unused = unused_columns(entries.values, rows.names)
    lost = lost_inputs(entries.values, unused, rows.names)
    if lost is not None:
        if on_lost_inputs is None:
            raise DataError(f"{source}: {lost}")
        on_lost_inputs(f"{source}: {lost}")
    keys = (
        UnusedColumn(name=key, num_filled=count, has_text=True, is_message_key=True)
        for key, count in rows.unread_keys.items()
    )
    dataset = Dataset(
        source=source,
        sha256=read.sha256,
        examples=rows.examples,
        unused_columns=(*unused, *entries.unread, *keys),
        shape=shape_text(rows.names),
        num_rows=len(entries.values),
        dropped=rows.dropped,
        changes=rows.changes,
        parts=rows.parts,
        origin=read.origin,
    )
    return dataset, rows.answers


def row_rules(config: DataConfig) -> RowRules:
    """How the settings say that rows become examples."""
    return RowRules(
        is_dropping=config.invalid == "drop",
        turns=config.turns,
        conversations=Rules(roles=config.roles, is_mending=config.mend),
    )


def _chapter_data(cache_dir: Path, say: Report, on_bytes: OnBytes | None) -> bytes:
    target = cache_dir / "ch07" / "instruction-data.json"
    url = os.environ.get("SFTFRAME_CH07_URL") or CH07_URL
    if not target.exists():
        say(f"ch07: downloading {url}")
    try:
        return downloads.fetch(url, target, sha256=CH07_SHA256, max_bytes=_MOST_BYTES, on_bytes=on_bytes).read_bytes()
    except downloads.DownloadError as error:
        raise DataError(
            f"cannot get the data 'ch07': {error}; if you have the file, put it at {target} or pass it with --data FILE"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredDataset:
    """Examples with an answer each."""

    dataset: Dataset
    answers: tuple[str, ...]
    """One per example, in their order."""


def load_answered(config: DataConfig, *, needs_group: bool = True) -> AnsweredDataset:
    """The answered examples in the file `data.source`, all of them checked.

    The answer is the field `model_response`, or the one that `data.fields.response` names; it may be empty.

    Args:
        needs_group: a file without the field `data.group` is an error; else its examples have no groups.

    Raises:
        DataError: no such file, a file that cannot be read, or an entry that cannot be used; names entry and field.
        ConfigError: `data.fields` gives two fields the same name in the file.
    """
    if not needs_group:
        try:
            return load_answered(config)
        except NoSuchGroupError:
            return load_answered(config.model_copy(update={"group": None}))
    names = FieldNames.of(config.fields, has_response=True, group=config.group, shape=config.shape)
    if config.turns in ("first", "each"):
        raise ConfigError(f"data.turns={config.turns}: an answer belongs to the last exchange; leave data.turns out")
    dataset, answers = make_dataset(read_source(config.source, names, config.limit), config, names)
    return AnsweredDataset(dataset=dataset, answers=answers)
