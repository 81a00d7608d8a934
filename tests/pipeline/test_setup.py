"""From a configuration to all that a run needs, with what can fail found early."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sftframe import Judge, ModelBackend, RunConfig, hookimpl, load_registry
from sftframe.config import Layer
from sftframe.errors import ConfigError, DataError, JudgeError, ModelError, PluginError
from sftframe.pipeline import Components, check_resources, prepare_data, resolve
from sftframe.pipeline.setup import check_answers_fit
from sftframe.progress import Observer
from sftframe.prompts.tokens import encode_prompts


def test_what_the_backend_proposes_lies_under_what_the_user_sets(layer: Callable[..., Layer], toys: Any) -> None:
    config = resolve(layer(train={"epochs": 5}), toys.registry)
    assert (config.train.lr, config.train.epochs, config.train.batch_size) == (0.003, 5, 4)
    assert config.generate.max_new_tokens == 6


def test_another_backend_proposes_otherwise() -> None:
    assert resolve({"model": "gpt2-small"}, load_registry()).train.lr == RunConfig().train.lr


def test_an_impossible_proposal_is_the_backends_fault(
    layer: Callable[..., Layer], make_toys: Callable[..., Any], toy_backend: type[ModelBackend]
) -> None:
    class Wrong(toy_backend):  # type: ignore[misc,valid-type]
        defaults: ClassVar = {"train": {"learning_rate": 1.0}}

    with pytest.raises(
        PluginError,
        match=r"model backend 'toy' proposes a default that is not valid: no configuration key 'train\.lear",
    ):
        resolve(layer(), make_toys(backend=Wrong).registry)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "breif"}, "no prompt style 'breif'; did you mean 'brief'"),
        ({"collate": "mask-padd"}, "no collate strategy 'mask-padd'; did you mean 'mask-pad'"),
        ({"model": "toyy"}, "no model backend 'toyy'; did you mean 'toy'"),
        ({"judge": "toy-juge"}, "no judge 'toy-juge'; did you mean 'toy-judge'"),
        ({"model": {"dorpout": 0.1}}, r"model\.dorpout: 'toy' has no option 'dorpout'; did you mean 'dropout'"),
        ({"model": {"dropout": 1}}, r"model\.dropout: expected less than 1, found 1"),
        ({"collate": {"weight": 1}}, r"collate\.weight: 'mask-pad' has no option 'weight'"),
    ],
)
def test_a_piece_that_is_not_there_is_told_with_the_nearest(
    change: Layer, message: str, layer: Callable[..., Layer], toys: Any
) -> None:
    with pytest.raises(ConfigError, match=message):
        Components.choose(resolve(layer(**change), toys.registry), toys.registry)


def test_padding_is_the_tokenizers_end_token(layer: Callable[..., Layer], toys: Any) -> None:
    components = Components.choose(resolve(layer(), toys.registry), toys.registry)
    assert components.strategy.pad_id == components.tokenizer.end_id == 256


def test_the_parts_hold_each_their_own_examples(layer: Callable[..., Layer], toys: Any) -> None:
    config = resolve(layer(), toys.registry)
    prepared = prepare_data(config, Components.choose(config, toys.registry), Observer())
    assert prepared.train.indices == list(range(34))
    assert prepared.test.indices == [34, 35, 36, 37]
    assert prepared.validation.indices == [38, 39]
    assert prepared.sample_example().index == 38
    assert prepared.references()[35] == "It is 36. Yes. Yes."


def test_a_shuffled_split_moves_examples_and_loses_none(layer: Callable[..., Layer], toys: Any) -> None:
    config = resolve(layer(data={"shuffle_split": 3}), toys.registry)
    prepared = prepare_data(config, Components.choose(config, toys.registry), Observer())
    parts = [prepared.train.indices, prepared.test.indices, prepared.validation.indices]
    assert sorted(index for part in parts for index in part) == list(range(40))
    assert [example.index for example in prepared.test_examples()] != [34, 35, 36, 37]
    assert {example.index for example in prepared.test_examples()} == set(prepared.test.indices)


@pytest.fixture
def with_long(tmp_path: Path) -> Callable[[set[int]], dict[str, str]]:
    """The data section of a file of 40 entries, of which those at some positions are long."""

    def make(positions: set[int]) -> dict[str, str]:
        entries = [{"instruction": "Say it.", "output": "x" * (99 if i in positions else 3)} for i in range(40)]
        path = tmp_path / "long.json"
        path.write_text(json.dumps(entries), encoding="utf-8")
        return {"source": str(path)}

    return make


def test_dropped_examples_are_neither_measured_nor_asked(
    with_long: Callable, layer: Callable[..., Layer], toys: Any
) -> None:
    changes = {"data": with_long({0, 35, 38}), "tokens": {"max_length": 50, "over_long": "drop"}}
    config = resolve(layer(**changes), toys.registry)
    prepared = prepare_data(config, Components.choose(config, toys.registry), Observer())
    assert prepared.lengths.over_long == (0, 35, 38)
    assert prepared.train.indices == list(range(1, 34))
    assert [example.index for example in prepared.test_examples()] == [34, 36, 37]
    assert prepared.sample_example().index == 39


@pytest.mark.parametrize(("positions", "label"), [({34, 35, 36, 37}, "test"), ({38, 39}, "validation")])
def test_a_part_of_which_nothing_is_left_is_told(
    positions: set[int], label: str, with_long: Callable, layer: Callable[..., Layer], toys: Any
) -> None:
    changes = {"data": with_long(positions), "tokens": {"max_length": 50, "over_long": "drop"}}
    config = resolve(layer(**changes), toys.registry)
    with pytest.raises(
        DataError, match=rf"no {label} example is left, all of them are over 50 tokens and were dropped"
    ):
        prepare_data(config, Components.choose(config, toys.registry), Observer())


def test_a_boundary_that_is_not_stable_is_refused_unless_the_sides_are_split(
    layer: Callable[..., Layer], make_toys: Callable[..., Any], toy_backend: type[ModelBackend]
) -> None:
    class Merging(type(toy_backend().tokenizer())):  # type: ignore[misc]
        """Joins a colon and the space behind it: alone, the prompt ends otherwise than before an answer."""

        def encode_batch(self, texts: Any) -> list[list[int]]:
            return [list(text.encode().replace(b": ", b"\x01")) for text in texts]

        def token_bytes(self, token_id: int) -> bytes:
            return b": " if token_id == 1 else super().token_bytes(token_id)

    class Other(toy_backend):  # type: ignore[misc,valid-type]
        def tokenizer(self, saved: Path | None = None) -> Any:
            return Merging()

    registry = make_toys(backend=Other).registry
    whole, split = (resolve(layer(tokens={"boundary": boundary}), registry) for boundary in ("whole", "split"))
    with pytest.raises(DataError, match="example 0: with prompt style 'brief' a token crosses the boundary"):
        prepare_data(whole, Components.choose(whole, registry), Observer())
    prepared = prepare_data(split, Components.choose(split, registry), Observer())
    assert bytes(prepared.train[0].ids[:-1].tolist()) == b"Q\x01After 0?\nA: It is 1."


def test_a_device_that_is_not_there_is_told(layer: Callable[..., Layer], toys: Any) -> None:
    config = resolve(layer(device="cuda:77"), toys.registry)
    with pytest.raises(ConfigError, match="device: no 'cuda:77' on this machine"):
        check_resources(config, Components.choose(config, toys.registry), needs_judge=True)


def test_weights_that_cannot_be_had_are_told(
    layer: Callable[..., Layer], make_toys: Callable[..., Any], toy_backend: type[ModelBackend]
) -> None:
    class Absent(toy_backend):  # type: ignore[misc,valid-type]
        def check(self) -> None:
            raise ModelError("no weights here")

    toys = make_toys(backend=Absent)
    config = resolve(layer(), toys.registry)
    with pytest.raises(ModelError, match="no weights here"):
        check_resources(config, Components.choose(config, toys.registry), needs_judge=True)


def test_a_judge_is_checked_where_it_is_needed(layer: Callable[..., Layer], toys: Any) -> None:
    class Away(Judge):
        name = "away"
        summary = "its server is down"

        def check(self) -> None:
            raise JudgeError("start the server")

        def score(self, items: Any) -> Any:
            raise AssertionError("never asked")

    class Plugin:
        @hookimpl
        def sftframe_judges(self) -> list[type[Judge]]:
            return [Away]

    registry = toys.registry.with_plugin(Plugin(), "away")
    config = resolve(layer(judge="away"), registry)
    components = Components.choose(config, registry)
    assert check_resources(config, components, needs_judge=False) == "cpu"
    with pytest.raises(JudgeError, match="start the server"):
        check_resources(config, components, needs_judge=True)


def test_compiling_without_a_compiler_is_refused_before_anything_is_made(
    start: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"train\.compile: torch cannot compile for cpu on this machine"):
        start(train={"compile": True})
    assert not (tmp_path / "run").exists()


@pytest.fixture
def with_long_inputs(tmp_path: Path) -> dict[str, str]:
    """The data section of a file of 40 entries with questions about long texts."""
    entries = [
        {"instruction": "What is told?", "input": "begin " + f"{n} words and " * 20 + "end", "output": f"Words {n}."}
        for n in range(40)
    ]
    path = tmp_path / "inputs.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return {"source": str(path)}


def test_a_cut_prompt_is_the_same_in_training_and_for_answers_and_keeps_its_words_and_question(
    with_long_inputs: dict[str, str], layer: Callable[..., Layer], toys: Any
) -> None:
    changes = {"data": with_long_inputs, "tokens": {"max_length": 120, "over_long": "truncate-prompt"}}
    config = resolve(layer(**changes), toys.registry)
    components = Components.choose(config, toys.registry)
    prepared = prepare_data(config, components, Observer())
    assert len(prepared.lengths.over_long) == prepared.lengths.num_truncated == 40
    prompts = encode_prompts(prepared.asked(prepared.test_examples()), components.style, components.tokenizer)
    for prompt, trained in zip(prompts, prepared.test, strict=True):
        assert list(trained.ids[: len(prompt)]) == prompt
        assert 110 < len(trained.ids) <= 120
        text = bytes(prompt).decode()
        assert text.startswith("Q: What is told?\nbegin ")
        assert text.endswith("end\nA:")
        assert " … " in text
    assert len(prepared.test_examples()[0].input) == 269  # the judge sees the whole question
    check_answers_fit(config, components, prepared, context_length=256)


def test_the_remedy_for_a_prompt_that_leaves_no_room_helps(
    with_long_inputs: dict[str, str], layer: Callable[..., Layer], toys: Any
) -> None:
    changes: dict[str, Any] = {
        "data": with_long_inputs,
        "model": {"name": "toy", "context": 400},
        "generate": {"max_new_tokens": 150},
    }
    config = resolve(layer(**changes), toys.registry)
    components = Components.choose(config, toys.registry)
    prepared = prepare_data(config, components, Observer())
    with pytest.raises(ModelError) as caught:
        check_answers_fit(config, components, prepared, context_length=400)
    remedy = str(caught.value).rpartition(", or ")[2]
    assert remedy == "cut long inputs with --set tokens.over_long=truncate-prompt --max-length 250"
    changes["tokens"] = {"over_long": "truncate-prompt", "max_length": 250}
    config = resolve(layer(**changes), toys.registry)
    prepared = prepare_data(config, components, Observer())
    check_answers_fit(config, components, prepared, context_length=400)
