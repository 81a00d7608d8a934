"""Datasets of the hub, from its cache and without a network, and folders that `datasets` has saved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sftframe.config import DataConfig
from sftframe.data import absolute_source, load_examples, source_places, split
from sftframe.data.hub import HubName
from sftframe.errors import ConfigError, DataError

REVISION = "a" * 40


def rows(*texts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"instruction": text, "output": "b", **more} for text in texts]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:tatsu-lab/alpaca", ("tatsu-lab/alpaca", None, None, None)),
        ("hf:a/b@main", ("a/b", "main", None, None)),
        ("hf:a/b.c_d@refs/pr/1:two+three#train[:10%]", ("a/b.c_d", "refs/pr/1", "two+three", "train[:10%]")),
        ("hf:a/b#x+y", ("a/b", None, None, "x+y")),
    ],
)
def test_a_name_of_the_hub_has_parts(source: str, expected: tuple[str | None, ...]) -> None:
    hub = HubName.parse(source)
    assert (hub.name, hub.revision, hub.configuration, hub.split) == expected
    assert absolute_source(source) == source
    assert source_places(source) == ()


@pytest.mark.parametrize("source", ["hf:", "hf:json", "hf:../a", "hf:a/b/c", "hf:a/b@", "hf:/a/b", "hf:a/.."])
def test_another_name_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match=r"is no dataset of the hub, expected hf:OWNER/NAME"):
        load_examples(DataConfig(source=source))


@pytest.mark.parametrize("source", ["a/b.c", "https://huggingface.co/datasets/a/b.c", "a/b.c/"])
def test_a_name_of_the_hub_without_its_mark_is_recognised(source: str) -> None:
    with pytest.raises(DataError, match=r"no data source or file .*; --data hf:a/b\.c reads this dataset of the Hugg"):
        load_examples(DataConfig(source=source))


def test_a_folder_that_is_not_there_is_no_name_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError) as caught:
        load_examples(DataConfig(source="data/train"))
    assert "hf:" not in str(caught.value)


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        DataError, match=r"^hf:a/b: reading from the hub needs datasets: pip install 'sftframe\[hub\]'$"
    ):
        load_examples(DataConfig(source="hf:a/b"))


def test_a_library_that_runs_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(__version__="3.6.0"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"datasets 3\.6\.0 runs code of datasets, expected 4\.0 or newer"):
        load_examples(DataConfig(source="hf:a/b"))


def test_a_folder_with_the_name_of_a_dataset_is_not_read_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(DataError, match=r"there is a folder a/b here, which would be read instead"):
        load_examples(DataConfig(source="hf:a/b"))


MAKE = """
import sys
from pathlib import Path
import datasets
from datasets.arrow_writer import ArrowWriter

def make(cache, name, splits, revision):
    owner, short = name.split("/")
    folder = Path(cache) / f"{owner}___{short}" / "default" / "0.0.0" / revision
    folder.mkdir(parents=True)
    infos = {}
    features = datasets.Dataset.from_list([row for rows in splits.values() for row in rows]).features
    for split, rows in splits.items():
        writer = ArrowWriter(path=str(folder / f"{short}-{split}.arrow"), features=features)
        for row in rows:
            writer.write(row)
        count, size = writer.finalize()
        infos[split] = datasets.SplitInfo(name=split, num_bytes=size, num_examples=count, dataset_name=short)
    datasets.DatasetInfo(
        features=features, splits=datasets.SplitDict(infos, dataset_name=short), builder_name="json",
        dataset_name=short, config_name="default", version="0.0.0", download_size=1, dataset_size=1,
    ).write_to_directory(str(folder))

def row(text, **more):
    return {"instruction": text, "output": "b", **more}

cache, revision = sys.argv[1], sys.argv[2]
make(cache, "some/parts", {
    "train": [row(f"a{n}", topic="x") for n in range(3)],
    "test": [row("t", topic=None)],
    "validation": [row("v", topic="y")],
}, revision)
talk = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello!"}]
make(cache, "some/talks", {"train_sft": [{"messages": talk}] * 2, "test_sft": [{"messages": talk}]}, revision)
"""
READ = """
import json, sys
from sftframe.config import DataConfig
from sftframe.data import load_examples, split
from sftframe.errors import SftframeError

