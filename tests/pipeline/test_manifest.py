"""What exactly went into a run, and the refusal to go on where it has changed."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sftframe
from sftframe import Example, ModelBackend, PromptStyle, Role, Segment, Summary
from sftframe.config import Layer
from sftframe.errors import ConfigError, DataError, ModelError, PluginError
from sftframe.pipeline import Session
from sftframe.pipeline.session import resume
from sftframe.progress import Observer

pytestmark = pytest.mark.usefixtures("plain_drawings")


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def test_it_names_versions_pieces_data_template_seed_and_machine(finished: Path, data_file: Path) -> None:
    manifest = manifest_of(finished)
    assert manifest["versions"]["sftframe"] == sftframe.__version__
    assert manifest["versions"].keys() >= {"torch", "tiktoken", "numpy"}
    assert manifest["components"]["prompt"] == {"name": "brief", "plugin": "toys", "version": "", "options": {}}
    assert manifest["components"]["collate"]["plugin"] == "sftframe:collate"
    assert manifest["components"]["model"]["options"] == {"dropout": 0.0, "context": 256}
    assert manifest["data"]["source"] == str(data_file)
    assert {part: manifest["data"][part] for part in ("train", "test", "validation")} == {
        "train": 34,
        "test": 4,
        "validation": 2,
    }
    assert (manifest["seed"], manifest["device"], manifest["dtype"]) == (123, "cpu", "float32")
    assert manifest["machine"]["torch"] == manifest["versions"]["torch"]
    assert (manifest["judge"], manifest["tokenizer"]["sha256"]) == ("toy-judge v1", "bytes")


def test_it_has_the_length_report(finished: Path) -> None:
    # the longest are like "Q: After 11?\nA: It is 12. Yes. Yes.": 15 + 20 bytes, and the end token
    lengths = manifest_of(finished)["lengths"]
    assert (lengths["num_examples"], lengths["longest"], lengths["over_long"]) == (40, 36, [])


def test_it_has_the_ids_of_three_rendered_prompts(finished: Path) -> None:
    ids = manifest_of(finished)["template"]["prompt_ids"]
    assert bytes(ids[1]).decode() == "Q: Translate into French.\ngood morning\nA:"
    assert len(ids) == 3


def reopened(folder: Path, toys: Any, layer: Layer | None = None) -> Session:
    return Session.reopen(folder, toys.registry, Observer(), layer=layer)


def test_an_unchanged_run_is_gone_on_with(finished: Path, toys: Any) -> None:
    assert reopened(finished, toys).folder.path == finished


def test_a_style_that_renders_otherwise_is_refused(
    finished: Path, make_toys: Callable[..., Any], brief_style: PromptStyle
) -> None:
    class Newer(type(brief_style)):  # type: ignore[misc]
        def segments(self, example: Example) -> Iterator[Segment]:
            yield Segment(Role.TEMPLATE, "Question: ")
            yield from list(super().segments(example))[1:]

    with pytest.raises(
        PluginError,
        match=r"prompt style 'brief' renders differently from when this run was trained \(with toys \): install that",
    ):
        reopened(finished, make_toys(style=Newer))


def test_a_style_that_no_longer_works_on_the_data_is_refused_for_its_rendering_first(
    finished: Path, make_toys: Callable[..., Any], brief_style: PromptStyle
) -> None:
    class Broken(type(brief_style)):  # type: ignore[misc]
        def segments(self, example: Example) -> Iterator[Segment]:
            yield Segment(Role.TEMPLATE, "x" if example.index < 3 else None)
            yield Segment(Role.RESPONSE, example.output)

    with pytest.raises(PluginError, match="renders differently"):
        reopened(finished, make_toys(style=Broken))


def test_a_tokenizer_that_makes_other_ids_is_refused(
    finished: Path, make_toys: Callable[..., Any], toy_backend: type[ModelBackend]
) -> None:
    class Shifted(type(toy_backend().tokenizer())):  # type: ignore[misc]
        def encode_batch(self, texts: Any) -> list[list[int]]:
            return [[255 - i for i in ids] for ids in super().encode_batch(texts)]

    class Other(toy_backend):  # type: ignore[misc,valid-type]
        def tokenizer(self, saved: Path | None = None) -> Any:
            return Shifted()

    with pytest.raises(PluginError, match="prompt style 'brief' is tokenised differently"):
        reopened(finished, make_toys(backend=Other))


def test_a_tokenizer_with_another_vocabulary_is_refused(
    finished: Path, make_toys: Callable[..., Any], toy_backend: type[ModelBackend]
) -> None:
    class Renamed(type(toy_backend().tokenizer())):  # type: ignore[misc]
        fingerprint = "words"

    class Other(toy_backend):  # type: ignore[misc,valid-type]
        def tokenizer(self, saved: Path | None = None) -> Any:
            return Renamed()

    with pytest.raises(ModelError, match=r"the tokenizer is not the one .* SHA-256 words…, expected bytes…"):
        reopened(finished, make_toys(backend=Other))


@pytest.fixture
def own_data(start: Callable[..., Session], data_file: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run that was begun, and its own data file."""
    path = Path(shutil.copy(data_file, tmp_path / "own.json"))
    start(data={"source": str(path)}, before=False)
    return tmp_path / "run", path


