"""Which kind of source a folder is."""

import pytest
from sftframe_plugins.gpt2.weights.folder import HuggingFaceFolder, OpenAIFolder, open_folder

from sftframe import ModelError


@pytest.mark.parametrize(("name", "kind"), [("config.json", HuggingFaceFolder), ("hparams.json", OpenAIFolder)])
def test_the_file_of_sizes_tells_the_form(tmp_path, name, kind):
    (tmp_path / name).write_text("{}")
    assert type(open_folder(tmp_path)) is kind


def test_a_folder_of_no_known_kind_is_told_what_was_looked_for(tmp_path):
    with pytest.raises(ModelError, match=r"no GPT-2 in .*: looked for config\.json .* and hparams\.json"):
        open_folder(tmp_path)


def test_a_missing_folder_is_told_the_other_choices(tmp_path):
    others = {name: HuggingFaceFolder(tmp_path) for name in ("bundled", "random")}
    with pytest.raises(ModelError, match=r"no folder .*absent; expected a folder, a \.pth file, or bundled, random"):
        open_folder(tmp_path / "absent", others)


def test_an_adapter_is_named_with_its_model_and_what_to_do(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "distilgpt2", "peft_type": "LORA"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"is a LoRA adapter of 'distilgpt2', not a whole model: merge it \(peft's"):
        open_folder(tmp_path)


@pytest.mark.parametrize("inner", ["model", "checkpoint-40"])
def test_a_model_one_folder_deeper_is_named(tmp_path, inner):
    for name in ("checkpoint-9", inner):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=rf"there is one in .*{inner}: use that folder"):
        open_folder(tmp_path)


def test_a_file_of_weights_is_told_to_be_named_by_its_folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is a file; name the folder that it is in"):
        open_folder(tmp_path / "model.safetensors")
