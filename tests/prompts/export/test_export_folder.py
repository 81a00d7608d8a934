"""Where an export is written, what it replaces, and what it leaves alone."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from torch import nn

from sftframe import CausalLM, ConfigError, Example, ExportSettings, ModelError, PluginError, PromptStyle, Role, Segment
from sftframe.prompts import check_out, write_export

MakeModel = Callable[..., CausalLM]


def exporting(model: CausalLM, *, failing: BaseException | None = None) -> CausalLM:
    """The model with an export that writes its settings."""

    class Exporting(type(model)):  # type: ignore[misc]
        export_targets: ClassVar[tuple[str, ...]] = ("hf", "gguf")

        def export(self, folder: Path, settings: ExportSettings) -> None:
            self.settings = settings
            (folder / "weights.txt").write_text(f"{settings.target} {settings.dtype} {settings.name}")
            (folder / "deep").mkdir()
            (folder / "deep/template.txt").write_text(settings.chat_template)
            if failing:
                raise failing

    return Exporting(model.module, model.tokenizer, model.context_length)


@pytest.fixture
def model(make_model: MakeModel) -> CausalLM:
    return exporting(make_model(context=99))


def write(
    model: CausalLM, style: PromptStyle, out: Path, target: str = "hf", dtype: str = "float32"
) -> tuple[str, ...]:
    return write_export(model, style, out, target=target, dtype=dtype, name="toy", max_new_tokens=7)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_export_is_what_the_model_writes_and_a_list_of_it(
    model: CausalLM, brief_style: PromptStyle, tmp_path: Path
) -> None:
    out = tmp_path / "new/export"
    write(model, brief_style, out, dtype="float16")
    assert files(out) == ["deep", "deep/template.txt", "sftframe-export.json", "weights.txt"]
    assert (out / "weights.txt").read_text() == "hf float16 toy"
    assert json.loads((out / "sftframe-export.json").read_text()) == {
        "made_by": "sftframe 0.1.0",
        "target": "hf",
        "dtype": "float16",
        "prompt_style": "brief",
        "prompt": "Q: {instruction}\nA:",
        "prompt_with_input": "Q: {instruction}\n{input}\nA:",
        "stop_strings": [],
        "left_out": [],
        "files": ["deep", "deep/template.txt", "sftframe-export.json", "weights.txt"],
    }


class Ending(PromptStyle):
    """A closing tag that is the name of the tokenizer's own end."""

    name = "ending"
    summary = "for tests"

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.TEMPLATE, "<|user|>")
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\n")
        yield Segment(Role.RESPONSE, example.output)
        yield Segment(Role.END, "<|stop|>")


