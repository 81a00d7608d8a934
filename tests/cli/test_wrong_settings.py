"""Every setting with a wrong value, and keys that are nearly right: plain words, and no word of a library's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sftframe.ablation import read_request
from sftframe.ablation.grid import AblateConfig
from sftframe.config import RunConfig, build_options, known_keys, nested, option_fields, validate
from sftframe.errors import ConfigError
from sftframe.registry import Seam, load_registry

JARGON = re.compile(
    r"Input should|Value error|constrained-|tuple|_parsing|_type|<class|pydantic|[{}]|valid (integer|number|string)"
    r"|greater than or|unable to|NoneType|dict|union|function-"
)
WRONG = ("zzz", -1, -1.5, [], [[1]], ["a", 2, -3], {"x": 1}, {}, True, 10**30, float("nan"))


def complaints(check: Any) -> list[str]:
    said = []
    for value in WRONG:
        try:
            check(value)
        except ConfigError as error:
            said.append(str(error))
    return said


@pytest.mark.parametrize("key", [*known_keys(RunConfig)])
def test_every_setting_of_a_run_complains_in_plain_words(key: str) -> None:
    said = complaints(lambda value: validate(nested(key, value)))
    assert said
    assert [text for text in said if JARGON.search(text.replace("[{", "").replace("}]", ""))] == []
    assert all(text.startswith((key, "no configuration key", key.rpartition(".")[0])) for text in said)


@pytest.mark.parametrize("key", [*known_keys(AblateConfig)])
def test_every_setting_of_an_ablation_complains_in_plain_words(key: str) -> None:
    said = complaints(lambda value: read_request({"ablate": nested(key, value)}))
    assert said
    assert [text for text in said if JARGON.search(text)] == []


OPTIONS = [
    (seam, name, option)
    for registry in [load_registry()]
    for seam in Seam
    for name in registry.names(seam)
    for option in option_fields(registry.find(seam, name).Options)
]


@pytest.mark.parametrize(("seam", "name", "option"), OPTIONS)
def test_every_option_of_every_component_complains_in_plain_words(seam: Seam, name: str, option: str) -> None:
    component = load_registry().find(seam, name)
    said = complaints(lambda value: build_options(component, {option: value}, seam.value))
    assert said
    assert [text for text in said if JARGON.search(text)] == []
    assert all(text.startswith(f"{seam.value}.{option}") for text in said)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("epochs", "no configuration key 'epochs'; did you mean 'train.epochs'?"),
        ("temperature", "did you mean 'generate.temperature'?"),
        ("batch_size", "did you mean 'train.batch_size' or 'generate.batch_size'?"),
        ("train.top_k", "did you mean 'generate.top_k'?"),
        ("train.rank", "did you mean 'train.lora.rank'?"),
        ("train.warmup", "did you mean 'warmup_steps'?"),
        ("train.learning_rate", "did you mean 'lr'?"),
        ("generate.max_tokens", "did you mean 'max_new_tokens'?"),
        ("lora.dropuot", "no configuration key 'lora'; did you mean"),
        ("data.fields.inptu", "did you mean 'input'?"),
    ],
)
def test_a_key_that_is_nearly_right_leads_to_the_right_one(key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        validate(nested(key, 1))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train.betas", "0.9", 'train.betas: expected a list, for instance ["0.9"], found'),
        ("train.lora.targets", 7, "train.lora.targets: expected a list"),
        ("train.betas", [0.9, 2], "train.betas (value 2): expected less than 1, found 2"),
        ("train.betas", [0.9, 0.9, 0.9], "train.betas: expected 2 values or fewer, found"),
        ("train.batch_size", {"x": 1}, "train.batch_size: expected a whole number, found a section with the keys 'x'"),
    ],
)
def test_a_wrong_value_is_told_with_what_to_write(key: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        validate(nested(key, value))


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (0, "ablate.seeds: expected 1 or more, or a list, for instance [0], found 0"),
        ("x", "ablate.seeds: expected a whole number, or a list"),
        ([1, -2], "ablate.seeds (value 2): expected 0 or more, found -2"),
    ],
)
def test_of_several_forms_that_a_setting_takes_all_are_told(seeds: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        read_request({"ablate": {"seeds": seeds}})
    assert "more setting" not in str(caught.value)


def test_an_option_that_another_component_has_is_told_with_its_owner() -> None:
    registry = load_registry()
    with pytest.raises(ConfigError, match=r"'alpaca' has no option 'end_tag'; 'phi3' has it: add --prompt phi3"):
        registry.create(Seam.PROMPT, "alpaca", {"end_tag": False})
