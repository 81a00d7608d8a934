"""`sftframe init` writes every setting, and nothing that would change a run."""

import tomllib

import pytest

from sftframe.config import RunConfig


def uncommented(text: str) -> str:
    """The file with every setting switched on that has a value; words of explanation stay comments."""
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        name, sign, value = bare.partition(" = ")
        is_setting = line.startswith("# ") and sign and value and all(part.isidentifier() for part in name.split("."))
        lines.append(bare if is_setting else line)
    return "\n".join(lines)


def test_as_it_is_written_it_chooses_the_components_and_nothing_else(cli, tmp_path):
    assert cli("init").code == 0
    document = tomllib.loads((tmp_path / "sftframe.toml").read_text(encoding="utf-8"))
    assert {name: table for name, table in document.items() if table} == {
        "prompt": {"name": "alpaca"},
        "collate": {"name": "mask-pad"},
        "model": {"name": "gpt2-nano"},
        "judge": {"name": "reference"},
    }


def test_as_json_it_says_where_the_file_is_and_what_to_run(cli, tmp_path):
    assert cli("init", "--json").json == {"path": str(tmp_path / "sftframe.toml"), "next": "sftframe run"}
    assert cli("init", "other file.toml", "--json").json["next"] == "sftframe run --config 'other file.toml'"


def test_switched_on_every_line_is_the_default(cli, tmp_path):
    cli("init")
    document = tomllib.loads(uncommented((tmp_path / "sftframe.toml").read_text(encoding="utf-8")))
    lora = document["train"].pop("lora")
    found = RunConfig.model_validate(document)
    for seam in ("prompt", "collate", "model", "judge"):
        assert getattr(found, seam).name == getattr(RunConfig(), seam).name
    assert found.model_copy(update={s: getattr(RunConfig(), s) for s in ("prompt", "collate", "model", "judge")}) == (
        RunConfig()
    )
    assert lora == {"rank": 16, "dropout": 0.0, "targets": []}


def test_every_setting_stands_in_it_with_a_word_of_help(cli, tmp_path):
    cli("init")
    lines = (tmp_path / "sftframe.toml").read_text(encoding="utf-8").splitlines()
    for name, section in RunConfig.model_fields.items():
        for key in getattr(section.annotation, "model_fields", {name: None}):
            if name in ("prompt", "collate", "model", "judge") or key == "lora":
                continue
            (place,) = [i for i, line in enumerate(lines) if line.startswith(f"# {key} =")][:1] or [None]
            assert place is not None, key
            assert lines[place - 1].startswith("# "), key


def test_the_options_of_the_chosen_pieces_are_listed(cli, tmp_path):
    assert cli("init", "--judge", "ollama", "--collate", "prompt-weight", "mine.toml").code == 0
    text = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    assert 'name = "ollama"' in text
    assert "# timeout_s = " in text
    assert "# weight = " in text


def test_what_the_model_proposes_is_said_beside_the_default(cli, tmp_path):
    cli("init")
    text = (tmp_path / "sftframe.toml").read_text(encoding="utf-8")
    assert "# default of the chosen model: 0.0015\n# lr = 5e-05" in text


def test_a_run_takes_the_file(cli, data_file, tmp_path):
    cli("init")
    outcome = cli("train", "--config", "sftframe.toml", "--data", data_file, "--max-steps", "1", "--json")
    assert outcome.code == 0, outcome.err


def test_a_file_in_the_way_is_left_alone(cli, tmp_path):
    (tmp_path / "sftframe.toml").write_text("# mine\n", encoding="utf-8")
    outcome = cli("init")
    assert (outcome.code, "sftframe.toml exists already" in outcome.last_line) == (2, True)
    assert (tmp_path / "sftframe.toml").read_text(encoding="utf-8") == "# mine\n"


@pytest.mark.parametrize("width", ["60", "80"])
def test_no_line_of_the_file_is_wider_than_a_screen(cli, tmp_path, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    cli("init", "--judge", "ollama")
    assert max(map(len, (tmp_path / "sftframe.toml").read_text(encoding="utf-8").splitlines())) <= 120