@pytest.mark.parametrize("name", ["<|stop|>", "<|user|>"])
def test_words_that_other_programs_read_as_control_tokens_are_refused(
    model: CausalLM, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model.tokenizer), "control_tokens", {"<|other|>": 1, name: 2})
    with pytest.raises(PluginError, match=re.escape(f"'ending' cannot be exported: it writes {name!r}")):
        write(model, Ending(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_model_is_told_which_control_token_closes_an_answer(
    model: CausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs have to end an answer there, beside the tokenizer's end token."""
    write(model, Ending(), tmp_path / "text")
    assert model.settings.end_ids == ()  # type: ignore[attr-defined]
    monkeypatch.setattr(type(model.tokenizer), "control_tokens", {"<|stop|>": 2, "<|end|>": 256})
    monkeypatch.setattr(type(model.tokenizer), "reads_control_names", True)
    write(model, Ending(), tmp_path / "control")
    assert model.settings.end_ids == (2,)  # type: ignore[attr-defined]


def test_a_gguf_has_a_modelfile_beside_it(model: CausalLM, brief_style: PromptStyle, tmp_path: Path) -> None:
    write(model, brief_style, tmp_path / "out", "gguf")
    text = (tmp_path / "out/Modelfile").read_text()
    assert "Q: {{ .Prompt }}\nA:" in text
    assert text.endswith("PARAMETER num_ctx 99\nPARAMETER num_predict 7\n")


def test_what_an_export_cannot_write_is_told_and_listed(
    model: CausalLM, chatml: PromptStyle, phi3: PromptStyle, tmp_path: Path
) -> None:
    reason = "tools in Ollama: it writes their JSON in another form than training had"
    assert write(model, chatml, tmp_path / "hf") == ()
    assert write(model, phi3, tmp_path / "phi3", "gguf") == ()
    assert write(model, chatml, tmp_path / "gguf", "gguf") == (reason,)
    assert json.loads((tmp_path / "gguf/sftframe-export.json").read_text())["left_out"] == [reason]


def test_what_a_chat_template_of_its_own_writes_is_missing_in_ollama_alone(
    model: CausalLM, chatml: PromptStyle, tmp_path: Path
) -> None:
    class Own(type(chatml)):  # type: ignore[misc]
        chat_template = "{{ messages }}"

        def segments(self, example: Example) -> Iterator[Segment]:
            tools = example.tools and f"{len(example.tools)} letters: {example.tools}"
            return super().segments(replace(example, tools=tools))

    assert write(model, Own(), tmp_path / "hf") == ()
    assert (tmp_path / "hf/deep/template.txt").read_text() == "{{ messages }}"
    found = write(model, Own(), tmp_path / "gguf", "gguf")
    assert [reason.partition(":")[0] for reason in found] == ["in Ollama tools", "in Ollama system messages with tools"]


def test_the_modelfile_closes_answers_with_the_name_of_the_end_token(
    model: CausalLM, joined: PromptStyle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (reason,) = write(model, joined, tmp_path / "unnamed", "gguf")
    assert reason.startswith("several turns and system messages in Ollama: the tokenizer's end token closes every")
    names = {"<|other|>": 1, "<|stop|>": model.tokenizer.end_id}
    monkeypatch.setattr(type(model.tokenizer), "control_tokens", names)
    assert write(model, joined, tmp_path / "named", "gguf") == ()
    assert "{{ if not $last }}<|stop|>{{ end }}" in (tmp_path / "named/Modelfile").read_text()


def test_an_export_replaces_an_older_one_whole(model: CausalLM, brief_style: PromptStyle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(model, brief_style, out, "gguf")
    check_out(out, force=True)
    write(model, brief_style, out, "hf")
    assert files(out) == ["deep", "deep/template.txt", "sftframe-export.json", "weights.txt"]


def test_an_older_export_is_not_replaced_without_force(
    model: CausalLM, brief_style: PromptStyle, tmp_path: Path
) -> None:
    write(model, brief_style, tmp_path / "out")
    with pytest.raises(
        ConfigError, match="out contains an export already: choose another --out, or replace it with --f"
    ):
        check_out(tmp_path / "out", force=False)


@pytest.mark.parametrize("force", [False, True])
def test_what_no_export_wrote_is_never_replaced(
    model: CausalLM, brief_style: PromptStyle, tmp_path: Path, force: bool
) -> None:
    write(model, brief_style, tmp_path / "out")
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"out contains notes\.txt, which no export wrote: .* even with --force"):
        check_out(tmp_path / "out", force=force)


@pytest.mark.parametrize("contents", ["", "[]", "{}", '{"files": 3}', '{"files": [3]}', "\x00"])
def test_a_damaged_list_protects_everything(tmp_path: Path, contents: str) -> None:
    (tmp_path / "sftframe-export.json").write_text(contents)
    with pytest.raises(ConfigError, match=r"contains sftframe-export\.json, which no export wrote"):
        check_out(tmp_path, force=True)


def test_a_new_folder_and_an_empty_one_may_be_taken(tmp_path: Path) -> None:
    check_out(tmp_path, force=False)
    check_out(tmp_path / "new/deeper", force=False)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="out is a file: --out needs a folder"):
        check_out(tmp_path / "out", force=True)


@pytest.mark.parametrize("out", [".", "..", "../here"])
def test_the_folder_one_is_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError, match="is the folder you are in, or above it"):
        check_out(Path(out), force=True)


def test_a_form_that_the_model_does_not_know_is_refused_with_the_nearest(
    model: CausalLM, brief_style: PromptStyle, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no export 'gguff' for this model; did you mean 'gguf'"):
        write(model, brief_style, tmp_path / "out", "gguff")
    assert files(tmp_path) == []


def test_a_model_without_exports_is_refused(make_model: MakeModel, brief_style: PromptStyle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no export 'hf' for this model; none are available"):
        write(make_model(), brief_style, tmp_path / "out")


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        (ModelError("weights do not fit"), (ModelError, "weights do not fit")),
        (OSError(28, "No space left on device"), (ConfigError, "cannot write the export: No space left on device")),
        (KeyboardInterrupt("in the middle"), (KeyboardInterrupt, "in the middle")),
    ],
)
def test_an_export_that_fails_leaves_the_old_one_and_nothing_else(
    make_model: MakeModel,
    brief_style: PromptStyle,
    tmp_path: Path,
    failing: BaseException,
    told: tuple[type[BaseException], str],
) -> None:
    out = tmp_path / "out"
    write(exporting(make_model()), brief_style, out, dtype="float16")
    with pytest.raises(told[0], match=told[1]):
        write(exporting(make_model(), failing=failing), brief_style, out)
    assert (out / "weights.txt").read_text() == "hf float16 toy"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_that_does_not_fit_the_disk_is_refused_before_it_is_written(
    model: CausalLM, brief_style: PromptStyle, tmp_path: Path
) -> None:
    """A matrix of 10^18 weights, which take 4 x 10^18 bytes; on `meta` it takes none."""
    model.module.head = nn.Linear(10**9, 10**9, bias=False, device="meta")
    with pytest.raises(ConfigError, match=r"not enough disk: the export in .* needs 4000000000\.0 GB, .* are free; "):
        write(model, brief_style, tmp_path / "out")
    assert files(tmp_path) == []


def test_a_linked_folder_is_replaced_where_it_lies(model: CausalLM, brief_style: PromptStyle, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    write(model, brief_style, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk/weights.txt").exists()
