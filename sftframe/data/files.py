"""The files of a source: one file, those of a folder or of a pattern, also compressed."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sftframe.data.columns import FieldNames, UnusedColumn
from sftframe.data.formats import READERS, Entries, FilePart, Reader, Unreadable, read_parquet
from sftframe.data.parts import PartName, parts_of_files
from sftframe.errors import DataError, suggestion
from sftframe.files import check_plain, content_kind, path_hint, read_named_file

NAMED = ("starter", "ch07")
"""Sources that are no files."""
HUB = "hf:"
"""How a source begins that is a dataset of the Hugging Face hub."""
PACKED = (".gz", ".zst")
"""Endings of compressed files, after the ending of what is inside."""
KINDS = f"{', '.join(READERS)}, each also with {' or '.join(PACKED)}"
_NO_DATA = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""Files that describe data and have none."""
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """The files that a source names."""

    paths: Sequence[Path]
    labels: Sequence[str]
    """Their names in messages."""
    names: Sequence[str]
    """Their names in the folder, with `/`."""
    others: Sequence[str] = ()
    """Files of the same place that are not read."""
    is_one: bool = False
    """The source is a file, not a folder or a pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFiles:
    """The entries of all files of a source."""

    entries: Entries
    sha256: str
    """Of the file's bytes; of several files, of their names and hashes."""
    notes: Sequence[str] = ()
    """What is worth saying."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """Of a dataset of the hub its `revision`, `configuration` and `fingerprint`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of several files or tables of a source."""

    label: str
    """Its name in messages."""
    part: PartName | None
    """The part of the split that it is; None = not named."""
    entries: Entries


def read_files(source: str, names: FieldNames, limit: int | None = None) -> ReadFiles:
    """The entries of a file, or of all data files of a folder or pattern in the order of their names.

    Args:
        limit: no more than these first entries, of each part if the files have parts; files after them are not looked
            at, but they count in the hash.

    Raises:
        DataError: there is no such file, or one of them cannot be read.
    """
    with _explained(source):
        found = source_files(source)
    left = most_bytes()
    hashes: list[str] = []
    parts: list[Part] = []
    part_names = parts_of_files(found.names)
    num_read: Counter[PartName | None] = Counter()
    for path, label, part in zip(found.paths, found.labels, part_names, strict=True):
        with _explained(label):
            data = read_named_file(path, most=left)
        left -= len(data)
        hashes.append(hashlib.sha256(data).hexdigest())
        if limit is None or num_read[part] < limit:
            content = unpacked(data, label, most=left)
            if content is data:
                _check_not_packed(path, data, label)
            entries = parse_entries(content, ending(path), label, names)
            entries = first_entries(entries, None if limit is None else limit - num_read[part])
            parts.append(Part(label=label, part=part, entries=entries))
            num_read[part] += len(entries.values)
    if found.is_one:
        return ReadFiles(entries=parts[0].entries, sha256=hashes[0])
    lines = "".join(f"{name}\0{sha256}\n" for name, sha256 in zip(found.names, hashes, strict=True))
    number = "1 file" if len(found.paths) == 1 else f"{len(found.paths):,} files"
    others = (
        f"; not read: {', '.join(found.others[:5])}{', …' if len(found.others) > 5 else ''}" if found.others else ""
    )
    return ReadFiles(
        entries=merged(parts),
        sha256=hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest(),
        notes=[
            f"{source}: {number} read in the order of their names{others}",
            *_about_parts(source, found, part_names),
        ],
    )


def _about_parts(source: str, found: SourceFiles, parts: Sequence[PartName | None]) -> Iterator[str]:
    if any(parts):
        pairs = (f"{name} is {part or 'train'}" for name, part in zip(found.names, parts, strict=True))
        yield f"{source}: parts by the names of the files: {', '.join(pairs)}"


def source_files(source: str) -> SourceFiles:
    """The files of a source: a file, the data files in a folder (not in folders below it), or those of a pattern.

    Raises:
        DataError: there is none, or its kind is unknown.
        OSError: the place cannot be read.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _of_folder(source, path)
    if is_pattern(source) and not path.exists():
        return _of_pattern(source, path)
    if ending(path) not in READERS and path.suffix.lower() not in PACKED:
        raise _unknown(source, path)
    return SourceFiles(paths=[path], labels=[source], names=[path.name], is_one=True)


