"""`--prompt own` in runs, previews, comparisons and exports."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sftframe_plugins.hf.tokenizer import HFTokenizer
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from sftframe import CausalLM, ConfigError, Example, ExportSettings, Registry, Tokenizer, load_registry
from sftframe.ablation.grid import Axis, read_request
from sftframe.ablation.planning import make_plan
from sftframe.config import validate
from sftframe.doctor.prompts import check_prompt
from sftframe.pipeline import Components, prepare_data, read_data, resolve, view_examples
from sftframe.pipeline.announcement import announce
from sftframe.pipeline.setup import Setup
from sftframe.progress import Observer
from sftframe.prompts import write_export
from sftframe.prompts.tokens import encode_prompts, tokenize
from tests.plugins.hf import tokenizers
from tests.plugins.hf.chat_models import MODELS

ROWS = [
    {"instruction": f"Name a colour <|im_end|> {number}", "input": "", "output": f"Red<|im_end|>{number}"}
    for number in range(20)
]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def with_config(folder: Path) -> Path:
    sizes = {"vocab_size": 640, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = AutoConfig.for_model("llama", **sizes, intermediate_size=8, max_position_embeddings=256)
    config.save_pretrained(folder)
    return folder


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    return with_config(MODELS["qwen2.5"].write(tmp_path / "qwen"))


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    made = tokenizers.byte_level()
    return with_config(
        tokenizers.write(tmp_path / "bare", made, specials=("<|endoftext|>",), eos_token="<|endoftext|>")
    )


def layer_of(folder: Path, tmp_path: Path, **more: Any) -> dict[str, Any]:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    model = {"name": "hf", "repo": str(folder), "weights": "random"}
    return {"model": model, "data": {"source": str(tmp_path / "rows.json")}, **more}


def test_a_models_own_template_is_the_prompt_unless_another_is_chosen(qwen, bare, tmp_path, registry):
    assert resolve(layer_of(qwen, tmp_path), registry).prompt.name == "own"
    assert resolve(layer_of(bare, tmp_path), registry).prompt.name == "alpaca"
    assert resolve(layer_of(qwen, tmp_path, prompt={"name": "phi3"}), registry).prompt.name == "phi3"
    assert resolve(layer_of(qwen, tmp_path, prompt="phi3"), registry).prompt.name == "phi3"
    assert resolve(layer_of(qwen, tmp_path, prompt={"system": "Be brief."}), registry).prompt.options["system"] == (
        "Be brief."
    )


def test_a_model_without_a_template_cannot_have_its_own(bare, tmp_path, registry):
    with pytest.raises(ConfigError, match="has no chat template of its own; choose another style with --prompt"):
        resolve(layer_of(bare, tmp_path, prompt={"name": "own"}), registry)


def test_a_run_keeps_the_text_of_the_template(qwen, tmp_path, registry):
    kept = resolve(layer_of(qwen, tmp_path), registry).prompt
    assert json.loads(kept.options["content"])["chat_template"]["default"] == MODELS["qwen2.5"].template
    (qwen / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
    layer = layer_of(qwen, tmp_path, prompt={"name": "own", **kept.options})
    assert resolve(layer, registry).prompt == kept


def test_thinking_is_off_where_answers_would_be_trained_without_it(tmp_path, registry):
    folder = with_config(MODELS["qwen3"].write(tmp_path / "qwen3"))
    assert resolve(layer_of(folder, tmp_path), registry).prompt.options["variables"] == {"enable_thinking": False}


def test_a_template_that_asks_for_the_date_names_the_way_out(tmp_path, registry):
    template = "{{ strftime_now('%Y') }}{{ messages[0].content }}"
    folder = with_config(replace(MODELS["qwen2.5"], template=template).write(tmp_path / "dated"))
    with pytest.raises(ConfigError, match=r"--set prompt.date=YYYY-MM-DD; or choose another style with --prompt"):
        resolve(layer_of(folder, tmp_path), registry)


def test_a_preview_names_control_tokens_and_marks_them(qwen, tmp_path, registry):
    config = resolve(layer_of(qwen, tmp_path), registry)
    components = Components.choose(config, registry)
    data = read_data(config, components, Observer(), indices=(), measures_all=True)
    ((_, tokens),) = view_examples(components, data.prepared.train, 1, {0})
    assert [token.text for token in tokens if token.is_control] == ["<|im_start|>", "<|im_end|>"] * 3
    assert "".join(token.text for token in tokens).endswith("assistant\nRed<|im_end|>0<|im_end|>\n")


def test_a_run_says_in_one_line_that_its_prompt_is_the_models_own(qwen, tmp_path, registry, heard):
    config = resolve(layer_of(qwen, tmp_path, prompt={"variables": {"extra": False}}), registry)
    components = Components.choose(config, registry)
    prepared = prepare_data(config, components, Observer())
    announce(
        Setup(config=config, registry=registry, components=components, prepared=prepared, device="cpu", process=None),
        heard,
    )
    line = (
        "prompt own is the model's own chat template, with extra=false; --prompt alpaca (or another) takes other words"
    )
    assert line in heard.notes


def test_every_model_of_a_comparison_takes_its_own_template(qwen, bare, tmp_path, registry):
    layer = layer_of(qwen, tmp_path)
    layer["model"] = {"weights": "random"}
    axis = Axis(key="model.name", values=(f"hf:{qwen}", f"hf:{bare}"))
    plan = make_plan(read_request({**layer, "ablate": {"seeds": 1}}, [axis]), registry)
    assert [arm.layer["prompt"]["name"] for arm in plan.grid.arms] == ["own", "alpaca"]


def test_the_models_own_template_is_an_arm_beside_other_styles(qwen, tmp_path, registry):
    axis = Axis(key="prompt.name", values=("own", "alpaca"))
    plan = make_plan(read_request({**layer_of(qwen, tmp_path), "ablate": {"seeds": 1}}, [axis]), registry)
    assert ["content" in arm.layer["prompt"] for arm in plan.grid.arms] == [True, False]


def test_the_doctor_names_control_tokens_and_what_ends_an_answer(qwen, tmp_path, registry):
    own = validate(layer_of(qwen, tmp_path))
    (found,) = check_prompt(own, registry)
    told = "own writes these control tokens: <|im_end|>, <|im_start|>; an answer ends with <|im_end|>"
    assert (found.topic, found.status, found.found) == ("prompt", "ok", told)
    gemma = with_config(MODELS["gemma"].write(tmp_path / "gemma"))
    (found,) = check_prompt(validate(layer_of(gemma, tmp_path, prompt={"name": "alpaca"})), registry)
    assert found.found == (
        "alpaca writes these control tokens: none; every example begins with <bos>; an answer ends with <eos>"
    )


def test_the_doctor_fetches_no_tokenizer(tmp_path, registry):
    (found,) = check_prompt(validate({"model": {"name": "hf", "repo": str(tmp_path / "nothing")}}), registry)
    assert (found.topic, found.status) == ("prompt", "note")
    assert found.found.startswith("control tokens could not be looked at: ")
    assert list(check_prompt(validate({"model": "gpt2-nano"}), registry)) == []


class Exporting(CausalLM):
    export_targets: ClassVar[tuple[str, ...]] = ("hf", "gguf")

    def export(self, folder: Path, settings: ExportSettings) -> None:
        (folder / "template.jinja").write_text(settings.chat_template)

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


def exported(style: Any, tokenizer: Tokenizer, out: Path, target: str = "hf") -> str:
    model = Exporting(nn.Linear(1, 1), tokenizer, 64)
    write_export(model, style, out, target=target, dtype="float32", name="toy", max_new_tokens=7)
    return (out / "template.jinja").read_text()


@pytest.mark.parametrize("family", ["qwen2.5", "gemma"])
@pytest.mark.parametrize("target", ["hf", "gguf"])
def test_an_export_has_the_models_own_template_as_it_is(family, target, tmp_path, registry):
    folder = with_config(MODELS[family].write(tmp_path / "model"))
    config = resolve(layer_of(folder, tmp_path), registry)
    style = registry.prompt_style("own", config.prompt.options)
    assert exported(style, HFTokenizer.from_folder(folder), tmp_path / "out", target) == MODELS[family].template
    contents = json.loads((tmp_path / "out/sftframe-export.json").read_text())
    assert contents["prompt_style"] == "own"
    assert "{instruction}" in contents["prompt"]
    if target == "gguf":
        assert "FROM ./model.gguf" in (tmp_path / "out/Modelfile").read_text()


@pytest.mark.parametrize("family", ["llama3.1", "qwen2.5", "smollm2", "llama2"])
@pytest.mark.parametrize("prompt", ["alpaca", "chatml", "phi3"])
def test_other_programs_get_the_ids_of_training_from_an_exported_style(family, prompt, tmp_path, registry):
    folder = MODELS[family].write(tmp_path / "model")
    tokenizer, style = HFTokenizer.from_folder(folder), registry.prompt_style(prompt)
    template = exported(style, tokenizer, tmp_path / "out")
    example = Example(index=0, instruction="Name a colour.", output="Red is a colour.")
    question = [{"role": "user", "content": example.instruction}]
    theirs = AutoTokenizer.from_pretrained(folder)

    def their_ids(said: list[dict[str, str]], *, is_prompt: bool) -> list[int]:
        return theirs.apply_chat_template(
            said, chat_template=template, tokenize=True, return_dict=False, add_generation_prompt=is_prompt
        )

    assert their_ids(question, is_prompt=True) == encode_prompts([example], style, tokenizer)[0]
    answered = [*question, {"role": "assistant", "content": example.output}]
    config = resolve({}, registry).tokens
    store, _ = tokenize([example], style, tokenizer, config, context_length=999)
    assert their_ids(answered, is_prompt=False) == store[0].ids.tolist()
