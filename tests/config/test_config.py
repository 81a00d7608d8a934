"""What a configuration says of bad values, and which of several layers wins."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field

from sftframe import NoOptions, RunConfig, option
from sftframe.config import (
    DataConfig,
    GenerateConfig,
    TokensConfig,
    TrainConfig,
    build_options,
    merge,
    nested,
    option_fields,
    parse_settings,
    read_toml,
    validate,
)
from sftframe.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlainOptions:
    weight: float = option(0.1, "how much it weighs", ge=0, le=1)
    model: str = option("llama3", "which model")
    tags: tuple[str, ...] = option((), "any tags")


class Server(BaseModel):
    model_config = ConfigDict(extra="forbid")
    host: str = "localhost"
    timeout: float = 60.0


class PydanticOptions(BaseModel):
    model_config = ConfigDict(frozen=True)
    weight: float = Field(default=0.1, ge=0, le=1, description="how much it weighs")
    server: Server = Server()


class Plain:
    name: ClassVar[str] = "plain"
    Options = PlainOptions


class Rich:
    name: ClassVar[str] = "rich"
    Options = PydanticOptions


class Bare:
    name: ClassVar[str] = "bare"
    Options = NoOptions


def complaint(*settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(parse_settings(settings))
    return str(caught.value)


def options_complaint(owner: type[Any], values: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        build_options(owner, dict(values), "judge")
    return str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trian.lr=1", "no configuration key 'trian'; did you mean 'train'? Available: before, collate, data, "),
        ("train.ephocs=1", "no configuration key 'train.ephocs'; did you mean 'epochs'? Available: accumulate, "),
        ("train.qqq=1", "no configuration key 'train.qqq'. Available: accumulate, batch_size, "),
        ("train.lr=fast", "train.lr: expected a number, found 'fast'"),
        ("train.lr=-1", "train.lr: expected more than 0, found -1"),
        ("train.lr=inf", "train.lr: expected a finite number, found inf"),
        ("train.epochs=nan", "train.epochs: expected a finite number, found nan"),
        ("train.epochs=0", "train.epochs: expected more than 0, found 0"),
        ("train.batch_size=1.5", "train.batch_size: expected a whole number, found 1.5"),
        ("train.betas=[0.9, 1.0]", "train.betas (value 2): expected less than 1, found 1.0"),
        ("train.betas=[0.9]", "train.betas: expected 2 values or more, found [0.9]"),
        ("train.schedule=step", "train.schedule: expected 'constant', 'linear' or 'cosine', found 'step'"),
        ("tokens.max_length=1", "tokens.max_length: expected 2 or more, found 1"),
        ("tokens.over_long=cut", "tokens.over_long: expected 'error', 'drop', 'truncate-prompt' or 'truncate-end', f"),
        ("generate.top_p=1.5", "generate.top_p: expected 1 or less, found 1.5"),
        (
            "data.fields.question=q",
            "no configuration key 'data.fields.question'. Available: content, history, input, ins",
        ),
        ("data.fields=q", "data.fields: expected a section with keys, found 'q'"),
        ("train=5", "train: expected a section with keys, found 5"),
        ("judge=5", "judge: expected a name, or a section with keys, found 5"),
        ("judge.name=5", "judge.name: expected text, found 5"),
        ("seed=-1", "seed: expected 0 or more, found -1"),
        ("seed=9223372036854775808", "seed: expected less than 9223372036854775808, found 9223372036854775808"),
        ("max_failures=2", "max_failures: expected 1 or less, found 2"),
        ("dtype=float16", "dtype: expected 'float32' or 'bfloat16', found 'float16'"),
        ("before=maybe", "before: expected true or false, found 'maybe'"),
        ("threads=0", "threads: expected 1 or more, found 0"),
    ],
)
def test_a_bad_setting_is_told_with_its_key_what_was_expected_and_what_was_found(setting: str, message: str) -> None:
    assert complaint(setting).startswith(message)


def test_one_finding_is_told_and_the_others_are_counted() -> None:
    assert complaint("train.lr=-1", "train.epochs=0", "seed=-1").endswith("; 2 more settings are wrong too")


@pytest.mark.parametrize("setting", ["train.lr", "=5", "train..lr=5", ".lr=5", "train.=5", ""])
def test_a_word_that_is_no_assignment_is_refused_with_an_example(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"expected section\.key=value, for instance train\.lr=1e-4"):
        parse_settings([setting])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1e-4", 1e-4),
        ("true", True),
        ('"5"', "5"),
        ("[1, 2]", [1, 2]),
        ("{a = 1}", {"a": 1}),
        ("llama3:8b", "llama3:8b"),
        ("http://host:11434/?a=b", "http://host:11434/?a=b"),
        ("C:\\data", "C:\\data"),
        ("", ""),
        (" spaced ", "spaced"),
        ("2024-05-17", "2024-05-17"),
        ("07:32:00", "07:32:00"),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_an_assigned_value_is_read_as_toml_or_else_as_it_stands(text: str, value: object) -> None:
    assert parse_settings([f"judge.x={text}"]) == {"judge": {"x": value}}


def test_blanks_around_keys_do_not_matter() -> None:
    assert parse_settings([" train . lr = 0.5"]) == {"train": {"lr": 0.5}}


def test_of_several_assignments_of_a_key_the_last_wins() -> None:
    assert parse_settings(["train.lr=1", "train.epochs=3", "train.lr=2"]) == {"train": {"lr": 2, "epochs": 3}}


def test_a_stronger_layer_wins_key_by_key() -> None:
    toml = {"train": {"lr": 1.0, "epochs": 4}, "seed": 1}
    assigned = {"train": {"lr": 2.0, "batch_size": 2}}
    flag = nested("train.lr", 3.0)
    config = validate(merge(toml, assigned, flag))
    assert (config.train.lr, config.train.epochs, config.train.batch_size, config.seed) == (3.0, 4, 2, 1)


def test_merging_leaves_the_layers_as_they_were() -> None:
    low, high = {"train": {"lr": 1.0}}, {"train": {"epochs": 2}}
    merge(low, high)["train"]["lr"] = 9.0
    assert (low, high) == ({"train": {"lr": 1.0}}, {"train": {"epochs": 2}})


def test_another_component_drops_the_options_of_the_one_before() -> None:
    low = {"judge": {"name": "ollama", "model": "llama3"}}
    assert merge(low, {"judge": {"name": "reference"}}) == {"judge": {"name": "reference"}}
    assert merge(low, {"judge": "reference"}) == {"judge": {"name": "reference"}}


def test_the_same_component_named_again_keeps_its_options() -> None:
    low = {"judge": {"name": "ollama", "model": "llama3"}}
    assert merge(low, {"judge": "ollama"}) == low


def test_an_option_set_above_a_component_chosen_by_name_alone_keeps_the_name() -> None:
    merged = merge({"judge": "ollama"}, {"judge": {"model": "llama3"}})
    assert merged == {"judge": {"name": "ollama", "model": "llama3"}}


def test_an_option_set_below_a_component_goes_to_it() -> None:
    merged = merge({"judge": {"model": "llama3"}}, {"judge": "ollama"})
    assert merged == {"judge": {"name": "ollama", "model": "llama3"}}


def test_a_key_called_name_in_an_options_own_table_switches_nothing() -> None:
    low = {"judge": {"name": "x", "rubric": {"name": "short", "points": 5}}}
    merged = merge(low, {"judge": {"rubric": {"name": "long"}}})
    assert merged == {"judge": {"name": "x", "rubric": {"name": "long", "points": 5}}}


def test_a_value_in_a_sections_place_is_not_dropped_in_silence() -> None:
    with pytest.raises(ConfigError, match=r"data: expected a section with keys, found 'f\.json' \(and data\.limit\)"):
        merge({"data": "f.json"}, {"data": {"limit": 3}})


def test_only_what_was_set_goes_into_the_layer_of_a_python_configuration() -> None:
    config = RunConfig(prompt="phi3", train={"epochs": 1}, seed=123)
    assert config.model_dump(exclude_unset=True) == {"prompt": {"name": "phi3"}, "train": {"epochs": 1.0}, "seed": 123}


def test_a_components_table_without_a_name_means_the_default_component() -> None:
    config = validate({"judge": {"strict": True}})
    assert (config.judge.name, config.judge.options) == ("reference", {"strict": True})


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().train.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("section", [DataConfig, TokensConfig, TrainConfig, GenerateConfig])
def test_every_key_has_a_line_of_help(section: type[BaseModel]) -> None:
    assert [name for name, field in section.model_fields.items() if not field.description] == []


def test_a_toml_file_is_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('prompt = "phi3"\n[train]\nlr = 1e-3\n', encoding="utf-8")
    assert read_toml(path) == {"prompt": "phi3", "train": {"lr": 0.001}}


def test_a_missing_toml_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot read the configuration .*none\.toml: No such file or directory$"):
        read_toml(tmp_path / "none.toml")


def test_broken_toml_is_told_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("seed = 1\n[train\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.toml is not valid TOML: .*line 2, column 7"):
        read_toml(path)


def test_a_toml_file_of_another_encoding_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(b'prompt = "na\xefve"')
    with pytest.raises(ConfigError, match="byte 12 is not UTF-8"):
        read_toml(path)


@pytest.mark.parametrize("owner", [Plain, Rich])
def test_options_come_as_the_class_that_the_component_declares(owner: type[Any]) -> None:
    options = build_options(owner, {"weight": "0.5"}, "judge")
    assert isinstance(options, owner.Options)
    assert options.weight == 0.5


@pytest.mark.parametrize("owner", [Plain, Rich])
def test_options_that_are_not_set_have_their_defaults(owner: type[Any]) -> None:
    assert build_options(owner, {}, "judge").weight == 0.1


@pytest.mark.parametrize("owner", [Plain, Rich])
def test_an_option_out_of_range_is_told_with_section_and_key(owner: type[Any]) -> None:
    assert options_complaint(owner, {"weight": 2}) == "judge.weight: expected 1 or less, found 2"


def test_an_unknown_option_gets_a_suggestion_and_the_list() -> None:
    assert options_complaint(Plain, {"wieght": 1}) == (
        "judge.wieght: 'plain' has no option 'wieght'; did you mean 'weight'? Available: model, tags, weight"
    )


def test_an_option_for_a_component_that_has_none_is_refused() -> None:
    assert options_complaint(Bare, {"weight": 1}) == "judge.weight: 'bare' has no option 'weight'; none are available"


def test_an_unknown_key_inside_an_options_section_gets_a_suggestion() -> None:
    assert options_complaint(Rich, {"server": {"hots": "x"}}) == (
        "no configuration key 'judge.server.hots'; did you mean 'host'? Available: host, timeout"
    )


def test_a_list_fills_a_tuple_option() -> None:
    assert build_options(Plain, {"tags": ["a", "b"]}, "judge").tags == ("a", "b")


def test_a_single_text_fills_a_list() -> None:
    assert build_options(Plain, {"tags": "one"}, "judge").tags == ("one",)
    config = validate(parse_settings(["train.lora.targets=c_attn"]))
    assert config.train.lora is not None
    assert config.train.lora.targets == ("c_attn",)


@pytest.mark.parametrize("owner", [Plain, Rich])
def test_each_option_is_described_with_type_range_and_default(owner: type[Any]) -> None:
    weight = option_fields(owner.Options)["weight"]
    described = {key: weight[key] for key in ("type", "minimum", "maximum", "default", "description")}
    assert described == {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.1,
        "description": "how much it weighs",
    }
