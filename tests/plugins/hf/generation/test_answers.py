"""Answers of models of many families, in batches, against one prompt at a time computed again and transformers."""

import gc

import pytest
import torch
from sftframe_plugins.hf.caching import EqualNetwork, PaddedNetwork, PlainNetwork, RowNetwork
from sftframe_plugins.hf.generation import generate, stream
from sftframe_plugins.hf.row_cache import RowCache
from sftframe_plugins.hf.ways import find_way
from sftframe_plugins.writing.packed import PackedLinear

from sftframe import GenerationSettings, ModelError

pytestmark = pytest.mark.usefixtures("uninitialised_is_nan")

CONTEXT = 64
WAYS = {
    "Llama": RowNetwork,
    "Qwen2": RowNetwork,
    "Qwen3": RowNetwork,
    "Mistral": RowNetwork,
    "Gemma 2": RowNetwork,
    "Gemma 3": RowNetwork,
    "Phi-3": RowNetwork,
    "GPT-NeoX": RowNetwork,
    "OLMo 2": RowNetwork,
    "Mixtral": RowNetwork,
    "GPT-OSS": RowNetwork,
    "DeepSeek 3": RowNetwork,
    "StableLM": RowNetwork,
    "GPT-2": RowNetwork,
    "Llama 4": PaddedNetwork,
    "Bloom": PaddedNetwork,
    "Falcon": PaddedNetwork,
    "GPT-J": PaddedNetwork,
    "Mamba": EqualNetwork,
    "RecurrentGemma": PlainNetwork,
}

BEGINNING = list(range(10, 21))
LENGTHS = (5, 1, 17, 9, 9, 30, 2)


@pytest.fixture(scope="module")
def prompts():
    """Seven, with a common beginning."""
    generator = torch.Generator().manual_seed(4)
    return [BEGINNING + torch.randint(0, 96, (length,), generator=generator).tolist() for length in LENGTHS]


def answers(module, tokenizer, prompts, settings, **others):
    completions = generate(module, tokenizer, prompts, settings, context_length=CONTEXT, **others)
    return sorted(completions, key=lambda completion: completion.position)


@pytest.mark.parametrize("family", WAYS)
def test_every_family_goes_the_fastest_way_that_is_exact_for_it(family, make):
    assert find_way(make(family), CONTEXT).kind is WAYS[family]


@pytest.mark.parametrize("family", WAYS)
def test_answers_in_batches_are_those_of_one_by_one(family, make, plain, tokenizer, prompts):
    """Rows join and leave, tokens are guessed, and windows of five tokens are full."""
    module = make(family)
    settings = GenerationSettings(max_new_tokens=8, batch_size=3, lookup="on")
    assert answers(module, tokenizer, prompts, settings) == list(plain(module).generate(prompts, settings))


@pytest.mark.parametrize("family", ["Llama", "Gemma 3", "Bloom", "Mamba"])
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_sampled_answers_do_not_depend_on_the_batch(family, batch_size, make, plain, tokenizer, prompts):
    module = make(family)
    settings = GenerationSettings(max_new_tokens=6, batch_size=batch_size, temperature=0.8, top_k=40, seed=11)
    assert answers(module, tokenizer, prompts, settings) == list(plain(module).generate(prompts, settings))


@pytest.mark.parametrize("family", ["Llama", "Falcon"])
def test_prompts_without_a_common_beginning_are_answered_too(family, make, plain, tokenizer, prompts):
    module = make(family)
    different = [prompt[number:] for number, prompt in enumerate(prompts)]
    settings = GenerationSettings(max_new_tokens=8, batch_size=4)
    assert answers(module, tokenizer, different, settings) == list(plain(module).generate(different, settings))


@pytest.mark.parametrize("family", ["Llama", "Mistral", "GPT-2", "Bloom", "Mamba"])
def test_greedy_tokens_equal_those_of_transformers(family, make, tokenizer, prompts):
    module = make(family)
    found = answers(module, tokenizer, prompts, GenerationSettings(max_new_tokens=8))
    for completion, prompt in zip(found, prompts, strict=True):
        ids = torch.tensor([prompt])
        limits = {"max_new_tokens": 8, "eos_token_id": tokenizer.end_id, "pad_token_id": tokenizer.end_id}
        theirs = module.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, **limits)
        expected = theirs[0, len(prompt) :].tolist()
        assert list(completion.ids) == [token_id for token_id in expected if token_id != tokenizer.end_id]


