"""Datasets of the Hugging Face hub, and folders that `datasets` has saved: tables as Arrow, with parts of their own."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from sftframe.data.columns import FieldNames, UnusedColumn
from sftframe.data.files import HUB, Part, ReadFiles, first_entries, merged, most_bytes
from sftframe.data.formats import Entries, check_columns, has_text, rows_of_table, without_bytes
from sftframe.data.parts import PartName, part_called
from sftframe.data.shapes import MOST_LOOKED_AT
from sftframe.errors import ConfigError, DataError
from sftframe.files import check_plain

_BUILDERS = ("json", "csv", "parquet", "arrow", "text", "cache")
"""Kinds of files that `datasets` reads as plain tables; `cache` has what was read before, to work without a network."""
_OLDEST = 4
"""Major version of `datasets` that no longer runs the code of a dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubName:
    """A dataset of the hub: `hf:owner/name@revision:configuration#split`, all but the name optional."""

    name: str
    revision: str | None = None
    configuration: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, source: str) -> Self:
        """The parts of a source.

        Raises:
            ConfigError: it is no such name.

        >>> HubName.parse("hf:openai/gsm8k@main:socratic#train").configuration
        'socratic'
        """
        found = _NAME.fullmatch(source)
        if found is None:
            raise ConfigError(
                f"data.source: {source!r} is no dataset of the hub, expected "
                "hf:OWNER/NAME[@REVISION][:CONFIGURATION][#SPLIT], as hf:tatsu-lab/alpaca"
            )
        return cls(**found.groupdict())


_NAME = re.compile(
    r"hf:(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?(:(?P<configuration>[\w.+-]+))?"
    r"(#(?P<split>[\w.+:\[\]%-]+))?",
    re.ASCII,
)


def is_hub(source: str) -> bool:
    """Whether a source is a dataset of the hub.

    >>> is_hub("hf:tatsu-lab/alpaca"), is_hub("alpaca.json")
    (True, False)
    """
    return source.startswith(HUB)


def read_hub(source: str, names: FieldNames, limit: int | None = None) -> ReadFiles:
    """The entries of a dataset of the hub. Files of it are read, code is never run.

    Without a split in the source, splits called train, test and validation are the parts of the same names.

    Raises:
        ConfigError: the source is no such name.
        DataError: `datasets` is not installed, the dataset cannot be had, or it has no table of texts.
    """
    hub = HubName.parse(source)
    if Path(hub.name).exists():
        raise DataError(
            f"{source}: there is a folder {hub.name} here, which would be read instead of the hub's dataset: name it "
            f"as --data ./{hub.name}, or work in another folder"
        )
    datasets = _library(source)
    with _quiet(datasets), _explained(source, datasets):
        builder = datasets.load_dataset_builder(hub.name, hub.configuration, revision=hub.revision)
        kind = type(builder).__module__.rpartition(".")[2]
        if kind not in _BUILDERS:
            raise DataError(
                f"{source}: its files are of the kind {kind!r}, expected tables of text: JSON, CSV or Parquet"
            )
        is_cached = kind == "cache" and hub.revision not in (None, builder.hash)
        if is_cached and re.fullmatch(r"[0-9a-f]{7,40}", str(hub.revision)):
            raise DataError(
                f"{source}: only revision {builder.hash} is in the cache and there is no network: name it, or connect"
            )
        builder.download_and_prepare()
        found = builder.as_dataset(split=hub.split)
    tables = {hub.split: found} if hub.split else _parts_of(found, source)
    is_named = not hub.split and len(tables) > 1
    parts = [
        Part(
            label=f"{source}#{name}" if is_named else source,
            part=part_called(name) if is_named else None,
            entries=_entries_of(table, f"{source}#{name}" if is_named else source, names, limit),
        )
        for name, table in tables.items()
    ]
    known = {
        "revision": builder.hash,
        "configuration": builder.config.name,
        "fingerprint": ", ".join(str(table._fingerprint) for table in tables.values()),
    }
    read = _of_parts(source, parts, {key: str(value) for key, value in known.items() if value})
    unchecked = (
        f"{source}: without a network {hub.revision} cannot be looked up; revision {builder.hash} is in the cache"
    )
    return replace(read, notes=[unchecked, *read.notes]) if is_cached else read