def source_places(source: str) -> tuple[Path, ...]:
    """The files and folders that are read for a source; empty if it is no file, or is not there."""
    if source in NAMED or source.startswith(HUB):
        return ()
    try:
        path = Path(source).expanduser()
        if is_saved(path):
            return (path, *sorted(path.rglob("*")))
        if path.is_file() or not (path.exists() or is_pattern(source)):
            return (path,) if path.exists() else ()
        folder = path if path.is_dir() else fixed_part(str(path))
        return (folder, *source_files(source).paths)
    except DataError:  # no data in it
        return (folder,)
    except (OSError, ValueError, RuntimeError):
        return ()


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk` of `datasets`."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def is_pattern(source: str) -> bool:
    """Whether a source is a pattern of files, as `data/*.jsonl`, if there is no file with this name.

    >>> is_pattern("data/*.jsonl"), is_pattern("data.jsonl")
    (True, False)
    """
    return any(sign in source for sign in "*?[")


def absolute_source(source: str) -> str:
    """A source that is a file, folder or pattern, made absolute, so that a run can be resumed from elsewhere."""
    if source in NAMED or source.startswith(HUB):
        return source
    try:
        path = Path(source).expanduser()
        return str(path.absolute()) if path.exists() or is_pattern(source) else source
    except (OSError, RuntimeError, ValueError):  # too long for a path
        return source


def ending(path: Path) -> str:
    """A name's ending in lower case, without that of a compressed file.

    >>> ending(Path("train.JSON.gz")), ending(Path("train.gz"))
    ('.json', '')
    """
    endings = [suffix.lower() for suffix in path.suffixes[-2:]]
    if endings and endings[-1] in PACKED:
        return endings[0] if len(endings) == 2 else ""
    return endings[-1] if endings else ""


def _is_data(path: Path) -> bool:
    return ending(path) in READERS and path.name not in _NO_DATA and not path.name.startswith(".")


def _of_folder(source: str, folder: Path) -> SourceFiles:
    inside = sorted(folder.iterdir(), key=lambda path: path.name)
    there = [path for path in inside if path.is_file()]
    paths = [path for path in there if _is_data(path)]
    if not paths:
        folders = [path.name for path in inside if path.is_dir() and not path.name.startswith(".")]
        below = f"; folders in it: {', '.join(folders[:5])}: name one of them" if folders else ""
        raise DataError(f"data: {source} is a folder without data files, expected {KINDS}{below}")
    _check_number(source, paths)
    return SourceFiles(
        paths=paths,
        labels=[str(Path(source) / path.name) for path in paths],
        names=[path.name for path in paths],
        others=[path.name for path in there if path not in paths and not path.name.startswith(".")],
    )


def _of_pattern(source: str, path: Path) -> SourceFiles:
    base = fixed_part(str(path))
    there = sorted(one for one in base.glob(path.relative_to(base).as_posix()) if one.is_file())
    paths = [one for one in there if _is_data(one)]
    if not paths:
        other = f": {there[0].name} and {len(there) - 1:,} others have another ending" if there else ""
        raise DataError(f"data: no data file is like {source} (looked in {Path.cwd()}), expected {KINDS}{other}")
    _check_number(source, paths)
    return SourceFiles(
        paths=paths,
        labels=[str(one) for one in paths],
        names=[one.relative_to(base).as_posix() for one in paths],
        others=[one.name for one in there if one not in paths],
    )


def _check_number(source: str, paths: Sequence[Path]) -> None:
    if len(paths) > _MOST_FILES:
        raise DataError(f"data: {source} names {len(paths):,} files, expected at most {_MOST_FILES:,}: join them first")


def fixed_part(pattern: str) -> Path:
    """The folder before the first sign of a pattern.

    >>> fixed_part("data/*/train-*.jsonl").as_posix()
    'data'
    """
    parts = Path(pattern).parts
    count = next((place for place, part in enumerate(parts) if is_pattern(part)), len(parts))
    return Path(*parts[:count])


@contextmanager
def _explained(source: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        shown = source if source.isprintable() else repr(source)
        raise DataError(f"data: no file {shown} (looked in {Path.cwd()}){path_hint(source)}") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"data: cannot read {source}: {reason}") from error


def most_bytes() -> int:
    """A quarter of this machine's memory: entries take about four times the size of their text."""
    import psutil

    return max(2**30, int(psutil.virtual_memory().total) // 4)


def _unknown(source: str, path: Path) -> DataError:
    if path.exists():
        check_plain(path)
        with path.open("rb") as file:
            start = file.read(2**20)
        what = content_kind(start)
        ending = repr(path.suffix) if path.suffix else "no ending"
        found = f"is {what}; then" if what else f"has {ending},"
        if not what and path.suffix.lower() in (".txt", ".md") and not start.lstrip().startswith((b"{", b"[")):
            return DataError(
                f"data: {source} is text alone, as for pretraining; expected questions with their answers in one of "
                f"{KINDS}"
            )
        return DataError(f"data: {source} {found} expected one of {KINDS}")
    near = suggestion(source, NAMED)
    name = None if path.parent.exists() else _NAME_OF_HUB.fullmatch(source)
    hub = f"; --data {HUB}{name[1]} reads this dataset of the Hugging Face hub" if name is not None else ""
    return DataError(f"no data source or file {source!r}{near}, or a file: {KINDS}{hub}{path_hint(source)}")


_NAME_OF_HUB = re.compile(r"(?:https://huggingface\.co/datasets/)?([A-Za-z0-9][\w-]*/[A-Za-z0-9][\w.-]*)/?", re.ASCII)
"""A dataset's name or address, given without `hf:`."""


def unpacked(data: bytes, label: str, *, most: int) -> bytes:
    """The bytes in a file compressed with gzip or zstd; other bytes as they are.

    Args:
        most: bytes; what is larger unpacked is refused.

    Raises:
        DataError: it is damaged, too large, or zstandard is not installed.
    """
    if data.startswith(b"\x1f\x8b"):
        return b"".join(_limited(_gunzipped(data, label, most), label, most))
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return b"".join(_limited(_unzstd(data, label), label, most))
    return data


def _check_not_packed(path: Path, data: bytes, label: str) -> None:
    """Refuse bytes that are neither packed, as the file's name says, nor what is inside.

    A file that was unpacked on its way and kept its name is read.
    """
    name = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower())
    if name is None or data.isspace() or data.startswith(b"PAR1") or content_kind(data) is not None:
        return
    if ending(path) in (".csv", ".tsv"):
        may_be_inside = not re.search(rb"[\0-\x08\x0e-\x1f]", data[:4096])
    else:
        may_be_inside = bool(re.match(rb"\s*[\[{]", data[:4096].removeprefix(b"\xef\xbb\xbf")))
    if data and not may_be_inside:
        raise DataError(
            f"{label} is not {name}, which its name says: fetch or write it again, or give it the name of what is "
            "inside"
        )


