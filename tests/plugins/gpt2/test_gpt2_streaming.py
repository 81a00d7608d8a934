"""Answers told while they are written: the same text as at once, in pieces that are never taken back."""

import gc

import pytest
import torch
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2
from sftframe_plugins.gpt2.passes import KeyValueCache

from sftframe import GenerationSettings, ModelError


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(4)
    return [torch.randint(0, 264, (length,), generator=generator).tolist() for length in (5, 30, 64)]


def streamed(model, prompt, settings):
    pieces = []
    return model.stream(prompt, settings, pieces.append), pieces


@pytest.mark.parametrize(
    "settings",
    [
        GenerationSettings(max_new_tokens=20),
        GenerationSettings(max_new_tokens=20, temperature=0.8, top_k=40, seed=3),
        GenerationSettings(max_new_tokens=80, on_overflow="slide"),
    ],
)
def test_a_streamed_answer_is_the_generated_one_and_its_pieces_are_its_text(toy_model, prompts, settings):
    for prompt in prompts if settings.on_overflow == "slide" else prompts[:2]:
        (wanted,) = toy_model.generate([prompt], settings)
        completion, pieces = streamed(toy_model, prompt, settings)
        assert completion == wanted
        assert "".join(pieces) == wanted.text
        assert len(pieces) > 5
        assert all(pieces)


def test_a_stop_string_is_never_told(toy_model, prompts):
    plain, _ = streamed(toy_model, prompts[0], GenerationSettings(max_new_tokens=20))
    stop = plain.text[1:3]
    assert stop.isascii()
    completion, pieces = streamed(toy_model, prompts[0], GenerationSettings(max_new_tokens=20, stop_strings=(stop,)))
    assert (completion.stop_reason, "".join(pieces)) == ("stop-string", plain.text[: plain.text.index(stop)])


class Counting(GPT2):
    """Counts forward passes."""

    num_passes = 0

    def hidden(self, ids, **how):
        self.num_passes += 1
        return super().hidden(ids, **how)


def test_a_token_is_told_before_the_next_one_is_computed(toy_model, prompts):
    network = Counting(toy_model.module.config).eval()
    network.load_state_dict(toy_model.module.state_dict())
    passes_done = []
    model = GPT2LM(network, toy_model.tokenizer)
    model.stream(prompts[0], GenerationSettings(max_new_tokens=20), lambda text: passes_done.append(network.num_passes))
    assert passes_done[:3] == [1, 2, 3]


def test_an_interrupted_answer_frees_its_cache(toy_model, prompts):
    def stop(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_model.stream(prompts[0], GenerationSettings(max_new_tokens=20), stop)
    assert sum(type(thing) is KeyValueCache for thing in gc.get_objects()) == 0
    assert not torch.is_inference_mode_enabled()


def test_a_prompt_without_room_for_its_answer_is_refused(toy_model, prompts):
    with pytest.raises(ModelError, match="has 30 tokens and 40 new ones were asked for"):
        toy_model.stream(prompts[1], GenerationSettings(max_new_tokens=40), print)
