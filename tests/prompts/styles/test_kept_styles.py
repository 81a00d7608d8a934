"""A run keeps the text of its prompt file, so that changing or deleting the file changes nothing for it."""

import json

import pytest

from sftframe import ConfigError, Example, Registry, load_registry
from sftframe.pipeline import FinishedRun, Session, resolve
from sftframe.progress import Observer

STYLE = 'segments = [{ template = "Q: " }, "instruction", "input", { template = "\\nA:\\n" }, "response"]\n'
PLAIN = Example(index=0, instruction="Name a fruit.", output="Fig.")
SMALL = {
    "data": {"limit": 40},
    "train": {"max_steps": 1, "batch_size": 2, "eval_examples": 1},
    "generate": {"max_new_tokens": 2},
    "before": False,
}


@pytest.fixture
def style_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(STYLE)
    return path


def test_a_run_goes_on_when_its_file_is_gone(tmp_path, style_path):
    registry = load_registry()
    layer = {**SMALL, "prompt": str(style_path), "out": str(tmp_path / "run")}
    session = Session.start(layer, registry, Observer())
    session.run_all()
    style_path.unlink()

    again = Session.reopen(tmp_path / "run", registry, Observer())
    assert again.setup.components.style.name == "toml:mine"
    again.answer(again=True)
    assert again.summary().prompt == "toml:mine"
    assert FinishedRun.open(tmp_path / "run", registry).style.stop_strings == ()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["components"]["prompt"]["plugin"] == "sftframe:toml"
    assert manifest["components"]["prompt"]["options"]["content"] == STYLE


def test_the_text_that_is_kept_wins_over_a_file_that_was_changed(style_path):
    config = resolve({"prompt": str(style_path)}, load_registry())
    style_path.write_text(STYLE.replace("Q:", "Question:"))
    kept = Registry().prompt_style(config.prompt.name, config.prompt.options)
    assert kept.segments(PLAIN)[0].text == "Q: "


def test_a_missing_file_is_one_line_with_the_nearest_name(style_path):
    with pytest.raises(ConfigError, match=r"no file .*mien\.toml with a prompt style; did you mean 'mine\.toml'\?$"):
        Registry().prompt_style(str(style_path.with_name("mien.toml")))


def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are():
    with pytest.raises(ConfigError, match=r"no prompt style './x\.txt'.*a file with a prompt style ends in \.toml or"):
        Registry().prompt_style("./x.txt")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is an empty file"), (b"a\xfcb", "byte 1 is not UTF-8"), (b"\xff\xfea\0", "it is UTF-16 text")],
    ids=["empty", "no UTF-8", "UTF-16"],
)
def test_a_file_that_cannot_be_read_is_one_line(style_path, content, says):
    style_path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        Registry().prompt_style(str(style_path))