for settings in json.loads(sys.stdin.read()):
    told = []
    try:
        config = DataConfig(**settings)
        found = load_examples(config, report=told.append)
        print(json.dumps({
            "shape": found.shape, "sha256": found.sha256, "origin": dict(found.origin), "told": told,
            "unused": [(column.name, column.num_filled) for column in found.unused_columns],
            "examples": [(example.index, example.instruction, part) for example, part in
                         zip(found.examples, found.parts or [None] * len(found.examples))],
        }))
    except SftframeError as error:
        print(json.dumps({"error": str(error)}))
"""


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What is read from a cache without a network, by another process: the library looks at the environment once."""
    pytest.importorskip("datasets")
    home = tmp_path_factory.mktemp("hub")
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home / "home"),
        "HF_DATASETS_CACHE": str(home / "cache"),
    }
    subprocess.run([sys.executable, "-c", MAKE, str(home / "cache"), REVISION], env=environment, check=True, cwd=home)
    settings = [
        {"source": "hf:some/parts"},
        {"source": f"hf:some/parts@{REVISION}:default#train[1:]"},
        {"source": "hf:some/parts", "limit": 1},
        {"source": "hf:some/talks"},
        {"source": "hf:some/talks#train_sft", "test": "hf:some/talks#test_sft"},
        {"source": f"hf:some/parts@{'b' * 40}"},
        {"source": "hf:some/other"},
        {"source": "hf:some/parts:none"},
        {"source": "hf:some/parts#none"},
        {"source": "hf:some/parts@v1#test"},
    ]
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input=json.dumps(settings),
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "Found the latest cached" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_dataset_keeps_its_parts(cached: list[dict[str, Any]]) -> None:
    found = cached[0]
    assert found["examples"] == [
        [0, "a0", "train"],
        [1, "a1", "train"],
        [2, "a2", "train"],
        [3, "t", "test"],
        [4, "v", "validation"],
    ]
    assert found["unused"] == [["topic", 4]]
    assert found["told"][-1] == "hf:some/parts: parts of its own: train, test, validation"
    assert (found["origin"]["revision"], found["origin"]["configuration"]) == (REVISION, "default")
    assert found["origin"]["fingerprint"]


def test_a_split_can_be_named_with_revision_and_configuration(cached: list[dict[str, Any]]) -> None:
    assert cached[1]["examples"] == [[0, "a1", None], [1, "a2", None]]
    assert cached[1]["sha256"] != cached[0]["sha256"]


def test_a_limit_is_of_each_part(cached: list[dict[str, Any]]) -> None:
    assert cached[2]["examples"] == [[0, "a0", "train"], [1, "t", "test"], [2, "v", "validation"]]


def test_splits_of_other_names_are_told_and_can_be_named(cached: list[dict[str, Any]]) -> None:
    assert cached[3]["error"] == (
        "hf:some/talks: no split is called train; its splits: train_sft, test_sft. Name one as "
        "hf:some/talks#train_sft, and others with --set data.test=hf:some/talks#SPLIT and data.validation"
    )
    assert cached[4]["shape"] == "OpenAI messages"
    assert cached[4]["examples"] == [[0, "Hi.", None], [1, "Hi.", None], [2, "Hi.", "test"]]


