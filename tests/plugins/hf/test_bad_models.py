"""What is no causal language model that can be trained is refused in one line, with what to do, before it is loaded."""

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from sftframe_plugins.hf.backend import HFBackend
from sftframe_plugins.hf.options import Options

from sftframe import ModelError


@pytest.fixture
def folder(llama_original, tmp_path):
    return shutil.copytree(llama_original, tmp_path / "llama")


def configure(folder, **values):
    path = folder / "config.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in (known | values).items() if value is not None}))


def refusal(repo, use="check", **options):
    backend = HFBackend(Options(repo=str(repo), **options))
    with pytest.raises(ModelError) as refused:
        backend.check() if use == "check" else backend.load(device="cpu", dtype="float32", seed=1)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model_type": None}, "has a config.json without model_type: it is no model of transformers"),
        ({"model_type": "llama9"}, "has no model type 'llama9'; update it with pip install -U transformers"),
        (
            {"model_type": "acme", "auto_map": {"AutoModelForCausalLM": "modeling_acme.Acme"}},
            "comes with Python code of its own, and transformers 5.",
        ),
        ({"model_type": "t5", "is_encoder_decoder": True}, "is an encoder-decoder model (t5), and sftframe trains"),
        ({"model_type": "bart"}, "is an encoder-decoder model (bart)"),
        ({"model_type": "bert"}, "is an encoder (bert): every token sees the later ones, so it cannot write"),
        ({"model_type": "vit"}, "transformers has no class for model type 'vit' that writes text"),
        ({"model_type": "gemma3", "vision_config": {}}, "also takes pictures or sound, and sftframe trains"),
        ({"model_type": "qwen3_5", "architectures": None}, "also takes pictures or sound, and sftframe trains"),
        (
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            "is quantised (gptq): such weights cannot be trained; name the model that it was made from",
        ),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            "is a LlamaForSequenceClassification, not a LlamaForCausalLM",
        ),
        ({"hidden_size": "wide"}, "is no valid configuration: "),
    ],
)
def test_a_model_of_another_kind_is_refused_by_its_config(folder, values, reason):
    configure(folder, **values)
    (folder / "model.safetensors").unlink()
    assert reason in refusal(folder)


def test_code_of_a_repository_is_never_run_even_if_transformers_knows_the_model(folder):
    configure(folder, auto_map={"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "modeling_own.OwnConfig"})
    (folder / "modeling_own.py").write_text("raise SystemExit('this was run')")
    HFBackend(Options(repo=str(folder))).load(device="cpu", dtype="float32", seed=1)


def test_a_config_that_is_no_json_object_is_refused(folder):
    (folder / "config.json").write_text("[1]")
    assert refusal(folder).endswith("config.json: found a JSON list, expected an object")
    (folder / "config.json").write_text("{")
    assert "expected a JSON object; fetch it again" in refusal(folder)


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(make_folder, make_tokenizer):
    folder = make_folder("llama", vocab_size=262)
    make_tokenizer(size=270).save_pretrained(folder)
    told = refusal(folder)
    assert "has 270 tokens, but the model has embeddings for 262; sftframe does not resize them" in told


def test_a_model_without_a_tokenizer_is_refused(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "has no tokenizer: looked for tokenizer.json, tokenizer.model" in refusal(folder)


def test_a_context_beyond_the_models_is_refused(folder):
    backend = HFBackend(Options(repo=str(folder), context_length=513))
    with pytest.raises(ModelError, match=r"^model\.context_length: expected 512 or less, .*, found 513$"):
        backend.context_length()
    assert HFBackend(Options(repo=str(folder), context_length=100)).context_length() == 100


def test_a_pickle_is_read_only_on_request_and_then_its_tensors_alone(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    assert "has its weights as pytorch_model.bin, a pickle, which can contain code" in refusal(folder)
    backend = HFBackend(Options(repo=str(folder), allow_pickle=True))
    backend.check()
    module = backend.load(device="cpu", dtype="float32", seed=1).module
    torch.testing.assert_close(module.get_input_embeddings().weight.data, weights["model.embed_tokens.weight"])
    assert "sha256:pytorch_model.bin" in backend.identity


class Bomb:
    def __reduce__(self):
        return print, ("code was run",)


def test_code_in_a_pickle_is_not_run(folder, capfd):
    (folder / "model.safetensors").unlink()
    torch.save({"model.embed_tokens.weight": Bomb()}, folder / "pytorch_model.bin")
    assert "pytorch_model.bin contains more than tensors, or is damaged" in refusal(folder, "load", allow_pickle=True)
    assert "code was run" not in capfd.readouterr().out


def test_no_weights_at_all_are_refused_unless_they_shall_be_random(folder):
    (folder / "model.safetensors").unlink()
    assert "has no weights: looked for model.safetensors, " in refusal(folder)
    HFBackend(Options(repo=str(folder), weights="random")).check()


def test_a_damaged_checkpoint_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "model.safetensors is not a complete safetensors file" in refusal(folder)


def rewrite(folder, change):
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})


NORM = "model.layers.1.input_layernorm.weight"


def test_missing_weights_are_refused_by_name(folder):
    rewrite(folder, lambda weights: {name: tensor for name, tensor in weights.items() if name != NORM})
    assert f"has no weights for {NORM}: the checkpoint is incomplete" in refusal(folder, "load")


def test_weights_of_another_shape_are_refused_by_name(folder):
    rewrite(folder, lambda weights: weights | {NORM: torch.ones(31)})
    assert f"has {NORM} of the shape (31,), but its config.json makes it (32,)" in refusal(folder, "load")


def test_weights_without_a_place_are_refused_unless_they_may_be_left_out(folder):
    rewrite(folder, lambda weights: weights | {"value_head.weight": torch.ones(3)})
    told = refusal(folder, "load")
    assert "has weights that LlamaForCausalLM has no place for: value_head.weight; if" in told
    HFBackend(Options(repo=str(folder), ignore_unused=True)).load(device="cpu", dtype="float32", seed=1)


def test_fewer_layers_in_the_config_than_in_the_checkpoint_are_noticed(folder):
    configure(folder, num_hidden_layers=1)
    assert "has weights that LlamaForCausalLM has no place for: model.layers.1." in refusal(folder, "load")


def test_a_network_that_sees_later_tokens_is_refused_whatever_it_is_called(make_folder):
    folder = make_folder("bert-generation", initializer_range=0.5)
    assert "is no causal language model: what it gives for a token depends on later tokens" in refusal(folder, "load")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path / "no", "no: it has no config.json, which save_pretrained() writes"),
        (lambda path: (path / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}'), "of 'a/b'"),
        (lambda path: (path / "x.gguf").write_text(""), "has a GGUF file, which is for running a model"),
        (lambda path: ((path / "model").mkdir(), (path / "model/config.json").write_text("{}")), "there is one in"),
    ],
)
def test_a_folder_with_something_else_is_told_apart(tmp_path, make, reason):
    folder = tmp_path / "no"
    folder.mkdir()
    make(folder)
    assert reason in refusal(folder)


