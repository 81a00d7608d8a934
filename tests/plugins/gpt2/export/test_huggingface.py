"""The exported folder as transformers loads it: the same logits, ids and answers."""

import json

import pytest
import torch
from safetensors.torch import load_file

from sftframe import GenerationSettings, ModelError


@pytest.fixture
def exported(toy_model, tmp_path, make_settings):
    toy_model.export(tmp_path, make_settings("hf"))
    return tmp_path


def test_transformers_gives_the_same_logits(toy_model, exported):
    from transformers import AutoModelForCausalLM

    ids = torch.arange(2 * 64).view(2, 64) * 2 % 265
    theirs = AutoModelForCausalLM.from_pretrained(exported)
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, toy_model.logits(ids), rtol=1e-5, atol=1e-4)


def test_the_weights_are_those_of_the_model_bit_for_bit(toy_peer, exported):
    """`toy_peer` is transformers' model that the exported one was filled from."""
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(exported).state_dict()
    wanted = toy_peer.state_dict()
    assert loaded.keys() == wanted.keys()
    assert all(loaded[name].equal(wanted[name]) for name in wanted)


def test_transformers_answers_alike_without_being_told_how(toy_model, exported):
    """Greedy, the length and the end token come from the exported generation settings."""
    from transformers import AutoModelForCausalLM

    prompt = [5, 80, 33, 7]
    (ours,) = toy_model.generate([prompt], GenerationSettings(max_new_tokens=12))
    theirs = AutoModelForCausalLM.from_pretrained(exported).generate(torch.tensor([prompt]))[0, 4:].tolist()
    assert theirs == list(ours.ids)
    assert json.loads((exported / "generation_config.json").read_text()) == {
        "bos_token_id": 264,
        "eos_token_id": 264,
        "pad_token_id": 264,
        "do_sample": False,
        "max_new_tokens": 12,
    }


def test_the_tokenizer_gives_the_same_ids_and_texts(toy_model, exported, random_texts):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(exported)
    ids = toy_model.tokenizer.encode_batch(random_texts)
    assert [theirs(text)["input_ids"] for text in random_texts] == ids
    assert [theirs.decode(row) for row in ids] == random_texts
    assert (theirs.eos_token_id, theirs.pad_token_id, theirs.model_max_length) == (264, 264, 64)


def test_gpt2s_own_tokenizer_gives_the_same_ids(gpt2_tokenizer, toy_model, tmp_path, make_settings, random_texts):
    from transformers import AutoTokenizer

    toy_model.tokenizer = gpt2_tokenizer
    toy_model.export(tmp_path, make_settings("hf"))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert [theirs(text)["input_ids"] for text in random_texts] == gpt2_tokenizer.encode_batch(random_texts)


def test_spaces_before_punctuation_stay_when_ids_are_decoded(toy_model, exported):
    """transformers 4 takes them away by default; what the folder says wins."""
    from transformers import AutoTokenizer

    config = json.loads((exported / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["clean_up_tokenization_spaces"] is False
    theirs = AutoTokenizer.from_pretrained(exported)
    assert theirs.decode(toy_model.tokenizer.encode("a , b . c !")) == "a , b . c !"


def test_the_chat_template_is_the_tokenizers(exported):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(exported)
    assert theirs.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False) == "Q: hello\nA:"


def test_half_precision_rounds_each_weight(toy_model, tmp_path, make_settings):
    toy_model.export(tmp_path, make_settings("hf", "float16"))
    tensors = load_file(tmp_path / "model.safetensors")
    weight = toy_model.module.h[1].mlp.c_fc.weight.detach()
    assert tensors["transformer.h.1.mlp.c_fc.weight"].equal(weight.t().half())
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}


def test_a_weight_beyond_half_precision_is_named(toy_model, tmp_path, make_settings):
    with torch.no_grad():
        toy_model.module.h[0].mlp.c_fc.bias[3] = -70000.0
    with pytest.raises(ModelError, match=r"'h\.0\.mlp\.c_fc\.bias' has a weight of size 70000, .*--dtype float32"):
        toy_model.export(tmp_path, make_settings("hf", "float16"))


def test_a_damaged_weight_is_named(toy_model, tmp_path, make_settings):
    with torch.no_grad():
        toy_model.module.ln_f.weight[0] = float("nan")
    with pytest.raises(ModelError, match=r"'ln_f\.weight' has weights that are not finite"):
        toy_model.export(tmp_path, make_settings("hf"))


def test_an_unknown_form_is_refused_with_those_there_are(toy_model, tmp_path, make_settings):
    with pytest.raises(ModelError, match="GPT2LM has no export 'onnx'; available: hf, gguf"):
        toy_model.export(tmp_path, make_settings("onnx"))