def test_changed_data_are_refused(own_data: tuple[Path, Path], toys: Any) -> None:
    folder, path = own_data
    path.write_text(path.read_text(encoding="utf-8").replace("After 3?", "After three?"), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"own\.json have changed since this run was started: SHA-256 \w{12}…, expected \w{12}…"
    ):
        resume(folder, registry=toys.registry)
    path.unlink()
    with pytest.raises(DataError, match=r"no file .*own\.json"):
        resume(folder, registry=toys.registry)


def test_columns_that_are_not_used_are_recorded(
    whole_run: Callable[..., Summary], finished: Path, tmp_path: Path
) -> None:
    assert "unused_columns" not in manifest_of(finished)["data"]
    path = tmp_path / "wide.json"
    entries = [{"instruction": f"Say {n}.", "output": "x", "topic": "words", "id": n + 1} for n in range(20)]
    path.write_text(json.dumps(entries), encoding="utf-8")
    whole_run(data={"source": str(path)}, before=False, out=tmp_path / "wide")
    assert manifest_of(tmp_path / "wide")["data"]["unused_columns"] == ["topic", "id"]
    assert "unused_columns" in (tmp_path / "wide" / "report.html").read_text(encoding="utf-8")


def test_a_test_part_of_its_own_is_recorded_and_may_move(
    start: Callable[..., Session], toys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": f"Say {n}.", "output": "x"} for n in range(22)]
    Path("d.json").write_text(json.dumps(rows[:20]))
    Path("t.json").write_text(json.dumps(rows[20:]))
    start(data={"source": "d.json", "test": "t.json"}, before=False)
    data = manifest_of(tmp_path / "run")["data"]
    assert (data["train"], data["test"], data["validation"]) == (18, 2, 2)
    assert data["files"]["test"] == {
        "source": "t.json",
        "sha256": hashlib.sha256(Path("t.json").read_bytes()).hexdigest(),
    }
    Path("t.json").rename("moved.json")
    with pytest.raises(DataError, match=r"data\.test: data: no file .*t\.json"):
        Session.resume(tmp_path / "run", toys.registry, Observer())
    Session.resume(tmp_path / "run", toys.registry, Observer(), layer={"data": {"test": "moved.json"}})
    Path("moved.json").write_text(json.dumps(rows[19:]))
    with pytest.raises(ConfigError, match="have changed since this run was started"):
        Session.resume(tmp_path / "run", toys.registry, Observer(), layer={"data": {"test": "moved.json"}})


def test_rows_that_are_left_out_are_counted_listed_and_shown(
    whole_run: Callable[..., Summary], finished: Path, tmp_path: Path, heard: Any
) -> None:
    assert not (finished / "dropped-rows.jsonl").exists()
    assert "dropped" not in manifest_of(finished)["data"]
    path, folder = tmp_path / "holes.json", tmp_path / "holes"
    entries: list[dict[str, Any]] = [{"instruction": f"Say {n}.", "output": "x"} for n in range(22)]
    entries[3]["output"] = entries[5]["instruction"] = None
    path.write_text(json.dumps(entries), encoding="utf-8")
    whole_run(heard, data={"source": str(path), "invalid": "drop"}, before=False, out=folder)
    assert any(line.startswith(f"{path}: 2 of 22 entries dropped: 1 × field 'output'") for line in heard.warnings)
    data = manifest_of(folder)["data"]
    reasons = [f"field {name!r} is null, expected a string" for name in ("output", "instruction")]
    assert (data["shape"], data["rows"], data["dropped"]) == (
        "instruction/input/output",
        22,
        {reasons[0]: 1, reasons[1]: 1},
    )
    listed = [json.loads(line) for line in (folder / "dropped-rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["file"], row["entry"], row["line"], row["reason"]) for row in listed] == [
        (str(path), 3, None, reasons[0]),
        (str(path), 5, None, reasons[1]),
    ]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "entries left out" in page
    assert f"{path}, entry 5" in page


def test_a_run_of_a_version_that_did_not_read_system_messages_goes_on_without_them(
    start: Callable[..., Session], toys: Any, tmp_path: Path
) -> None:
    path, run = tmp_path / "spoken.json", tmp_path / "run"
    entries = [{"instruction": f"Say {n}.", "output": "x", "system": "Be brief."} for n in range(20)]
    path.write_text(json.dumps(entries), encoding="utf-8")
    start(data={"source": str(path), "fields": {"system": False}}, before=False)
    config = run / "config.toml"  # as that version wrote it: there was no such field
    config.write_text(config.read_text(encoding="utf-8").replace("system = false\n", ""), encoding="utf-8")
    document = manifest_of(run)
    del document["settings"]["data.fields.system"]
    assert document["data"]["unused_columns"] == ["system"]
    (run / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    session = Session.resume(run, toys.registry, Observer())
    assert {example.system for example in session.setup.prepared.dataset.examples} == {""}


def test_a_run_of_a_version_that_lost_inputs_in_silence_goes_on_with_a_warning(
    start: Callable[..., Session], toys: Any, heard: Any, tmp_path: Path
) -> None:
    path = tmp_path / "capitals.json"
    path.write_text(json.dumps([{"instruction": f"Say {n}.", "INPUT": "a", "output": "x"} for n in range(20)]))
    start(data={"source": str(path), "fields": {"input": False}}, before=False)
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("input = false\n", ""), encoding="utf-8")
    manifest = tmp_path / "run" / "manifest.json"
    document = json.loads(manifest.read_text(encoding="utf-8"))
    del document["settings"]  # which that version did not write
    manifest.write_text(json.dumps(document), encoding="utf-8")
    resume(tmp_path / "run", registry=toys.registry, observer=heard)
    assert any("20 of 20 entries have text in 'INPUT'" in warning for warning in heard.warnings)


def test_a_run_keeps_the_way_in_which_its_prompts_were_cut(
    start: Callable[..., Session], toys: Any, tmp_path: Path
) -> None:
    entries = [{"instruction": "Say it.", "input": f"{n} " * 30, "output": "It."} for n in range(20)]
    (tmp_path / "long.json").write_text(json.dumps(entries), encoding="utf-8")
    start(
        data={"source": str(tmp_path / "long.json")},
        tokens={"max_length": 60, "over_long": "truncate-prompt"},
        before=False,
    )
    folder = tmp_path / "run"
    assert manifest_of(folder)["lengths"]["prompt_cut"] == "input"
    prepared = reopened(folder, toys).setup.prepared
    assert len(prepared.shortened) == 20
    document = manifest_of(folder)
    del document["lengths"]["prompt_cut"]  # as versions before wrote it
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    prepared = reopened(folder, toys).setup.prepared
    assert prepared.shortened == {}
    assert {len(row.ids) for row in prepared.train} == {60}


def test_a_run_goes_on_from_another_folder_than_it_was_started_in(
    start: Callable[..., Session],
    data_file: Path,
    toys: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(data_file, tmp_path / "relative.json")
    monkeypatch.chdir(tmp_path)
    start(data={"source": "relative.json"}, out="run", before=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = resume(tmp_path / "run", registry=toys.registry)
    assert again.data == "relative.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"manifest\.json is not valid JSON"),
        ("{", r"manifest\.json is not valid JSON"),
        ("[]", r"manifest\.json: expected a JSON object"),
        ('{"components": {}}', r"manifest\.json has no 'data': it was not written by this version"),
    ],
)
def test_a_damaged_manifest_is_told(content: str, message: str, finished: Path, toys: Any) -> None:
    (finished / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        reopened(finished, toys)


def test_a_folder_that_is_no_run_is_told(tmp_path: Path, toys: Any) -> None:
    with pytest.raises(ConfigError, match=f"no run at {tmp_path / 'none'}"):
        reopened(tmp_path / "none", toys)


def test_a_configuration_edited_by_hand_is_checked_like_any_other(finished: Path, toys: Any) -> None:
    path = finished / "config.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("batch_size = 4", "batch_siez = 4"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no configuration key 'train\.batch_siez'; did you mean 'batch_size'"):
        reopened(finished, toys)


def test_an_option_that_is_a_long_text_is_recorded_as_it_is(start: Callable[..., Session], tmp_path: Path) -> None:
    rubric = "Grade the answer / from 0 to 100. " * 200
    start(judge={"rubric": rubric})
    assert manifest_of(tmp_path / "run")["components"]["judge"]["options"]["rubric"] == rubric
