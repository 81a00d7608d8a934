"""`sftframe export` on the bundled model, trained for one step: what is written, what is said, what is refused."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from sftframe import Example, load_registry
from sftframe.pipeline import FinishedRun, Session
from sftframe.progress import Observer

pytestmark = pytest.mark.usefixtures("plain_drawings")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step with the style `phi3`."""
    folder = tmp_path_factory.mktemp("runs") / "Mine 1"
    data = folder.parent / "data.json"
    entries = [{"instruction": f"After {n}?", "input": "", "output": f"It is {n + 1}."} for n in range(20)]
    data.write_text(json.dumps(entries), encoding="utf-8")
    layer = {
        "prompt": "phi3",
        "data": {"source": str(data)},
        "train": {"max_steps": 1},
        "generate": {"max_new_tokens": 9},
        "threads": 1,
        "device": "cpu",
        "out": folder,
    }
    Session.start(layer, load_registry(), Observer()).train()
    data.unlink()
    return folder


@pytest.fixture
def run_dir(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run; its data are gone."""
    return Path(shutil.copytree(trained, tmp_path / trained.name))


def test_the_hugging_face_folder_answers_as_the_run_does(cli, run_dir: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    outcome = cli("export", "Mine 1", "--to", "hf")
    assert outcome.code == 0, outcome.err
    tuned = FinishedRun.open(run_dir, load_registry()).load(Observer())
    ours = tuned.answer(Example(index=0, instruction="Who are you?", input="Well?", output=""), lambda text: None)

    tokenizer = AutoTokenizer.from_pretrained(run_dir / "export-hf")
    model = AutoModelForCausalLM.from_pretrained(run_dir / "export-hf")
    question = {"role": "user", "content": "Who are you?", "input": "Well?"}
    asked = tokenizer.apply_chat_template([question], add_generation_prompt=True, return_tensors="pt")
    written = model.generate(**asked)[0, asked["input_ids"].shape[1] :].tolist()
    assert written[: len(ours.ids)] == list(ours.ids)
    assert len(ours.ids) == 9


def test_the_last_lines_say_where_it_lies_and_what_to_run_next(cli, run_dir: Path) -> None:
    outcome = cli("export", "Mine 1", "--to", "gguf", "--dtype", "float16", "--out", "out/my model")
    assert outcome.out.splitlines() == [
        "Export  out/my model",
        "Next    ollama create mine-1 -f 'out/my model/Modelfile'",
    ]
    assert sorted(path.name for path in Path("out/my model").iterdir()) == [
        "Modelfile",
        "model.gguf",
        "sftframe-export.json",
    ]
    assert 'PARAMETER stop "<|end|>"\n' in Path("out/my model/Modelfile").read_text()
    assert Path("out/my model/Modelfile").read_text().endswith("PARAMETER num_ctx 256\nPARAMETER num_predict 9\n")


def test_what_to_run_after_a_hugging_face_export_is_one_command_of_a_shell(cli, run_dir: Path) -> None:
    outcome = cli("export", "Mine 1", "--to", "hf", "--out", 'it\'s "here"')
    command = shlex.split(outcome.out.splitlines()[-1].removeprefix("Next"))
    assert command[:2] == ["python", "-c"]
    compile(command[2], "next", "exec")
    assert """pipeline("text-generation", "it's \\"here\\"")""" in command[2]


def test_an_export_that_is_there_is_replaced_with_force_only(cli, run_dir: Path) -> None:
    assert cli("export", "Mine 1", "--to", "hf", "--out", "out").code == 0
    refused = cli("export", "Mine 1", "--to", "gguf", "--out", "out")
    assert (refused.code, "out contains an export already" in refused.last_line) == (2, True)
    assert cli("export", "Mine 1", "--to", "gguf", "--out", "out", "--force").code == 0
    assert not Path("out/config.json").exists()
    assert Path("out/model.gguf").exists()


def test_as_json_the_export_is_told_to_programs(cli, run_dir: Path) -> None:
    told = cli("export", "Mine 1", "--to", "gguf", "--out", "there", "--dtype", "float16", "--json").json
    assert told["path"] == str(Path("there").absolute())
    assert (told["format"], told["dtype"]) == ("gguf", "float16")
    assert told["next"].startswith("ollama create mine-1 -f there/Modelfile")


def test_what_other_programs_cannot_write_is_told_once(cli, run_dir: Path) -> None:
    """The style is that of the run's folder; `chatml` writes tools, which Ollama would write in another form."""
    assert "left out" not in cli("export", "Mine 1", "--to", "gguf", "--out", "quiet").err
    folder = "chatml"
    layer = {"prompt": "chatml", "train": {"max_steps": 1}, "threads": 1, "device": "cpu", "out": Path(folder)}
    Session.start(layer, load_registry(), Observer()).train()
    outcome = cli("export", folder, "--to", "gguf", "--json")
    assert outcome.err.count("warning: left out of the export: tools in Ollama: it writes their JSON in another") == 1
    assert [reason.partition(":")[0] for reason in outcome.json["left_out"]] == ["tools in Ollama"]


def test_the_runs_own_folder_is_never_replaced(cli, run_dir: Path) -> None:
    outcome = cli("export", "Mine 1", "--to", "hf", "--out", "Mine 1", "--force")
    assert (outcome.code, "which no export wrote" in outcome.last_line) == (2, True)
    assert (run_dir / "model/model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "guf"), "--to: no export 'guf' for this model; did you mean 'gguf'? Available: gguf, hf"),
        ((), "sftframe export: --to is missing: hf (transformers) or gguf"),
        (("--to", "hf", "--dtype", "int8"), "--dtype: expected 'float32' or 'float16', found 'int8'"),
    ],
)
def test_a_wrong_flag_is_named(cli, run_dir: Path, arguments: tuple[str, ...], words: str) -> None:
    outcome = cli("export", "Mine 1", *arguments)
    assert (outcome.code, words in " ".join(outcome.err.split())) == (2, True)
    assert not (run_dir / "export-guf").exists()


def test_a_style_that_renders_otherwise_than_in_training_is_refused(cli, run_dir: Path) -> None:
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    manifest["template"]["sha256"] = "0" * 64
    (run_dir / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    outcome = cli("export", "Mine 1", "--to", "hf")
    assert (outcome.code, "renders differently from when this run was trained" in outcome.last_line) == (3, True)


def test_a_chat_gives_the_answers_that_the_run_gives(cli, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way out of a run, on the same real model: streamed text is the generated one."""
    import io

    tuned = FinishedRun.open(run_dir, load_registry()).load(Observer())
    answer = tuned.answer(Example(index=0, instruction="Who are you?", output=""), lambda text: None)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Who are you?\n")))
    outcome = cli("chat", "Mine 1")
    assert (outcome.code, outcome.out) == (0, answer.text + "\n")
