"""From prompts to answers as the style reads them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from torch import nn

from sftframe import CausalLM, Completion, GenerationSettings, PromptStyle, Response, Tokenizer
from sftframe.config import GenerateConfig
from sftframe.errors import ModelError, PluginError
from sftframe.inference import generate_responses, generation_settings


class Prepared(CausalLM):
    """Gives completions that were written beforehand."""

    def __init__(self, tokenizer: Tokenizer, completions: Sequence[Completion]) -> None:
        super().__init__(nn.Linear(1, 1), tokenizer, 8)
        self.completions = completions

    def generate(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> Iterator[Completion]:
        yield from self.completions

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


def completion(position: int, text: str = "x") -> Completion:
    return Completion(position=position, ids=(1, 2), text=text, stop_reason="end")


@pytest.fixture
def answers(tokenizer: Tokenizer, brief_style: PromptStyle) -> Callable[..., list[Response]]:
    """`answers(completion, …, style=…)` to the prompts of the examples 40, 50 and 60."""

    def go(*completions: Completion, style: PromptStyle | None = None) -> list[Response]:
        model = Prepared(tokenizer, completions)
        prompts = [[1], [2], [3]]
        return list(generate_responses(model, style or brief_style, prompts, [40, 50, 60], GenerationSettings()))

    return go


def test_answers_come_as_they_are_finished_under_the_index_of_their_example(answers: Callable) -> None:
    found = answers(completion(2, " c"), completion(0, "a\n"), completion(1, "b"))
    assert found == [
        Response(index=60, text="c", ids=(1, 2), stop_reason="end"),
        Response(index=40, text="a", ids=(1, 2), stop_reason="end"),
        Response(index=50, text="b", ids=(1, 2), stop_reason="end"),
    ]


def test_a_prompt_answered_twice_is_refused(answers: Callable) -> None:
    with pytest.raises(ModelError, match="an answer for prompt 0, which does not exist or has an answer already"):
        answers(completion(0), completion(0), completion(1))


def test_an_answer_to_a_prompt_that_does_not_exist_is_refused(answers: Callable) -> None:
    with pytest.raises(ModelError, match=r"prompt 3, which does not exist .* expected one for each of 3 prompts"):
        answers(completion(3))


def test_a_prompt_without_an_answer_is_noticed(answers: Callable) -> None:
    with pytest.raises(ModelError, match="the model gave no answer for 2 of 3 prompts"):
        answers(completion(1))


def test_a_style_that_fails_to_extract_is_named(answers: Callable, brief_style: PromptStyle) -> None:
    class Strict(type(brief_style)):  # type: ignore[misc]
        name = "strict"

        def extract(self, text: str) -> str:
            return text.split("###")[1]

    with pytest.raises(PluginError, match="'strict' failed to extract an answer from 'x': IndexError"):
        answers(completion(0), style=Strict())


def test_the_model_answers_in_evaluation_mode(make_model: Callable[..., CausalLM], brief_style: PromptStyle) -> None:
    model = make_model(dropout=0.5)
    model.module.train()
    prompts = [[65, 66]]
    settings = GenerationSettings(max_new_tokens=8)
    wanted = next(make_model().generate(prompts, settings)).ids
    assert next(generate_responses(model, brief_style, prompts, [0], settings)).ids == wanted


def test_settings_are_the_configuration_with_the_styles_stop_strings(
    brief_style: PromptStyle, tokenizer: Tokenizer
) -> None:
    class Stopping(type(brief_style)):  # type: ignore[misc]
        stop_strings = ("<|end|>",)

    config = GenerateConfig(max_new_tokens=5, temperature=0.7, top_k=3, top_p=0.9, batch_size=2, on_overflow="slide")
    assert generation_settings(config, Stopping(), tokenizer, seed=11, numbers=[4, 9]) == GenerationSettings(
        max_new_tokens=5,
        temperature=0.7,
        top_k=3,
        top_p=0.9,
        seed=11,
        numbers=(4, 9),
        stop_strings=("<|end|>",),
        batch_size=2,
        on_overflow="slide",
    )
