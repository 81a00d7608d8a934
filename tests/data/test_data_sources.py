import functools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sftframe.config import DataConfig
from sftframe.data import Dataset, load_examples
from sftframe.errors import DataError

Load = Callable[..., Dataset]
GOOD = {"instruction": "Add.", "input": "1 1", "output": "2"}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a local server offers, and that `ch07` is downloaded from."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder)))
    monkeypatch.setenv("SFTFRAME_CH07_URL", f"http://127.0.0.1:{server.server_port}/instruction-data.json")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_default_is_the_bundled_data() -> None:
    dataset = load_examples(DataConfig())
    assert dataset.source == "starter"
    assert len(dataset.examples) >= 1500
    assert any(example.input for example in dataset.examples)
    assert any(not example.input for example in dataset.examples)


def test_a_file_is_known_by_its_path_and_the_hash_of_its_bytes(load: Load) -> None:
    dataset = load("data.json", '[{"instruction": "a", "output": "b"}]\n')
    assert dataset.source == "data.json"
    # printf '[{"instruction": "a", "output": "b"}]\n' | sha256sum
    assert dataset.sha256 == "0ae764e700343643c5114bb14c3fc19d31bb6e024d6fef5df8aab5a4453d6fe3"


def test_the_chapters_file_has_its_1100_entries(chapter_file: Path) -> None:
    dataset = load_examples(DataConfig(source=str(chapter_file)))
    assert len(dataset.examples) == 1100
    assert dataset.sha256 == "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"
    assert dataset.examples[1099].index == 1099


def test_empty_outputs_are_counted_in_a_report(load: Load, tmp_path: Path) -> None:
    load("data.json", json.dumps([GOOD, {**GOOD, "output": ""}]))
    told: list[str] = []
    load_examples(DataConfig(source="data.json"), report=told.append)
    assert told == ["data.json: 1 of 2 entries has an empty output"]


def test_ch07_is_downloaded_once_with_progress_and_kept(mirror: Path, chapter_file: Path, tmp_path: Path) -> None:
    (mirror / "instruction-data.json").write_bytes(chapter_file.read_bytes())
    told: list[str] = []
    seen: list[tuple[int, int | None]] = []
    config, cache = DataConfig(source="ch07"), tmp_path / "cache"
    dataset = load_examples(
        config, cache_dir=cache, report=told.append, on_bytes=lambda done, total: seen.append((done, total))
    )
    assert (dataset.source, len(dataset.examples)) == ("ch07", 1100)
    assert told == [f"ch07: downloading {os.environ['SFTFRAME_CH07_URL']}"]
    assert seen[-1][0] == seen[-1][1] == chapter_file.stat().st_size
    (mirror / "instruction-data.json").unlink()
    assert load_examples(config, cache_dir=cache, report=told.append) == dataset
    assert len(told) == 1


def test_ch07_is_kept_where_the_environment_says(
    chapter_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path))
    monkeypatch.setenv("SFTFRAME_CH07_URL", "no-url")
    (tmp_path / "ch07").mkdir()
    (tmp_path / "ch07" / "instruction-data.json").write_bytes(chapter_file.read_bytes())
    assert len(load_examples(DataConfig(source="ch07")).examples) == 1100


def test_other_bytes_than_the_chapters_are_refused(mirror: Path, tmp_path: Path) -> None:
    (mirror / "instruction-data.json").write_text(json.dumps([GOOD]))
    with pytest.raises(DataError, match=r"has SHA-256 .*, expected 7e09a9af353722ca.*not the expected file"):
        load_examples(DataConfig(source="ch07"), cache_dir=tmp_path)


def test_a_download_that_fails_says_where_to_put_the_file_by_hand(mirror: Path, tmp_path: Path) -> None:
    url, target = os.environ["SFTFRAME_CH07_URL"], tmp_path / "ch07" / "instruction-data.json"
    with pytest.raises(DataError) as caught:
        load_examples(DataConfig(source="ch07"), cache_dir=tmp_path)
    assert str(caught.value) == (
        f"cannot get the data 'ch07': {url}: the server says 404 File not found; "
        f"if you have the file, put it at {target} or pass it with --data FILE"
    )
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["missing.json", "no/such/folder.csv"])
def test_a_missing_file_is_told_with_where_it_was_looked_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        load_examples(DataConfig(source=name))
    assert str(caught.value) == f"data: no file {name} (looked in {Path.cwd()})"


def test_a_name_that_is_neither_source_nor_file_is_told_with_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        load_examples(DataConfig(source="ch7"))
    assert str(caught.value) == (
        "no data source or file 'ch7'; did you mean 'ch07'? Available: ch07, starter, "
        "or a file: .json, .jsonl, .ndjson, .csv, .tsv, .parquet, each also with .gz or .zst"
    )


@pytest.mark.parametrize(("name", "ending"), [("data.txt", r"'\.txt'"), ("data", "no ending")])
def test_a_file_of_another_kind_is_refused(load: Load, name: str, ending: str) -> None:
    message = (
        rf"^data: {name} has {ending}, expected one of \.json, \.jsonl, \.ndjson, \.csv, \.tsv, \.parquet, each also "
    )
    with pytest.raises(DataError, match=message):
        load(name, "[]")


def test_a_path_that_the_system_refuses_is_told_with_its_reason() -> None:
    with pytest.raises(DataError, match=r"^data: cannot read x+\.json: File name too long$"):
        load_examples(DataConfig(source="x" * 300 + ".json"))


def test_a_home_folder_that_nobody_has_is_told() -> None:
    with pytest.raises(DataError, match=r"^data: cannot read ~no-such-user/data\.json: Could not determine home"):
        load_examples(DataConfig(source="~no-such-user/data.json"))


def test_a_file_under_the_home_folder_may_be_named_by_a_tilde(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    load("data.json", json.dumps([GOOD]))
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("USERPROFILE", str(Path.cwd()))
    assert load_examples(DataConfig(source="~/data.json")).source == "~/data.json"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_a_file_that_may_not_be_read_is_told_so(load: Load) -> None:
    load("data.json", json.dumps([GOOD]))
    Path("data.json").chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may read everything, nobody may not
    try:
        with pytest.raises(DataError, match=r"^data: cannot read data\.json: Permission denied$"):
            load_examples(DataConfig(source="data.json"))
    finally:
        os.seteuid(me)