def _entries_of(table: Any, label: str, names: FieldNames, limit: int | None) -> Entries:
    """The entries of a `datasets.Dataset`."""
    arrow = table.with_format("arrow")
    types = {field.name: field.type for field in table.data.schema}
    return _entries(
        label,
        names,
        limit,
        types=types,
        num_filled={name: len(table) - table.data.column(name).null_count for name in table.column_names},
        first=arrow.select_columns(without_bytes(types))[:MOST_LOOKED_AT].to_pylist(),
        batches=lambda read: (batch.to_pylist() for batch in arrow.select_columns(list(read)).iter(batch_size=4096)),
    )


def _library(source: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"{source}: reading from the hub needs datasets: pip install 'sftframe[hub]'") from error
    version = str(datasets.__version__)
    if int(version.partition(".")[0]) < _OLDEST:
        raise DataError(
            f"{source}: datasets {version} runs code of datasets, expected {_OLDEST}.0 or newer: "
            "pip install -U 'sftframe[hub]'"
        )
    return datasets


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Without the library's own progress bars and remarks."""
    hub_logger = logging.getLogger("huggingface_hub")
    were_disabled, level = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    hub_level = hub_logger.level
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    hub_logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        hub_logger.setLevel(hub_level)
        datasets.logging.set_verbosity(level)
        if not were_disabled:
            datasets.enable_progress_bars()


@contextmanager
def _explained(source: str, datasets: Any) -> Iterator[None]:
    import httpx

    try:
        yield
    except (OSError, ValueError, RuntimeError, httpx.HTTPError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        if "onfig name is missing" in reason:
            hint = "; a configuration is named as hf:OWNER/NAME:CONFIGURATION"
        elif "Couldn't reach" in reason:
            hint = (
                ", and its cache does not have it: connect once, or fetch its files in another way and name them with "
                "--data"
            )
        else:
            hint = ""
        raise DataError(f"cannot get the data {source}: {reason}{hint}") from error


_LONGEST_REASON = 500


def _parts_of(found: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The splits that are read if none is named: train, test and validation, or the only one."""
    if len(found) == 1:
        return dict(found)
    named = {name: table for name, table in found.items() if part_called(name) is not None}
    if "train" in {part_called(name) for name in named}:
        return named
    first = next(iter(found))
    raise DataError(
        f"{source}: no split is called train; its splits: {', '.join(found)}. Name one as {source}#{first}, and others "
        f"with --set data.test={source}#SPLIT and data.validation"
    )


def read_saved(source: str, names: FieldNames, limit: int | None = None) -> ReadFiles:
    """The entries of a folder that `save_to_disk` of `datasets` wrote: a table, or several of them as parts.

    Raises:
        DataError: a file is missing or damaged, or pyarrow is not installed.
    """
    folder = Path(source).expanduser()
    if (folder / "dataset_dict.json").is_file():
        splits = _json(folder / "dataset_dict.json").get("splits")
        if not isinstance(splits, list) or not splits or not all(_is_plain(name) for name in splits):
            raise DataError(f"{folder / 'dataset_dict.json'} names no splits: the folder is damaged, save it again")
        is_named = len(splits) > 1 and "train" in map(part_called, splits)
        if len(splits) > 1 and not is_named:
            raise DataError(
                f"data: {source} has the splits {', '.join(splits)}, and none is called train: name one as "
                f"{Path(source) / splits[0]}, and others with --set data.test=FOLDER and data.validation"
            )
        used = [name for name in splits if not is_named or part_called(name) is not None]
        parts = [
            _saved(folder / name, str(Path(source) / name), names, limit, part_called(name) if is_named else None)
            for name in used
        ]
    else:
        parts = [_saved(folder, source, names, limit, None)]
    return _of_parts(source, parts, {})


def _saved(folder: Path, label: str, names: FieldNames, limit: int | None, part: PartName | None) -> Part:
    try:
        import pyarrow
    except ImportError as error:
        raise DataError(f"{label}: reading Arrow needs pyarrow: pip install 'sftframe[parquet]'") from error
    state = _json(folder / "state.json")
    files = [one.get("filename") for one in state.get("_data_files") or () if isinstance(one, dict)]
    if not files or not all(_is_plain(name) for name in files):
        raise DataError(f"{folder / 'state.json'} names no data files: the folder is damaged, save it again")
    try:
        table = pyarrow.concat_tables([_table(folder / str(name), label) for name in files])
        types = {one.name: one.type for one in table.schema}
        entries = _entries(
            label,
            names,
            limit,
            types=types,
            num_filled={name: table.num_rows - table.column(name).null_count for name in table.column_names},
            first=table.slice(0, MOST_LOOKED_AT).select(without_bytes(types)).to_pylist(),
            batches=lambda read: (
                batch.to_pylist() for batch in table.select(list(read)).to_batches(max_chunksize=4096)
            ),
        )
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{label}: not a readable Arrow table: {' '.join(str(error).split())}") from error
    return Part(label=label, part=part, entries=entries)


def _table(path: Path, label: str) -> Any:
    """A file of Arrow's stream format; its buffers are checked, because they come from others."""
    import pyarrow

    batches, left = [], most_bytes()
    check_plain(path)
    with pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))) as reader:
        for batch in reader:
            left -= batch.nbytes  # unpacked: a small file may have compressed buffers
            if left < 0:
                raise DataError(f"data: cannot read {label}: it is larger than a quarter of the memory")
            batches.append(batch)
        table = pyarrow.Table.from_batches(batches, schema=reader.schema)
    table.validate(full=True)
    return table


