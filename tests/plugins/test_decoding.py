"""Which token comes next, and when an answer is over."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sftframe import Answer, CausalLM, Completion, ExportSettings, GenerationSettings, Sampler, Tokenizer, check_fits
from sftframe.errors import ModelError

END = 256


class Scripted(CausalLM):
    """Writes what it is told: after a prompt, the script under the prompt's first id, then the end token for ever."""

    def __init__(self, tokenizer: Tokenizer, scripts: dict[int, Sequence[int]], context_length: int = 512) -> None:
        super().__init__(nn.Linear(1, 1), tokenizer, context_length)
        self.scripts = scripts
        self.windows: list[list[int]] = []

    def logits(self, ids: Tensor) -> Tensor:
        window = ids[0].tolist()
        self.windows.append(window)
        script = self.scripts[window[0]]
        written = len(window) - 1
        logits = torch.zeros(1, len(window), 257)
        logits[0, -1, script[written] if written < len(script) else END] = 50.0
        return logits

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


@pytest.fixture
def write(tokenizer: Tokenizer) -> Callable[..., Completion]:
    """`write(text, stop_strings=…, max_new_tokens=…)`: the completion of a model that wants to write these bytes."""

    def go(script: bytes, **settings: object) -> Completion:
        model = Scripted(tokenizer, {0: list(script)})
        return next(CausalLM.generate(model, [[0]], GenerationSettings(**settings)))

    return go


def draws(logits: list[float], count: int = 3000, **settings: object) -> Counter[int]:
    """How often each token is drawn, from one generator."""
    sampler = Sampler(GenerationSettings(temperature=1.0, **settings))
    rows = torch.tensor([logits]).expand(count, -1)
    return Counter(sampler.pick(rows, [0] * count).tolist())


def test_greedy_takes_the_most_likely_token_of_each_row() -> None:
    picked = Sampler(GenerationSettings()).pick(torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), [0, 1])
    assert picked.tolist() == [1, 0]


def test_sampling_follows_the_probabilities() -> None:
    # softmax of (0, ln 3) is (1/4, 3/4); the standard error over 3000 draws is 0.008
    found = draws([0.0, 1.0986])
    assert found[1] / 3000 == pytest.approx(0.75, abs=0.03)


def test_temperature_divides_the_logits() -> None:
    # ln 3 at temperature 0.5 is ln 9: (1/10, 9/10)
    sampler = Sampler(GenerationSettings(temperature=0.5))
    found = sampler.pick(torch.tensor([[0.0, 1.0986]]).expand(3000, -1), [0] * 3000)
    assert float(found.float().mean()) == pytest.approx(0.9, abs=0.02)


def test_a_very_low_temperature_is_greedy_and_not_an_overflow() -> None:
    sampler = Sampler(GenerationSettings(temperature=1e-38))
    assert sampler.pick(torch.tensor([[1.0, 90.0, 89.0]]), [0]).tolist() == [1]


def test_top_k_leaves_the_k_most_likely_tokens() -> None:
    assert set(draws([1.0, 3.0, 2.0, 0.0], top_k=2)) == {1, 2}


def test_top_k_above_the_vocabulary_leaves_everything() -> None:
    assert set(draws([1.0, 1.0, 1.0], top_k=50)) == {0, 1, 2}


def test_top_p_leaves_the_smallest_set_that_reaches_it() -> None:
    # probabilities 0.5, 0.25, 0.15, 0.1: 0.75 is not 0.8 yet, the third token makes it 0.9
    logits = torch.tensor([0.15, 0.5, 0.1, 0.25]).log().tolist()
    assert set(draws(logits, top_p=0.8)) == {1, 3, 0}


def test_top_p_always_leaves_the_most_likely_token() -> None:
    assert set(draws([0.0, 1.0, 0.5], top_p=1e-6)) == {1}


def test_a_top_p_of_one_leaves_everything() -> None:
    assert set(draws([0.0, 0.5, 1.0], top_p=1.0)) == {0, 1, 2}


