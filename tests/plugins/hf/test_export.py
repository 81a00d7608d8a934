"""What is saved and exported, as transformers and its pipelines load it."""

import json
import shutil

import pytest
import torch
from sftframe_plugins.hf.backend import HFBackend
from sftframe_plugins.hf.export import export, save
from sftframe_plugins.hf.generation import generate
from sftframe_plugins.hf.options import Options

from sftframe import ExportSettings, GenerationSettings, ModelError

FAMILIES = ["llama", "gemma", "gpt_neox", "gpt2", "mixtral"]
TEMPLATE = "Q: {{ messages[0]['content'] }}\nA:"
IDS = torch.randint(0, 270, (2, 15), generator=torch.Generator().manual_seed(6))


def settings(dtype="float32", template=TEMPLATE, **others):
    return ExportSettings(target="hf", dtype=dtype, chat_template=template, max_new_tokens=12, name="toy", **others)


def load(folder):
    model = HFBackend(Options(repo=str(folder))).load(device="cpu", dtype="float32", seed=1)
    return model.module, model.tokenizer


@pytest.fixture(scope="module")
def llama(llama_original):
    return load(llama_original)


@pytest.fixture
def exported(llama, tmp_path):
    export(tmp_path, *llama, settings())
    return tmp_path


def theirs(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


def answer(module, tokenizer, text):
    (completion,) = generate(
        module, tokenizer, [tokenizer.encode(text)], GenerationSettings(max_new_tokens=12), context_length=512
    )
    return completion


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_has_the_same_weights_under_the_same_names(family, make_folder, tmp_path):
    module, tokenizer = load(make_folder(family))
    export(tmp_path, module, tokenizer, settings())
    loaded, wanted = theirs(tmp_path).state_dict(), module.state_dict()
    assert loaded.keys() == wanted.keys()
    assert all(loaded[name].equal(wanted[name]) for name in wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_rounds_each_weight(family, make_folder, tmp_path):
    module, tokenizer = load(make_folder(family))
    export(tmp_path, module, tokenizer, settings("float16"))
    loaded, wanted = theirs(tmp_path), module.state_dict()
    assert loaded.dtype == torch.float16
    assert all(tensor.equal(wanted[name].half()) for name, tensor in loaded.state_dict().items())
    assert module.dtype == torch.float32


def test_tied_weights_are_written_once(make_folder, tmp_path):
    from safetensors import safe_open

    module, tokenizer = load(make_folder("llama", tie_word_embeddings=True))
    export(tmp_path, module, tokenizer, settings("float16"))
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118  (not a dict)
    loaded = theirs(tmp_path)
    assert loaded.lm_head.weight.data_ptr() == loaded.model.embed_tokens.weight.data_ptr()


def test_a_pipeline_gives_our_answer_to_a_message(llama, exported):
    """Prompt, length and end come from the folder alone."""
    from transformers import pipeline

    found = pipeline("text-generation", str(exported))([{"role": "user", "content": "tell the tale"}])
    assert found[0]["generated_text"][-1] == {
        "role": "assistant",
        "content": answer(*llama, "Q: tell the tale\nA:").text,
    }


def test_a_pipeline_answers_several_prompts_at_once(llama, exported):
    from transformers import pipeline

    texts = ["Q: tell\nA:", "Q: hello the hello\nA:", "Q: a\nA:"]
    found = pipeline("text-generation", str(exported), batch_size=3)(texts, return_full_text=False)
    assert [one[0]["generated_text"] for one in found] == [answer(*llama, text).text for text in texts]


def test_answers_end_with_every_id_that_may_end_them(llama, tmp_path):
    """The tokenizer's end token, those of the prompt style, and the model's own."""
    export(tmp_path, *llama, settings(end_ids=(7, 0)))
    stated = json.loads((tmp_path / "generation_config.json").read_text(encoding="utf-8"))
    assert stated["eos_token_id"] == [0, 7]
    assert (stated["max_new_tokens"], stated["do_sample"], stated["pad_token_id"]) == (12, False, 0)


def test_the_template_replaces_every_other_one(llama_original, tmp_path):
    from transformers import AutoTokenizer

    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(llama_original, source)
    (source / "chat_template.jinja").write_text("their own", encoding="utf-8")
    (source / "additional_chat_templates").mkdir()
    (source / "additional_chat_templates" / "tool_use.jinja").write_text("for tools", encoding="utf-8")
    out.mkdir()
    export(out, *load(source), settings())
    assert AutoTokenizer.from_pretrained(out).chat_template == TEMPLATE


def test_the_begin_token_stands_before_the_template_if_it_does_not_write_it(llama_original, tmp_path):
    """A tokenizer that begins every text with a token, as that of Llama does."""
    from transformers import AutoTokenizer

    source = begun(llama_original, tmp_path / "source")
    module, tokenizer = load(source)
    assert tokenizer.begin_ids == (0,)
    for number, template in enumerate([TEMPLATE, "{{ bos_token }}" + TEMPLATE]):
        out = tmp_path / str(number)
        out.mkdir()
        export(out, module, tokenizer, settings(template=template))
        message = [{"role": "user", "content": "hello"}]
        ids = AutoTokenizer.from_pretrained(out).apply_chat_template(message, return_dict=False)
        assert ids == [0, *tokenizer.encode("Q: hello\nA:")]


def begun(original, folder):
    """A copy whose tokenizer puts `<|end|>` before every text."""
    shutil.copytree(original, folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    special = {"SpecialToken": {"id": "<|end|>", "type_id": 0}}
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [special, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [special, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [0], "tokens": ["<|end|>"]}},
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    settings_path = folder / "tokenizer_config.json"
    stated = json.loads(settings_path.read_text(encoding="utf-8")) | {"bos_token": "<|end|>"}
    settings_path.write_text(json.dumps(stated), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("value", "dtype"), [(70000.0, "float16"), (float("nan"), "float32")])
def test_a_weight_that_does_not_fit_is_named(value, dtype, llama_original, tmp_path):
    module, tokenizer = load(llama_original)
    with torch.no_grad():
        module.model.layers[1].mlp.up_proj.weight[0, 3] = value
    reason = "has a weight of size 70000, too large for float16" if dtype == "float16" else "that are not finite"
    with pytest.raises(ModelError, match=rf"'model\.layers\.1\.mlp\.up_proj\.weight' .*{reason}"):
        export(tmp_path, module, tokenizer, settings(dtype))


def test_settings_that_transformers_refuses_to_write_do_not_stop_saving(llama_original, tmp_path):
    """Published models have some, for instance a temperature for greedy answers."""
    module, tokenizer = load(llama_original)
    module.generation_config.temperature = 0.6
    module.generation_config.do_sample = False
    save(tmp_path, module, tokenizer)
    stated = json.loads((tmp_path / "generation_config.json").read_text(encoding="utf-8"))
    assert "temperature" not in stated
    assert module.generation_config.temperature == 0.6
    torch.testing.assert_close(theirs(tmp_path)(input_ids=IDS).logits, module(input_ids=IDS).logits)


def test_an_id_without_a_token_has_no_text(llama):
    """The tiny models have 300 embeddings and 270 tokens, as published ones have some more than tokens."""
    module, tokenizer = llama
    assert tokenizer.vocab_size == 270
    assert module.get_input_embeddings().weight.shape[0] == 300
    assert tokenizer.token_bytes(299) == b""