def _is_plain(name: object) -> bool:
    """Whether a name leads to nothing outside of its folder."""
    return isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name, re.ASCII) is not None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"data: cannot read {path}: {reason}") from None
    return found if isinstance(found, dict) else {}


def _entries(
    label: str,
    names: FieldNames,
    limit: int | None,
    *,
    types: Mapping[str, Any],
    num_filled: Mapping[str, int],
    first: Sequence[object],
    batches: Callable[[Sequence[str]], Iterator[Sequence[object]]],
) -> Entries:
    """The entries of a table of which only the needed columns are read.

    Args:
        types: the Arrow type by column.
        first: the first rows.
        batches: gives the rows of some columns.
    """
    names = check_columns(list(types), label, names, entries=first)

    def rows(columns: Sequence[str]) -> list[object]:
        found: list[object] = []
        for batch in batches(columns):
            found.extend(batch)
            if limit is not None and len(found) >= limit:
                break
        return found

    values, read = rows_of_table(types, names, rows)
    if not values:
        raise DataError(f"{label} has no entries: expected at least one entry with {names.listed()}")
    unread = [
        UnusedColumn(name=name, num_filled=num_filled[name], has_text=has_text(types[name]))
        for name in types
        if name not in read and num_filled[name]
    ]
    return first_entries(Entries(values=values, unread=unread), limit)


def _of_parts(source: str, parts: Sequence[Part], origin: Mapping[str, str]) -> ReadFiles:
    """All parts together; the hash is of the rows, so that it does not depend on files and versions."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.part or ''}\n".encode())
        for value in part.entries.values:
            digest.update(json.dumps(value, sort_keys=True, default=repr).encode() + b"\n")
    notes = []
    if any(part.part for part in parts):
        notes.append(f"{source}: parts of its own: {', '.join(str(part.part) for part in parts)}")
    return ReadFiles(entries=merged(parts), sha256=digest.hexdigest(), notes=notes, origin=origin)