def test_top_p_is_reckoned_among_what_top_k_left() -> None:
    # 0.4, 0.3, 0.2, 0.1 under top_k=2 are 0.571, 0.429: the first alone reaches 0.5, and does not among all four
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().tolist()
    assert set(draws(logits, top_k=2, top_p=0.5)) == {0}
    assert set(draws(logits, top_p=0.5)) == {0, 1}


@pytest.mark.parametrize("settings", [{"top_k": 7}, {"top_p": 0.9}, {"top_k": 12, "top_p": 0.7}])
def test_the_same_tokens_stay_as_under_the_warpers_of_transformers(settings: dict[str, float]) -> None:
    logits_process = pytest.importorskip("transformers.generation.logits_process")
    logits = torch.randn(1, 30, generator=torch.Generator().manual_seed(5)) * 2
    scores = logits_process.TemperatureLogitsWarper(0.8)(None, logits)
    if "top_k" in settings:
        scores = logits_process.TopKLogitsWarper(settings["top_k"])(None, scores)
    if "top_p" in settings:
        scores = logits_process.TopPLogitsWarper(settings["top_p"])(None, scores)
    wanted = scores.softmax(-1)[0]  # (V,)
    sampler = Sampler(GenerationSettings(temperature=0.8, **settings))
    found = sampler.pick(logits.expand(4000, -1), [0] * 4000).bincount(minlength=30) / 4000
    assert bool((found[wanted == 0] == 0).all())
    assert float((found - wanted).abs().max()) < 0.03


def test_each_prompt_draws_the_same_whatever_it_is_batched_with() -> None:
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(1))
    settings = GenerationSettings(temperature=1.0, seed=7)
    together, alone = Sampler(settings), Sampler(settings)
    found = [together.pick(logits, [0, 1, 2, 3]).tolist() for _ in range(5)]
    in_turn = [[int(alone.pick(logits[i : i + 1], [i])) for i in (3, 1, 0, 2)] for _ in range(5)]
    assert found == [[row[2], row[1], row[3], row[0]] for row in in_turn]


def test_prompts_draw_differently_and_seeds_do_too() -> None:
    logits = torch.zeros(3, 1000)
    first = Sampler(GenerationSettings(temperature=1.0, seed=0)).pick(logits, [0, 1, 2]).tolist()
    second = Sampler(GenerationSettings(temperature=1.0, seed=100)).pick(logits, [0, 1, 2]).tolist()
    assert len({*first, *second}) == 6


def test_what_is_left_of_a_job_draws_as_the_whole_did() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    whole = Sampler(GenerationSettings(temperature=1.0, seed=7))
    rest = Sampler(GenerationSettings(temperature=1.0, seed=7, numbers=(2,)))
    for _ in range(5):
        assert int(whole.pick(logits, [0, 1, 2])[2]) == int(rest.pick(logits[2:], [0]))


def test_the_end_token_ends_an_answer_and_is_no_part_of_it(write: Callable[..., Completion]) -> None:
    found = write(b"hi")
    assert found == Completion(position=0, ids=(104, 105), text="hi", stop_reason="end")


def test_another_id_may_end_an_answer_as_the_end_token_does(write: Callable[..., Completion]) -> None:
    found = write(b"hi!ho", end_ids=(ord("!"),))
    assert found == Completion(position=0, ids=(104, 105), text="hi", stop_reason="end")


def test_an_answer_may_be_empty(write: Callable[..., Completion]) -> None:
    assert write(b"") == Completion(position=0, ids=(), text="", stop_reason="end")


def test_the_greatest_length_ends_an_answer(write: Callable[..., Completion]) -> None:
    assert write(b"abcdef", max_new_tokens=3) == Completion(
        position=0, ids=(97, 98, 99), text="abc", stop_reason="length"
    )


def test_a_stop_string_over_several_tokens_ends_an_answer_before_it(write: Callable[..., Completion]) -> None:
    found = write(b"yes<|end|>no", stop_strings=("<|end|>",))
    assert (found.text, found.stop_reason) == ("yes", "stop-string")
    assert bytes(found.ids) == b"yes<|end|>"


