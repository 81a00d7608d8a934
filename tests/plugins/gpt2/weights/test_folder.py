"""Which kind of source a folder is."""

import pytest
from sftframe_plugins.gpt2.weights.folder import open_folder
from sftframe_plugins.gpt2.weights.huggingface_folder import HuggingFaceFolder
from sftframe_plugins.gpt2.weights.openai_folder import OpenAIFolder

from sftframe import ModelError


@pytest.mark.parametrize(("name", "kind"), [("config.json", HuggingFaceFolder), ("hparams.json", OpenAIFolder)])
def test_the_file_of_sizes_tells_the_form(tmp_path, name, kind):
    (tmp_path / name).write_text("{}")
    assert type(open_folder(tmp_path)) is kind


def test_a_folder_of_no_known_kind_is_told_what_was_looked_for(tmp_path):
    with pytest.raises(ModelError, match=r"no GPT-2 in .*: looked for config\.json .* and hparams\.json"):
        open_folder(tmp_path)


def test_a_missing_folder_is_told_the_other_choices(tmp_path):
    with pytest.raises(ModelError, match=r"no folder .*absent; expected a folder, or bundled, random"):
        open_folder(tmp_path / "absent", ["bundled", "random"])
