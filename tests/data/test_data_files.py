"""Where entries come from: compressed files, folders and patterns."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sftframe.config import DataConfig
from sftframe.data import Dataset, absolute_source, load_answered, load_examples, source_places
from sftframe.data.files import unpacked
from sftframe.errors import DataError

Load = Callable[..., Dataset]


def row(text: str) -> dict[str, str]:
    return {"instruction": text, "output": "b"}


def zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    made: bytes = zstandard.ZstdCompressor().compress(data)
    return made


def parquet(data: bytes) -> bytes:
    import pyarrow
    from pyarrow import parquet

    made = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(json.loads(data)), made)
    return made.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three data files and others, below the current one."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "mine"
    (made / "deep").mkdir(parents=True)
    (made / "b.jsonl").write_text(f"{json.dumps(row('b1'))}\n\n{json.dumps(row('b2'))}\n")
    (made / "a.csv").write_text("instruction,output,topic\na1,b,x\n")
    (made / "c.json.gz").write_bytes(gzip.compress(json.dumps([row("c1"), {**row("c2"), "topic": "y"}]).encode()))
    (made / "README.md").write_text("# Mine")
    (made / "dataset_infos.json").write_text("{}")
    (made / ".hidden.json").write_text("no JSON")
    (made / "deep" / "d.jsonl").write_text(json.dumps(row("d1")))
    return made


def questions(dataset: Dataset) -> list[str]:
    return [example.instruction for example in dataset.examples]


@pytest.mark.parametrize("name", ["d.json.gz", "d.JSON.GZ", "d.gz", "d.json"])
@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_compressed_file_is_known_by_its_content(load: Load, name: str, pack: Callable[[bytes], bytes]) -> None:
    assert questions(load(name, pack(json.dumps([row("ä")], ensure_ascii=False).encode()))) == ["ä"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.jsonl.gz", json.dumps(row("a")).encode()),
        ("d.csv.gz", b"instruction,output\na,b\n"),
        ("d.tsv.gz", b"instruction\toutput\na\tb\n"),
        ("d.parquet.gz", parquet(json.dumps([row("a")]).encode())),
        ("d.json.gz", json.dumps([row("a")]).encode("utf-16")),
    ],
)
def test_every_kind_may_be_compressed(load: Load, name: str, content: bytes) -> None:
    assert questions(load(name, gzip.compress(content))) == ["a"]
    assert questions(load(name.replace(".gz", ".zst"), zstd(content))) == ["a"]


def test_the_hash_is_of_the_bytes_in_the_file(load: Load) -> None:
    import hashlib

    packed = gzip.compress(json.dumps([row("a")]).encode(), mtime=0)
    assert load("d.json.gz", packed).sha256 == hashlib.sha256(packed).hexdigest()


def test_several_members_and_frames_are_one_file(load: Load) -> None:
    lines = [f"{json.dumps(row(text))}\n".encode() for text in ("a", "b")]
    assert questions(load("d.jsonl.gz", b"".join(map(gzip.compress, lines)) + b"\0\0")) == ["a", "b"]
    assert questions(load("d.jsonl.zst", b"".join(map(zstd, lines)))) == ["a", "b"]


@pytest.mark.parametrize("content", [b"no data at all", b"\x00\x01\x02\x8b,\n", b"\x8b\x1f\x08"])
@pytest.mark.parametrize("inside", [".json", ".jsonl", ".csv", ".parquet", ""])
def test_a_file_that_is_not_packed_as_its_name_says_is_named_so(load: Load, content: bytes, inside: str) -> None:
    if inside == ".csv" and content.isascii():
        return  # it may be a table
    for ending, name in ((".gz", "gzip"), (".zst", "zstd")):
        with pytest.raises(DataError) as caught:
            load(f"d{inside}{ending}", content)
        assert str(caught.value) == (
            f"d{inside}{ending} is not {name}, which its name says: fetch or write it again, or give it the name of "
            "what is inside"
        )


@pytest.mark.parametrize("inside", [".json", ".jsonl", ""])
def test_a_file_that_was_unpacked_already_is_read_under_its_old_name(load: Load, inside: str) -> None:
    for mark in (b"", b"\xef\xbb\xbf\n"):
        assert questions(load(f"d{inside}.gz", mark + json.dumps([row("a")]).encode())) == ["a"]


@pytest.mark.parametrize(("name", "pack"), [("d.jsonl.gz", gzip.compress), ("d.jsonl.zst", zstd)])
def test_a_compressed_file_that_is_cut_or_damaged_is_told(
    load: Load, name: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(b"".join(f"{json.dumps(row(str(n)))}\n".encode() for n in range(1000)))
    for length in (10, len(packed) // 2, len(packed) - 1):
        with pytest.raises(DataError, match=rf"^{name}: the \w+ file ends too early: fetch or write it again$"):
            load(name, packed[:length])
    with pytest.raises(DataError, match=rf"^{name}: damaged \w+ file: "):
        load(name, packed[:20] + b"\xff" * 20 + packed[40:])


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_small_file_cannot_fill_the_memory(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"\0" * 20_000_000)
    assert len(packed) < 30_000
    with pytest.raises(DataError, match=r"cannot read d: unpacked it has more than 1 MB: cut it up"):
        unpacked(packed, "d", most=2**20)


def test_zstd_without_its_library_says_what_to_install(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(
        DataError, match=r"^d\.json\.zst: reading zstd needs zstandard: pip install 'sftframe\[zstd\]'$"
    ):
        load("d.json.zst", b"\x28\xb5\x2f\xfd")


def test_a_compressed_file_without_a_kind_says_which_names_there_are(load: Load) -> None:
    with pytest.raises(DataError, match=r"^data: d\.gz: expected a name as train\.csv\.gz: \.json, "):
        load("d.gz", gzip.compress(b"instruction,output\na,b\n"))


def test_all_data_files_of_a_folder_are_read_in_the_order_of_their_names(folder: Path) -> None:
    told: list[str] = []
    dataset = load_examples(DataConfig(source="mine"), report=told.append)
    assert questions(dataset) == ["a1", "b1", "b2", "c1", "c2"]
    assert [example.index for example in dataset.examples] == [0, 1, 2, 3, 4]
    assert told == ["mine: 3 files read in the order of their names; not read: README.md, dataset_infos.json"]
    assert [(column.name, column.num_filled) for column in dataset.unused_columns] == [("topic", 2)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("mine/*.jsonl", ["b1", "b2"]),
        ("mine/[ab].*", ["a1", "b1", "b2"]),
        ("mine/**/*.jsonl", ["b1", "b2", "d1"]),
        ("m*/c.json.gz", ["c1", "c2"]),
    ],
)
def test_a_pattern_names_files(folder: Path, pattern: str, expected: list[str]) -> None:
    assert questions(load_examples(DataConfig(source=pattern))) == expected
    assert questions(load_examples(DataConfig(source=str(folder.parent / pattern)))) == expected


def test_a_file_may_have_the_signs_of_a_pattern_in_its_name(load: Load) -> None:
    assert questions(load("d[1].json", json.dumps([row("a")]))) == ["a"]


def test_the_hash_of_a_folder_depends_on_names_and_contents(folder: Path) -> None:
    def sha256() -> str:
        return load_examples(DataConfig(source="mine")).sha256

    first = sha256()
    assert load_examples(DataConfig(source=str(folder), limit=1)).sha256 == first
    (folder / "README.md").write_text("changed")
    assert sha256() == first
    (folder / "b.jsonl").rename(folder / "b2.jsonl")
    second = sha256()
    (folder / "b2.jsonl").write_text(json.dumps(row("b1")))
    assert len({first, second, sha256()}) == 3


def test_a_bad_row_is_named_with_its_file(folder: Path) -> None:
    (folder / "b.jsonl").write_text(f'{json.dumps(row("b1"))}\n{{"instruction": "x"}}\n{{"cut')
    with pytest.raises(DataError, match=r"^mine: mine/b\.jsonl: entry 1 \(line 2\): no field 'output'.*1 of 6 entries"):
        load_examples(DataConfig(source="mine"))
    dataset = load_examples(DataConfig(source="mine", invalid="drop"))
    assert [(one.place, one.reason) for one in dataset.dropped] == [
        ("mine/b.jsonl, entry 1 (line 2)", "no field 'output'"),
        ("mine/b.jsonl, entry 2 (line 3)", "a line that is not valid JSON"),
    ]
    assert dataset.dropped[1].message.startswith("mine/b.jsonl: not valid JSON at line 3")
    assert [example.index for example in dataset.examples] == [0, 1, 4, 5]


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "b.jsonl").write_text("")
    with pytest.raises(DataError, match=r"^mine/b\.jsonl is empty"):
        load_examples(DataConfig(source="mine"))


def test_files_after_the_limit_are_not_looked_at(folder: Path) -> None:
    (folder / "c.json.gz").write_bytes(gzip.compress(b"no JSON"))
    assert questions(load_examples(DataConfig(source="mine", limit=2))) == ["a1", "b1"]


def test_a_folder_or_pattern_without_data_says_what_is_there(folder: Path) -> None:
    (folder / "empty" / "data").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"^data: mine/empty is a folder without data files, .*folders in it: data: name"
    ):
        load_examples(DataConfig(source="mine/empty"))
    with pytest.raises(DataError, match=r"^data: no data file is like mine/\*\.txt \(looked in "):
        load_examples(DataConfig(source="mine/*.txt"))
    with pytest.raises(
        DataError, match=r"no data file is like mine/\*\.md .*: README\.md and 0 others have another end"
    ):
        load_examples(DataConfig(source="mine/*.md"))


def test_answers_may_be_in_several_files(folder: Path) -> None:
    for name, answer in (("x.jsonl", "1"), ("y.jsonl", "2")):
        (folder / "deep" / name).write_text(json.dumps({**row("a"), "model_response": answer}))
    assert load_answered(DataConfig(source="mine/deep/[xy].jsonl")).answers == ("1", "2")


def test_places_are_the_files_and_the_folder(folder: Path) -> None:
    names = ["a.csv", "b.jsonl", "c.json.gz"]
    assert [*source_places("mine")] == [Path("mine"), *(Path("mine") / name for name in names)]
    assert [*source_places("mine/b*")] == [Path("mine"), Path("mine/b.jsonl")]
    assert [*source_places("mine/b.jsonl")] == [Path("mine/b.jsonl")]
    assert [*source_places("mine/deep/*.csv")] == [Path("mine/deep")]
    assert [*source_places("missing.json"), *source_places("starter")] == []


def test_a_source_can_be_named_from_elsewhere(folder: Path) -> None:
    root = folder.parent
    assert absolute_source("mine") == str(root / "mine")
    assert absolute_source("mine/*.jsonl") == str(root / "mine" / "*.jsonl")
    assert absolute_source("mine/a.csv") == str(root / "mine" / "a.csv")
    assert [absolute_source(name) for name in ("starter", "ch07", "missing")] == ["starter", "ch07", "missing"]