def _limited(pieces: Iterable[bytes], label: str, most: int) -> Iterator[bytes]:
    left = most
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise DataError(f"data: cannot read {label}: unpacked it has more than {most / 2**20:,.0f} MB: cut it up")
        yield piece


def _gunzipped(data: bytes, label: str, most: int) -> Iterator[bytes]:
    rest = data
    while rest.strip(b"\0"):  # several members, and zeros that fill a block
        unpacker = zlib.decompressobj(wbits=31)
        try:
            yield unpacker.decompress(rest, most + 1)
        except zlib.error as error:
            raise DataError(f"{label}: damaged gzip file: {error}; fetch or write it again") from None
        if not unpacker.eof and not unpacker.unconsumed_tail:
            raise DataError(f"{label}: the gzip file ends too early: fetch or write it again")
        rest = unpacker.unused_data


def _unzstd(data: bytes, label: str) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError as error:
        raise DataError(f"{label}: reading zstd needs zstandard: pip install 'sftframe[zstd]'") from error
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    for start in range(0, len(data), 1024):  # little at a time: 4 bytes can stand for 128 KB
        piece = data[start : start + 1024]
        while piece:
            if unpacker.eof:  # another frame follows
                unpacker = zstandard.ZstdDecompressor().decompressobj()
            try:
                yield unpacker.decompress(piece)
            except zstandard.ZstdError as error:
                raise DataError(f"{label}: damaged zstd file: {error}; fetch or write it again") from None
            piece = unpacker.unused_data if unpacker.eof else b""
    if not unpacker.eof:
        raise DataError(f"{label}: the zstd file ends too early: fetch or write it again")


def parse_entries(data: bytes, suffix: str, label: str, names: FieldNames) -> Entries:
    """The entries of a file.

    Args:
        suffix: the name's ending; without a known one JSON is recognised by its content.

    Raises:
        DataError: the file is empty, or cannot be read.
    """
    expected = f"expected at least one entry with {names.listed()}"
    if not data or data.isspace():
        raise DataError(f"{label} is empty: {expected}")
    reader: Reader
    if data.startswith(b"PAR1"):
        reader = read_parquet
    elif suffix in READERS:
        reader = READERS[suffix]
    elif re.match(rb"\s*[\[{]", data[:100].removeprefix(b"\xef\xbb\xbf")):
        reader = READERS[".json"]
    else:
        what = content_kind(data)
        raise DataError(
            f"data: {label} is {what}" if what else f"data: {label}: expected a name as train.csv.gz: {KINDS}"
        )
    entries = reader(data, label, names)
    if not entries.values:
        raise DataError(f"{label} has no entries: {expected}")
    return entries


def first_entries(entries: Entries, limit: int | None) -> Entries:
    """As many of the first entries; None = all."""
    lines = None if entries.lines is None else entries.lines[:limit]
    return replace(entries, values=entries.values[:limit], lines=lines)


def merged(parts: Sequence[Part]) -> Entries:
    """The entries of several files; each one still knows its file."""
    values: list[object] = []
    lines: list[int | None] = []
    files: list[FilePart] = []
    for one in parts:
        files.append(FilePart(label=one.label, start=len(values), part=one.part))
        for place, value in enumerate(one.entries.values):
            if isinstance(value, Unreadable):
                value = replace(value, message=f"{one.label}: {value.message}")
            values.append(value)
            lines.append(one.entries.line(place))
    return Entries(
        values=values,
        lines=lines,
        unread=summed_columns(one for part in parts for one in part.entries.unread),
        files=files,
    )


def summed_columns(columns: Iterable[UnusedColumn]) -> tuple[UnusedColumn, ...]:
    """The columns of several files, each name once."""
    found: dict[str, UnusedColumn] = {}
    for column in columns:
        before = found.get(column.name)
        found[column.name] = (
            column
            if before is None
            else replace(
                column,
                num_filled=column.num_filled + before.num_filled,
                has_text=column.has_text or before.has_text,
            )
        )
    return tuple(found.values())