def test_a_tag_that_cannot_be_looked_up_is_told(cached: list[dict[str, Any]]) -> None:
    assert cached[9]["examples"] == [[0, "t", None]]
    assert cached[9]["told"][1] == (
        f"hf:some/parts@v1#test: without a network v1 cannot be looked up; revision {REVISION} is in the cache"
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (5, f"only revision {REVISION} is in the cache and there is no network"),
        (6, "cannot get the data hf:some/other: Couldn't reach 'some/other' on the Hub"),
        (6, "and its cache does not have it: connect once, or fetch its files in another way"),
        (7, "cannot get the data hf:some/parts:none: Couldn't find cache for some/parts for config 'none'"),
        (8, "cannot get the data hf:some/parts#none: Unknown split"),
    ],
)
def test_what_is_not_there_is_told(cached: list[dict[str, Any]], number: int, words: str) -> None:
    assert words in cached[number]["error"]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as `save_to_disk` of a `DatasetDict` writes it, made by hand as it is documented by its files."""
    monkeypatch.chdir(tmp_path)
    write_saved(Path("saved/train"), rows("a", "b", topic="x"))
    write_saved(Path("saved/test"), rows("c", topic=None))
    Path("saved/dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return tmp_path / "saved"


def write_saved(folder: Path, table_rows: list[dict[str, Any]]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    folder.mkdir(parents=True)
    table = pyarrow.Table.from_pylist(table_rows)
    files = []
    for number in range(2):  # two shards
        name = f"data-0000{number}-of-00002.arrow"
        half = (len(table_rows) + 1) // 2
        with pyarrow.ipc.new_stream(str(folder / name), table.schema) as writer:
            writer.write_table(table.slice(number * half, half))
        files.append({"filename": name})
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_fingerprint": "0", "_split": None}))
    (folder / "dataset_info.json").write_text("{}")


def test_a_saved_folder_keeps_its_parts(saved: Path) -> None:
    config = DataConfig(source="saved", split="50/25/25")
    told: list[str] = []
    found = load_examples(config, report=told.append)
    assert [(one.index, one.instruction) for one in found.examples] == [(0, "a"), (1, "b"), (2, "c")]
    assert found.parts == ("train", "train", "test")
    assert [(column.name, column.num_filled) for column in found.unused_columns] == [("topic", 2)]
    assert told == ["saved: parts of its own: train, test"]
    parts = split(found, config)
    assert [one.instruction for one in (*parts.train, *parts.test, *parts.validation)] == ["a", "c", "b"]
    assert load_examples(DataConfig(source="saved/train")).parts == ()


def test_a_saved_folder_is_what_the_library_writes(saved: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    parts = {"train": rows("a", "b", topic="x"), "test": rows("c", topic=None)}
    made = datasets.DatasetDict({part: datasets.Dataset.from_list(found) for part, found in parts.items()})
    datasets.disable_progress_bars()
    made.save_to_disk(str(tmp_path / "theirs"))
    ours, theirs = (load_examples(DataConfig(source=name)) for name in ("saved", "theirs"))
    assert (theirs.examples, theirs.parts, theirs.sha256) == (ours.examples, ours.parts, ours.sha256)


def test_the_hash_of_a_saved_folder_is_of_its_rows(saved: Path, tmp_path: Path) -> None:
    first = load_examples(DataConfig(source="saved")).sha256
    (saved / "train" / "state.json").write_text(
        (saved / "train" / "state.json").read_text().replace('"_fingerprint": "0"', '"_fingerprint": "1"')
    )
    assert load_examples(DataConfig(source="saved")).sha256 == first
    write_saved(tmp_path / "other" / "train", rows("a", "B", topic="x"))
    write_saved(tmp_path / "other" / "test", rows("c", topic=None))
    (tmp_path / "other" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert load_examples(DataConfig(source="other")).sha256 != first


def test_a_saved_folder_with_other_splits_says_how_to_name_them(saved: Path) -> None:
    (saved / "dataset_dict.json").write_text(json.dumps({"splits": ["train_sft", "test_sft"]}))
    with pytest.raises(
        DataError, match=r"saved has the splits train_sft, test_sft, .*: name one as saved/train_sft, and"
    ):
        load_examples(DataConfig(source="saved"))


@pytest.mark.parametrize("name", ["../train", "/etc/passwd", "a/../../b", "", 3])
def test_a_saved_folder_cannot_name_files_outside_of_it(saved: Path, name: object) -> None:
    (saved / "train" / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(DataError, match=r"state\.json names no data files: the folder is damaged"):
        load_examples(DataConfig(source="saved"))
    (saved / "dataset_dict.json").write_text(json.dumps({"splits": [name, "train"]}))
    with pytest.raises(DataError, match=r"dataset_dict\.json names no splits: the folder is damaged"):
        load_examples(DataConfig(source="saved"))


def test_a_damaged_saved_folder_is_told(saved: Path) -> None:
    file = saved / "train" / "data-00000-of-00002.arrow"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"^saved/train: not a readable Arrow table: "):
        load_examples(DataConfig(source="saved"))
    file.unlink()
    with pytest.raises(DataError, match=r"^saved/train: not a readable Arrow table: .*No such file"):
        load_examples(DataConfig(source="saved"))
    (saved / "train" / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"^data: cannot read saved/train/state\.json: "):
        load_examples(DataConfig(source="saved"))


def test_a_link_in_a_saved_folder_is_a_place(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.arrow").write_bytes(b"")
    link = saved / "train" / "data-00000-of-00002.arrow"
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere.arrow")
    assert Path("saved/train/data-00000-of-00002.arrow") in source_places("saved")
