"""Answers from uneven batches with a cache, against one prompt at a time computed anew, and against transformers."""

import gc

import pytest
import torch
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2
from sftframe_plugins.gpt2.passes import KeyValueCache
from sftframe_plugins.writing.packed import PackedLinear

from sftframe import CausalLM, GenerationSettings, ModelError

pytestmark = pytest.mark.usefixtures("uninitialised_is_nan")

LENGTHS = (5, 1, 17, 9, 9, 30, 2, 12, 24, 3)


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(4)
    return [torch.randint(0, 264, (length,), generator=generator).tolist() for length in LENGTHS]


def in_order(completions):
    return sorted(completions, key=lambda completion: completion.position)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "seed": 11}])
def test_any_batch_gives_the_answers_of_one_by_one(toy_model, prompts, batch_size, sampling):
    settings = GenerationSettings(max_new_tokens=20, batch_size=batch_size, **sampling)
    assert in_order(toy_model.generate(prompts, settings)) == list(CausalLM.generate(toy_model, prompts, settings))


def test_answers_end_for_every_reason_and_the_others_go_on(toy_model, prompts):
    """Stop strings that cut some of the answers; `length` ends the rest."""
    plain = GenerationSettings(max_new_tokens=20, batch_size=4)
    texts = [completion.text for completion in CausalLM.generate(toy_model, prompts, plain)]
    stops = (texts[0][4:6], texts[3][9:10])
    settings = GenerationSettings(max_new_tokens=20, batch_size=4, stop_strings=stops)
    found = in_order(toy_model.generate(prompts, settings))
    assert found == list(CausalLM.generate(toy_model, prompts, settings))
    assert {completion.stop_reason for completion in found} >= {"stop-string", "length"}


def test_greedy_tokens_equal_those_of_transformers(toy_model, toy_peer, prompts):
    ids, mask = left_padded(prompts)
    theirs = toy_peer.generate(ids, attention_mask=mask, max_new_tokens=20, do_sample=False, pad_token_id=264)
    ours = in_order(toy_model.generate(prompts, GenerationSettings(max_new_tokens=20)))
    for completion, row in zip(ours, theirs[:, ids.shape[1] :].tolist(), strict=True):
        assert list(completion.ids) == [token for token in row if token != 264]


