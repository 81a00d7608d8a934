"""What another trainer fed its model: rows of `input_ids` and `labels`, as TRL, Axolotl and LLaMA-Factory can write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftframe.errors import DataError
from sftframe.files import decoded_object, path_hint

IGNORED = -100
"""The label of a token that does not count, in Hugging Face's form: a label stands at its token's own place."""
_MASKS = ("completion_mask", "assistant_masks", "assistant_mask", "loss_mask")
"""Columns that say which tokens count, where there are no labels yet: 1 = counts."""
_LENGTHS = ("seq_lengths", "length_per_sample")
"""Columns with the lengths of the rows that were packed into one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpRow:
    """One row that was trained on, without padding."""

    place: str
    """Where it is in the dump, in words."""
    ids: tuple[int, ...]
    counted: tuple[bool, ...]
    """Whether each token is a target that counts. The first of a row never is: nothing predicts it."""
    has_labels: bool = True
    """The dump says which tokens count; if not, all do."""


def read_dump(path: Path) -> list[DumpRow]:
    """All rows of a dump: a .jsonl, .json or .parquet file, or a folder that `datasets` saved (its part `train`).

    Padding is cut off; rows that were packed into one are taken apart where the dump says how.

    Raises:
        DataError: there is no such file, it is no dump, or a row in it cannot be used.
    """
    rows = [row for number, entry in enumerate(_entries(path)) for row in _rows(entry, f"row {number}", path)]
    if not rows:
        raise DataError(f"{path} has no rows, expected rows with input_ids and labels")
    return rows


def _entries(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.is_dir():
        yield from _saved_folder(path)
    elif not path.exists():
        raise DataError(f"no file or folder {path}{path_hint(str(path))}: expected what another trainer fed its model")
    elif path.suffix.lower() == ".parquet":
        yield from _arrow_rows(path, is_parquet=True)
    elif path.suffix.lower() in (".jsonl", ".json", ".ndjson"):
        yield from _json_rows(path)
    else:
        raise DataError(f"{path}: expected .jsonl, .json, .parquet, or a folder of datasets.save_to_disk")


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    text = path.read_bytes()
    if text.lstrip()[:1] == b"[":
        try:
            found = json.loads(text)
        except ValueError as error:
            raise DataError(f"{path}: not valid JSON: {error}") from None
        yield from _objects(found, path)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            entry = decoded_object(line)
            if entry is None:
                raise DataError(f"{path}: line {number} is no JSON object, expected one row with input_ids and labels")
            yield entry


def _objects(found: object, path: Path) -> Iterator[Mapping[str, Any]]:
    for number, entry in enumerate(found if isinstance(found, list) else [found]):
        if not isinstance(entry, dict):
            raise DataError(f"{path}: row {number} is no object, expected input_ids and labels")
        yield entry


def _saved_folder(path: Path) -> Iterator[Mapping[str, Any]]:
    """The Arrow files of a folder that `datasets` saved; a folder of several parts gives its `train`."""
    state = path / "state.json"
    if not state.exists() and (path / "train" / "state.json").exists():
        path, state = path / "train", path / "train" / "state.json"
    if not state.exists():
        raise DataError(f"{path} has no state.json: expected a file, or a folder of datasets.save_to_disk")
    try:
        names = [str(file["filename"]) for file in json.loads(state.read_bytes())["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{state}: not readable as the state of a saved dataset: {error!r}") from None
    for name in names:
        if Path(name).name != name:
            raise DataError(f"{state} names the file {name!r}, expected one in the same folder")
        yield from _arrow_rows(path / name, is_parquet=False)


def _arrow_rows(path: Path, *, is_parquet: bool) -> Iterator[Mapping[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(f"{path}: reading it needs pyarrow: pip install 'sftframe[parquet]'") from None
    try:
        if is_parquet:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=1024):
                    yield from batch.to_pylist()
            return
        with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as stream:
            for batch in stream:
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not readable: {' '.join(str(error).split())}") from None


def _rows(entry: Mapping[str, Any], place: str, path: Path) -> Iterator[DumpRow]:
    ids = entry.get("input_ids")
    if isinstance(ids, list) and ids and all(isinstance(row, list) for row in ids):  # a batch in one entry
        for number, _ in enumerate(ids):
            columns = {
                name: value[number] if isinstance(value, list) and len(value) == len(ids) else value
                for name, value in entry.items()
            }
            yield from _rows(columns, f"{place}, {number} of its batch", path)
        return
    if not _is_integers(ids):
        available = ", ".join(map(repr, entry)) or "nothing"
        raise DataError(f"{path}: {place} has no list of integers in 'input_ids'; it has {available}")
    assert isinstance(ids, list)
    counted = _counted(entry, place, path, len(ids))
    for number, (start, stop) in enumerate(_pieces(entry, ids)):
        while stop > start and not _is_real(entry, stop - 1):
            stop -= 1
        while start < stop and not _is_real(entry, start):
            start += 1  # padded on the left
        if start < stop:
            where = place if (start, stop) == (0, len(ids)) or number == 0 else f"{place}, packed row {number}"
            targets = [True] * len(ids) if counted is None else counted
            yield DumpRow(
                place=where,
                ids=tuple(ids[start:stop]),
                counted=(False, *targets[start + 1 : stop]),
                has_labels=counted is not None,
            )


def _is_integers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)


def _counted(entry: Mapping[str, Any], place: str, path: Path, length: int) -> Sequence[bool] | None:
    """Which tokens count, from the labels or else from masks; a token counts if all masks have it.

    None if there are neither: TRL writes such rows where every token counts (its collator makes the labels).
    """
    labels = entry.get("labels")
    if labels is not None:
        if not _is_integers(labels) or len(labels) != length:
            raise DataError(f"{path}: {place} has {length} input_ids, expected as many integers in 'labels'")
        return [label != IGNORED for label in labels]
    masks = [entry[name] for name in _MASKS if entry.get(name) is not None]
    if not masks:
        return None
    if any(not isinstance(mask, list) or len(mask) != length for mask in masks):
        raise DataError(f"{path}: {place} has {length} input_ids, expected as many values in its mask")
    return [all(bool(mask[at]) for mask in masks) for at in range(length)]


def _is_real(entry: Mapping[str, Any], at: int) -> bool:
    """Whether a place is no padding, where the dump has an attention mask."""
    mask = entry.get("attention_mask")
    return not isinstance(mask, list) or at >= len(mask) or bool(mask[at])


def _pieces(entry: Mapping[str, Any], ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and stop of each row that was packed; usually one."""
    lengths = next((entry[name] for name in _LENGTHS if isinstance(entry.get(name), list)), None)
    positions = entry.get("position_ids")
    if lengths is not None and sum(lengths) == len(ids):
        starts = [sum(lengths[:number]) for number in range(len(lengths))]
    elif isinstance(positions, list) and len(positions) == len(ids):
        starts = [at for at, position in enumerate(positions) if position == 0 and _is_real(entry, at)]
    else:
        starts = [0]
    starts = starts or [0]
    yield from zip(starts, [*starts[1:], len(ids)], strict=True)