@pytest.mark.parametrize("family", ["Llama", "Bloom", "Mamba", "RecurrentGemma"])
def test_a_text_longer_than_the_context_goes_on_with_its_last_positions(family, make, plain, tokenizer, prompts):
    module = make(family)
    longer = [prompts[5] + prompts[5][:15], prompts[0], prompts[5] + prompts[2]]
    settings = GenerationSettings(max_new_tokens=12, batch_size=2, on_overflow="slide")
    assert max(map(len, longer)) > CONTEXT
    assert answers(module, tokenizer, longer, settings) == list(plain(module).generate(longer, settings))


def test_a_prompt_that_does_not_fit_is_refused_before_anything_is_computed(make, tokenizer):
    with pytest.raises(ModelError, match="context is 64"):
        generate(make("Llama"), tokenizer, [[5] * 60], GenerationSettings(max_new_tokens=5), context_length=CONTEXT)


@pytest.mark.parametrize("family", ["Llama", "Bloom", "RecurrentGemma"])
def test_a_streamed_answer_is_the_answer_in_pieces(family, make, tokenizer, prompts):
    module, settings = make(family), GenerationSettings(max_new_tokens=8)
    pieces = []
    completion = stream(module, tokenizer, prompts[0], settings, pieces.append, context_length=CONTEXT)
    (expected,) = answers(module, tokenizer, prompts[:1], settings)
    assert completion == expected
    assert "".join(pieces) == expected.text
    assert len(pieces) == len(expected.ids)  # a letter a token


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
        {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0] * 4,
            "long_factor": [9.0] * 4,
            "original_max_position_embeddings": 20,
            "factor": 3.2,
        },
    ],
    ids=lambda scaling: scaling["rope_type"],
)
def test_where_positions_are_scaled_by_the_longest_one_longer_texts_are_computed_anew(
    scaling, make, plain, tokenizer, prompts
):
    """A cache would keep keys with the angles of a shorter text."""
    module = make("Llama", rope_parameters=scaling, max_position_embeddings=20 if "short_factor" not in scaling else 64)
    assert find_way(module, CONTEXT).cached_length == 20
    settings = GenerationSettings(max_new_tokens=8, batch_size=3)
    shorter = [prompts[0], prompts[1], prompts[6]]  # 16, 12 and 13 tokens: two of the answers pass the 20th
    assert answers(module, tokenizer, shorter, settings) == list(plain(module).generate(shorter, settings))


def test_adapters_are_part_of_the_model(make, plain, tokenizer, prompts):
    peft = pytest.importorskip("peft")
    module = make("Llama")
    before = answers(module, tokenizer, prompts, GenerationSettings(max_new_tokens=6))
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = peft.inject_adapter_in_model(config, module).eval()
    after = answers(adapted, tokenizer, prompts, GenerationSettings(max_new_tokens=6))
    assert after == list(plain(adapted).generate(prompts, GenerationSettings(max_new_tokens=6)))
    assert after != before


def test_the_model_itself_stays_as_it_is(make, tokenizer, prompts):
    module = make("Llama")
    names = {name: type(layer) for name, layer in module.named_modules()}
    attention = module.config._attn_implementation
    list(generate(module, tokenizer, prompts, GenerationSettings(max_new_tokens=2), context_length=CONTEXT))
    assert {name: type(layer) for name, layer in module.named_modules()} == names
    assert module.config._attn_implementation == attention
    assert all(parameter.requires_grad and not parameter.is_inference() for parameter in module.parameters())


def test_memory_is_limited_and_freed(make, plain, tokenizer, prompts):
    """A position takes 2 (keys and values) x 3 layers x 2 groups x 8 numbers of 4 bytes; there are 41 + 4 at most, the
    11 of the beginning apart.
    """
    module = make("Llama")
    way = find_way(module, CONTEXT)
    gc.collect()
    row_bytes = (41 + 4 - 11) * 2 * 3 * 2 * 8 * 4
    assert way.network(module).row_bytes(34) == row_bytes
    settings = GenerationSettings(max_new_tokens=4, max_cache_bytes=3 * row_bytes - 1)
    running = generate(module, tokenizer, prompts, settings, context_length=CONTEXT, way=way)
    first = next(running)
    caches = [thing for thing in gc.get_objects() if type(thing) is RowCache]
    assert [cache.num_rows for cache in caches] == [2]
    found = sorted([first, *running], key=lambda completion: completion.position)
    assert found == list(plain(module).generate(prompts, settings))
    del caches
    gc.collect()
    assert not any(type(thing) is RowCache for thing in gc.get_objects())


def test_linear_maps_are_packed_where_that_leaves_room_for_the_rows(make):
    network = find_way(make("Llama"), CONTEXT).network(make("Llama"))
    layers = 3 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    assert network.packed_bytes == 4 * (layers + 97 * 32)
    network.pack()
    assert sum(isinstance(layer, PackedLinear) for layer in network._model.modules()) == 3 * 7 + 1