@pytest.mark.parametrize(
    ("repo", "reason"),
    [
        ("", "no model is named: write --model hf:OWNER/NAME for the hub, or --model hf:./FOLDER"),
        ("./nowhere", "model.repo: no folder ./nowhere; expected a folder, or OWNER/NAME"),
        ("a/b/c", "model.repo: no folder a/b/c; expected"),
        (
            "https://huggingface.co/acme/one",
            "found the address https://huggingface.co/acme/one: write --model hf:acme/one",
        ),
        ("a b", "model.repo: no folder a b; expected"),
        ("\0", "model.repo: no folder '\\x00'; expected"),
    ],
)
def test_a_name_that_means_nothing_says_what_is_expected(repo, reason):
    assert reason in refusal(repo)


def test_a_file_is_no_folder(folder):
    assert refusal(folder / "model.safetensors").endswith("name the folder that it is in, with its config.json")


def test_without_transformers_the_message_says_what_to_install(folder, tmp_path, monkeypatch):
    def installed(number):
        site = tmp_path / number
        (site / f"transformers-{number}.dist-info").mkdir(parents=True)
        metadata = f"Metadata-Version: 2.1\nName: transformers\nVersion: {number}\n"
        (site / f"transformers-{number}.dist-info" / "METADATA").write_text(metadata)
        return str(site)

    monkeypatch.setattr("sys.path", [installed("4.57.1"), *sys.path])
    assert refusal(folder).endswith("needs transformers 5 or newer, found 4.57.1: pip install -U 'sftframe[hf]'")
    monkeypatch.setattr("sys.path", [path for path in sys.path if "site-packages" not in path][1:])
    assert refusal(folder).endswith("needs the package transformers: pip install 'sftframe[hf]'")


def test_nothing_in_a_config_names_code_that_is_loaded(folder, tmp_path):
    configure(
        folder,
        attn_implementation="acme/attention",
        _attn_implementation="acme/attention",
        experts_implementation="acme/experts",
        transformers_weights="other.safetensors",
        fusion_config={"acme": True},
        auto_map={"AutoModelForCausalLM": "acme--modeling.Own"},
    )
    module = HFBackend(Options(repo=str(folder))).load(device="cpu", dtype="float32", seed=1).module
    assert module.config._attn_implementation == "sdpa"
    module.save_pretrained(tmp_path / "saved")
    assert "acme" not in (tmp_path / "saved" / "config.json").read_text()


def test_an_adapter_beside_the_weights_is_not_taken_for_another_model(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/other", "peft_type": "LORA"}')
    HFBackend(Options(repo=str(folder))).load(device="cpu", dtype="float32", seed=1)


def test_a_damaged_generation_config_is_refused(folder):
    (folder / "generation_config.json").write_text("{")
    assert "cannot be loaded: " in refusal(folder, "load")