def left_padded(prompts):
    longest = max(map(len, prompts))
    ids = torch.tensor([[264] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids, mask


def test_the_end_token_ends_an_answer_and_is_not_part_of_it(toy_model, prompts):
    settings = GenerationSettings(max_new_tokens=20, batch_size=4)
    often_written = next(iter(CausalLM.generate(toy_model, prompts, settings))).ids[5]
    with torch.no_grad():
        toy_model.module.wte.weight[264] = 1.01 * toy_model.module.wte.weight[often_written]
    found = in_order(toy_model.generate(prompts, settings))
    assert found == list(CausalLM.generate(toy_model, prompts, settings))
    assert (found[0].stop_reason, len(found[0].ids)) == ("end", 5)
    assert all(264 not in completion.ids for completion in found)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_answers_that_outgrow_the_context_forget_the_oldest_tokens(toy_model, prompts, batch_size):
    long = [*prompts[4:6], prompts[5] * 3, (prompts[5] * 3)[:64], (prompts[5] * 3)[:63]]
    settings = GenerationSettings(max_new_tokens=45, batch_size=batch_size, on_overflow="slide")
    assert in_order(toy_model.generate(long, settings)) == list(CausalLM.generate(toy_model, long, settings))


def test_a_prompt_without_room_for_its_answer_is_refused_at_once(toy_model, prompts):
    with pytest.raises(ModelError, match="prompt 5 has 30 tokens and 40 new ones were asked for"):
        toy_model.generate(prompts, GenerationSettings(max_new_tokens=40))


def test_an_empty_prompt_is_refused_at_once(toy_model):
    with pytest.raises(ModelError, match="prompt 1 is empty"):
        toy_model.generate([[1], []], GenerationSettings(max_new_tokens=5))


def test_no_prompts_give_no_answers(toy_model):
    assert list(toy_model.generate([], GenerationSettings(max_new_tokens=5))) == []


class Counts:
    """What was computed by a network and its twins."""

    num_positions = 0
    num_states = 0
    num_head_rows = 0
    num_passes = 0

    def __deepcopy__(self, memo):
        return self


class Counting(GPT2):
    """Counts what is computed."""

    def __init__(self, config):
        super().__init__(config)
        self.counts = Counts()

    def hidden(self, ids, **how):
        self.counts.num_positions += ids.numel()
        self.counts.num_passes += 1
        states = super().hidden(ids, **how)
        self.counts.num_states += states[..., 0].numel()
        return states

    def logits(self, hidden):
        self.counts.num_head_rows += hidden[..., 0].numel()
        return super().logits(hidden)


@pytest.fixture
def counting_model(toy_model):
    network = Counting(toy_model.module.config).eval()
    network.load_state_dict(toy_model.module.state_dict())
    return GPT2LM(network, toy_model.tokenizer)


def test_a_token_costs_one_position_and_one_row_of_the_head(counting_model, prompts):
    answers = list(counting_model.generate([prompts[3], prompts[4]], GenerationSettings(max_new_tokens=20)))
    assert [len(answer.ids) for answer in answers] == [20, 20]
    assert counting_model.module.counts.num_head_rows == 40
    assert counting_model.module.counts.num_states == 40  # the last layer ends where no token is picked
    assert counting_model.module.counts.num_positions == 2 * 9 + 2 * 19  # the last tokens are never read


def test_a_beginning_that_all_prompts_have_is_computed_once(counting_model, prompts):
    shared = prompts[5][:24]
    asked = [[*shared, *prompts[row]] for row in (0, 2, 3)]  # 5, 17 and 9 tokens behind it
    answers = list(counting_model.generate(asked, GenerationSettings(max_new_tokens=4)))
    assert [len(answer.ids) for answer in answers] == [4, 4, 4]
    assert counting_model.module.counts.num_positions == 24 + (5 + 17 + 9) + 3 * 3
    assert counting_model.module.counts.num_head_rows == 3 * 4
    assert counting_model.module.counts.num_passes == 1 + 1 + 3


def test_prompts_of_different_lengths_are_read_without_padding(counting_model, prompts):
    list(counting_model.generate(prompts, GenerationSettings(max_new_tokens=1)))
    assert counting_model.module.counts.num_positions == sum(LENGTHS)
    assert counting_model.module.counts.num_passes == 1


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_prompts_with_a_common_beginning_get_the_answers_of_one_by_one(toy_model, prompts, batch_size):
    asked = [[*prompts[5][:20], *prompt[:20]] for prompt in prompts]
    settings = GenerationSettings(max_new_tokens=20, batch_size=batch_size)
    assert in_order(toy_model.generate(asked, settings)) == list(CausalLM.generate(toy_model, asked, settings))


def test_the_same_prompt_several_times_is_computed_once_but_for_its_last_token(counting_model, prompts):
    answers = in_order(counting_model.generate([prompts[3]] * 4, GenerationSettings(max_new_tokens=5)))
    assert len({answer.ids for answer in answers}) == 1
    assert counting_model.module.counts.num_positions == 8 + 4 + 4 * 4


def test_as_many_prompts_are_written_to_at_once_as_the_memory_allows(counting_model, prompts):
    """A row of 9 + 4 columns takes 13 x 768 bytes: two fit, so four prompts take two rounds."""
    settings = GenerationSettings(max_new_tokens=4, max_cache_bytes=2 * 13 * 768)
    list(counting_model.generate([prompts[3], prompts[4], prompts[3][::-1], prompts[4][::-1]], settings))
    assert counting_model.module.counts.num_passes == 2 * 4


PACKED_BYTES = (2 * 12 * 48 * 48 + 265 * 48) * 4
"""What the toy network's linear maps and head take in the layout for few rows."""


@pytest.mark.parametrize(("max_cache_bytes", "num_packed"), [(2 * PACKED_BYTES, 9), (2 * PACKED_BYTES - 1, 0)])
def test_linear_maps_are_laid_out_anew_where_half_of_the_memory_is_left(
    toy_model, prompts, max_cache_bytes, num_packed
):
    settings = GenerationSettings(max_new_tokens=4, max_cache_bytes=max_cache_bytes)
    completions = toy_model.generate(prompts, settings)
    next(completions)
    assert num_alive(PackedLinear) == num_packed
    completions.close()
    assert num_alive(PackedLinear) == 0


def test_a_few_rows_are_multiplied_by_the_linear_maps_as_they_are(toy_model, prompts):
    completions = toy_model.generate(prompts[:3], GenerationSettings(max_new_tokens=4))
    next(completions)
    assert num_alive(PackedLinear) == 0


def test_what_the_laid_out_maps_take_is_not_there_for_rows(counting_model):
    """Beside the maps there is room for 27 rows of 9 + 4 columns: 30 prompts take two rounds."""
    asked = [[row, *range(8)] for row in range(30)]
    settings = GenerationSettings(max_new_tokens=4, max_cache_bytes=2 * PACKED_BYTES)
    list(counting_model.generate(asked, settings))
    assert counting_model.module.counts.num_passes == 2 * 4


def test_a_single_row_is_written_however_little_memory_is_allowed(toy_model, prompts):
    settings = GenerationSettings(max_new_tokens=4, max_cache_bytes=1)
    assert len(list(toy_model.generate(prompts, settings))) == 10


def test_waiting_prompts_take_the_places_of_finished_ones(counting_model, prompts):
    """One answer of 20 tokens and five of 3, two at a time: the five follow each other beside the long one."""
    long, short = prompts[3], prompts[0]
    three = next(iter(CausalLM.generate(counting_model, [short], GenerationSettings(max_new_tokens=3))))
    counting_model.module.counts.num_passes = 0
    settings = GenerationSettings(max_new_tokens=20, batch_size=2, stop_strings=(three.text,))
    answers = in_order(counting_model.generate([long, *[short] * 5], settings))
    assert [len(answer.ids) for answer in answers] == [20, 3, 3, 3, 3, 3]
    # the first two are read together and each further one alone, every time with two steps after it: 5 x 3 passes;
    # the long one has 1 + 5 x 2 tokens by then and needs 9 more steps; batch after batch it would be 20 + 3 + 3
    assert counting_model.module.counts.num_passes == 15 + 9


@pytest.mark.parametrize("batch_size", [1, 3, 10])
@pytest.mark.parametrize("lookup", ["auto", "on", "off"])
def test_tokens_that_are_looked_up_change_no_answer(toy_model, prompts, batch_size, lookup):
    """Prompts that repeat themselves, so that much is guessed, and both rightly and wrongly."""
    asked = [(prompt * 3)[:25] for prompt in prompts]
    settings = GenerationSettings(max_new_tokens=30, batch_size=batch_size, lookup=lookup)
    assert in_order(toy_model.generate(asked, settings)) == list(CausalLM.generate(toy_model, asked, settings))


@pytest.mark.parametrize("num_new", [38, 39, 45])
def test_what_is_looked_up_stays_within_the_context(toy_model, prompts, num_new):
    asked = [(prompt * 3)[:25] for prompt in prompts]
    settings = GenerationSettings(max_new_tokens=num_new, batch_size=3, lookup="on", on_overflow="slide")
    assert in_order(toy_model.generate(asked, settings)) == list(CausalLM.generate(toy_model, asked, settings))


@pytest.fixture
def parrot(counting_model, prompts):
    """A model that writes one token again and again; no prompt holds it."""
    settings = GenerationSettings(max_new_tokens=8)
    token_id = next(iter(CausalLM.generate(counting_model, [prompts[3]], settings))).ids[7]
    with torch.no_grad():
        counting_model.module.wte.weight[token_id] *= 50
    counting_model.module.counts.num_passes = counting_model.module.counts.num_head_rows = 0
    return counting_model


@pytest.mark.parametrize(
    ("num_prompts", "lookup", "num_passes"),
    [(1, "auto", 12), (1, "on", 12), (1, "off", 20), (2, "auto", 20), (2, "on", 12), (2, "off", 20)],
)
def test_tokens_that_are_looked_up_take_no_pass_of_their_own(parrot, prompts, num_prompts, lookup, num_passes):
    """Three passes until two equal tokens have been followed by a third; from then on two tokens a pass: 3 + 17 / 2."""
    settings = GenerationSettings(max_new_tokens=20, lookup=lookup)
    answers = list(parrot.generate(prompts[3 : 3 + num_prompts], settings))
    assert [len(set(answer.ids)) for answer in answers] == [1] * num_prompts
    assert parrot.module.counts.num_passes == num_passes


def test_nothing_is_looked_up_when_tokens_are_drawn(counting_model, prompts):
    settings = GenerationSettings(max_new_tokens=20, lookup="on", temperature=0.01)
    list(counting_model.generate([prompts[3] * 3], settings))
    assert counting_model.module.counts.num_head_rows == 20


def test_an_answer_is_handed_over_as_soon_as_it_is_finished(counting_model, prompts):
    completions = counting_model.generate(prompts, GenerationSettings(max_new_tokens=1, batch_size=2))
    next(completions)
    assert counting_model.module.counts.num_passes == 1


def test_closing_the_iterator_frees_the_cache(toy_model, prompts):
    completions = toy_model.generate(prompts, GenerationSettings(max_new_tokens=20, batch_size=2))
    next(completions)
    assert num_alive(KeyValueCache) == 1
    completions.close()
    assert num_alive(KeyValueCache) == 0


def num_alive(kind):
    return sum(type(thing) is kind for thing in gc.get_objects())


def test_between_answers_gradients_are_on(toy_model, prompts):
    completions = toy_model.generate(prompts, GenerationSettings(max_new_tokens=2))
    next(completions)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