def test_of_two_stop_strings_found_at_once_the_earlier_one_cuts(tokenizer: Tokenizer) -> None:
    class Words(type(tokenizer)):  # type: ignore[misc]
        def token_bytes(self, token_id: int) -> bytes:
            return b"ok##STOP" if token_id == 1 else super().token_bytes(token_id)

    answer = Answer(0, Words(), GenerationSettings(stop_strings=("STOP", "#")))
    assert answer.add(1)
    assert (answer.completion().text, answer.stop_reason) == ("ok", "stop-string")


def test_a_stop_string_of_several_bytes_a_character_is_found(write: Callable[..., Completion]) -> None:
    found = write("日本。語".encode(), stop_strings=("。",))
    assert (found.text, found.stop_reason) == ("日本", "stop-string")


def test_half_a_stop_string_stops_nothing(write: Callable[..., Completion]) -> None:
    assert write(b"a<|end", stop_strings=("<|end|>",)).text == "a<|end"


def test_a_stop_string_that_is_complete_with_the_last_token_counts_as_stopped(
    write: Callable[..., Completion],
) -> None:
    found = write(b"ab.", stop_strings=(".",), max_new_tokens=3)
    assert (found.text, found.stop_reason) == ("ab", "stop-string")


def test_an_empty_stop_string_stops_nothing(write: Callable[..., Completion]) -> None:
    assert write(b"abc", stop_strings=("",)).text == "abc"


def test_a_character_cut_by_the_greatest_length_shows_as_a_replacement(write: Callable[..., Completion]) -> None:
    assert write("aé".encode(), max_new_tokens=2).text == "a\ufffd"


def test_an_answer_that_still_grows_has_no_completion(tokenizer: Tokenizer) -> None:
    answer = Answer(0, tokenizer, GenerationSettings())
    assert not answer.add(97)
    with pytest.raises(AssertionError, match="still growing"):
        answer.completion()


def test_every_prompt_gets_its_own_answer(tokenizer: Tokenizer) -> None:
    model = Scripted(tokenizer, {1: b"one", 2: b"two"})
    found = list(CausalLM.generate(model, [[2], [1]], GenerationSettings()))
    assert [(completion.position, completion.text) for completion in found] == [(0, "two"), (1, "one")]


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ModelError, match="prompt 1 is empty: a model needs at least one token"):
        check_fits([[1], []], GenerationSettings(), 512)


def test_a_prompt_and_its_answer_may_fill_the_context_exactly() -> None:
    check_fits([[1] * 12], GenerationSettings(max_new_tokens=4), 16)


def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers_and_the_way_out() -> None:
    with pytest.raises(
        ModelError,
        match=r"prompt 0 has 13 tokens and 4 new ones were asked for, but the model's context is 16: "
        r"lower generate\.max_new_tokens, or set generate\.on_overflow=slide",
    ):
        check_fits([[1] * 13], GenerationSettings(max_new_tokens=4), 16)


def test_nothing_is_computed_for_prompts_that_do_not_fit(tokenizer: Tokenizer) -> None:
    model = Scripted(tokenizer, {1: b"x"}, context_length=8)
    with pytest.raises(ModelError):
        next(CausalLM.generate(model, [[1], [1] * 8], GenerationSettings(max_new_tokens=4)))
    assert model.windows == []


def test_sliding_forgets_the_oldest_tokens(tokenizer: Tokenizer) -> None:
    class Adder(Scripted):
        """The next token is one more than the last."""

        def logits(self, ids: Tensor) -> Tensor:
            self.windows.append(ids[0].tolist())
            return nn.functional.one_hot(ids + 1, 257).float()

    model = Adder(tokenizer, {}, context_length=3)
    settings = GenerationSettings(max_new_tokens=3, on_overflow="slide")
    assert next(CausalLM.generate(model, [[1, 2, 3, 4]], settings)).ids == (5, 6, 7)
    assert model.windows == [[2, 3, 4], [3, 4, 5], [4, 5, 6]]


def test_a_refused_prompt_is_called_by_its_label() -> None:
    with pytest.raises(ModelError, match=r"^the prompt of example 41 is empty"):
        check_fits([[1], []], GenerationSettings(), 512, labels=["the prompt of example 7", "the prompt of example 41"])


def settled(tokenizer: Tokenizer, tokens: Sequence[int], **settings: object) -> list[str]:
    """What an answer settles after each of these tokens."""
    answer = Answer(0, tokenizer, GenerationSettings(**settings))
    pieces = []
    for token_id in tokens:
        answer.add(token_id)
        pieces.append(answer.new_text())
    return pieces


def test_the_old_name_of_new_text_still_works(tokenizer: Tokenizer) -> None:
    answer = Answer(0, tokenizer, GenerationSettings())
    answer.add(ord("a"))
    assert answer.settle() == "a"


def test_text_is_settled_as_soon_as_it_is_written(tokenizer: Tokenizer) -> None:
    assert settled(tokenizer, [*b"abc", END]) == ["a", "b", "c", ""]


def test_a_character_is_settled_when_its_last_byte_is_there(tokenizer: Tokenizer) -> None:
    assert settled(tokenizer, [*"é€".encode(), END]) == ["", "é", "", "", "€", ""]


def test_a_character_that_is_never_completed_is_settled_at_the_end(tokenizer: Tokenizer) -> None:
    assert settled(tokenizer, [*b"a\xe2\x82", END]) == ["a", "", "", "�"]


def test_bytes_that_begin_no_character_are_settled_with_what_shows_it(tokenizer: Tokenizer) -> None:
    assert settled(tokenizer, [*b"\xe2\x82a", END]) == ["", "", "�a", ""]


def test_what_may_become_a_stop_string_is_held_back(tokenizer: Tokenizer) -> None:
    """`<<` is not the stop string, but its second half may begin it; `<e.` is not either."""
    pieces = settled(tokenizer, b"a<<e.<en", stop_strings=("<end>", "zz"))
    assert pieces == ["a", "", "<", "", "<e.", "", "", ""]


def test_a_stop_string_is_never_settled(tokenizer: Tokenizer) -> None:
    assert settled(tokenizer, b"no<end>", stop_strings=("<end>",)) == ["n", "o", "", "", "", "", ""]


def test_what_was_held_back_is_settled_when_the_answer_is_over(tokenizer: Tokenizer) -> None:
    assert settled(tokenizer, [*b"a<e", END], stop_strings=("<end>",)) == ["a", "", "", "<e"]
    assert settled(tokenizer, b"a<e", stop_strings=("<end>",), max_new_tokens=3) == ["a", "", "<e"]


@given(script=st.binary(max_size=40), stops=st.lists(st.sampled_from(["ab", "ba", "é", "a€b", "aab"]), max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the tokenizer has no state
def test_all_that_was_settled_is_the_text(tokenizer: Tokenizer, script: bytes, stops: list[str]) -> None:
    answer = Answer(0, tokenizer, GenerationSettings(stop_strings=tuple(stops)))
    pieces = []
    for token_id in [*script, END]:
        is_over = answer.add(token_id)
        pieces.append(answer.new_text())
        if is_over:
            break
    assert "".join(pieces) == answer.completion().text


def test_a_model_without_a_way_of_its_own_streams_in_one_piece(tokenizer: Tokenizer) -> None:
    model = Scripted(tokenizer, {0: list(b"whole")})
    pieces: list[str] = []
    how = GenerationSettings(max_new_tokens=9)
    completion = model.stream([0], how, pieces.append)
    assert (pieces, completion) == (["whole"], next(CausalLM.generate(model, [[0]], how)))


def test_a_model_without_exports_says_so(tokenizer: Tokenizer, tmp_path: Path) -> None:
    how = ExportSettings(target="onnx", chat_template="", max_new_tokens=1, name="x")
    with pytest.raises(ModelError, match="Scripted has no export 'onnx'; available: none"):
        Scripted(tokenizer, {}).export(tmp_path, how)
