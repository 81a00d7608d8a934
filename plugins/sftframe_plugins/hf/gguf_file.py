"""A model of transformers as one GGUF file for llama.cpp and Ollama.

llama.cpp has its own code for each architecture and each way to cut text into words, so only those are written that
were compared with it: Llama, Qwen2 and Qwen3 with byte-level vocabularies. For others its converter is named.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sftframe import ExportSettings, ModelError, Tokenizer
from sftframe_plugins.export import GGUF_FILE
from sftframe_plugins.export.tensors import add_kind, gguf_writer, write_tensors

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedModel

ARCHITECTURES = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3"}
"""Names in `gguf.MODEL_ARCH` by transformers' `model_type`."""

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _split(pattern: str) -> list[tuple[str, ...]]:
    return [("Split", pattern), ("ByteLevel", "False")]


CUTS: dict[str, list[tuple[str, ...]]] = {
    "gpt-2": [("ByteLevel", "True")],
    "smollm": [("Digits", "True"), ("ByteLevel", "True")],
    "llama-bpe": _split(_WORDS % r"\p{N}{1,3}"),
    "qwen2": _split(_WORDS % r"\p{N}"),
}
"""Steps by which a tokenizer cuts text into words, by llama.cpp's name for them."""


def check_form(config: Any) -> None:
    """Check that a model with this configuration can be written.

    Raises:
        ModelError: it cannot; the message names the converter.
    """
    reason = _what_is_unknown(config)
    if reason:
        raise ModelError(_advice(reason))


def export_gguf(folder: Path, module: PreTrainedModel, tokenizer: Tokenizer, settings: ExportSettings) -> None:
    """Write the file.

    Raises:
        ModelError: the package `gguf` is missing, the model or its tokenizer has a form that cannot be written, or a
            weight does not fit the dtype.
    """
    check_form(module.config)
    vocabulary = _vocabulary(tokenizer)
    writer = gguf_writer(folder / GGUF_FILE, ARCHITECTURES[module.config.model_type])
    try:
        add_kind(writer, settings.name, settings.dtype)
        _add_sizes(writer, module.config)
        num_ids = module.get_input_embeddings().weight.shape[0]
        _add_vocabulary(writer, vocabulary, tokenizer, num_ids)
        for end_id in settings.end_ids[:1]:
            writer.add_eot_token_id(end_id)
        writer.add_chat_template(settings.chat_template)
        write_tensors(writer, lambda: _tensors(module, settings.dtype))
    finally:
        writer.close()


def _advice(reason: str) -> str:
    return (
        f"sftframe does not write GGUF of {reason}: export with --to hf, then run llama.cpp's convert_hf_to_gguf.py on "
        "that folder"
    )


def _what_is_unknown(config: Any) -> str:
    """What in a configuration was not compared with llama.cpp; empty if all was."""
    kind = config.model_type
    if kind not in ARCHITECTURES:
        return f"a model of the type {kind!r}"
    if config.hidden_act != "silu":
        return f"a model with the activation {config.hidden_act!r}"
    if getattr(config, "mlp_bias", False) or getattr(config, "attention_bias", False):
        return "a model with biases where its type has none"
    if set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"}:
        return "a model with sliding windows"
    rope = _rope(config).get("rope_type", "default")
    if rope != "default" and not (rope in ("llama3", "linear") and kind == "llama"):
        return f"a model with positions of the kind {rope!r}"
    return ""


def _rope(config: Any) -> Mapping[str, Any]:
    """What rotary positions are made of."""
    found: Mapping[str, Any] = config.rope_parameters
    return found


def _head_width(config: Any) -> int:
    width: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return width


def _add_sizes(writer: GGUFWriter, config: Any) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(_head_width(config))
    writer.add_value_length(_head_width(config))
    writer.add_rope_dimension_count(_head_width(config))
    writer.add_rope_freq_base(_rope(config)["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _vocabulary(tokenizer: Tokenizer) -> Mapping[str, Any]:
    """The tokenizer's `tokenizer.json`.

    Raises:
        ModelError: it is of a kind that cannot be written.
    """
    with TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise ModelError(_advice("a tokenizer without tokenizer.json"))
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model = found["model"]
    cut = _cut(found)
    if model["type"] != "BPE" or model.get("byte_fallback") or cut is None:
        raise ModelError(_advice("a tokenizer of this kind"))
    if bool(model.get("ignore_merges")) != (cut == "llama-bpe"):
        raise ModelError(_advice("a tokenizer that joins tokens in this way"))
    return found


def _cut(vocabulary: Mapping[str, Any]) -> str | None:
    """llama.cpp's name for the way in which text is cut into words."""
    whole = vocabulary.get("pre_tokenizer") or {}
    steps = whole.get("pretokenizers", [whole])
    found = [_step(step) for step in steps]
    return next((name for name, known in CUTS.items() if known == found), None)


def _step(step: Mapping[str, Any]) -> tuple[str, ...]:
    kind = step.get("type")
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return "ByteLevel", str(step.get("use_regex", True))
    if kind == "Digits":
        return "Digits", str(step.get("individual_digits", False))
    if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
        return "Split", step["pattern"].get("Regex", "")
    return (str(kind), "unknown")


def _add_vocabulary(writer: GGUFWriter, vocabulary: Mapping[str, Any], tokenizer: Tokenizer, num_ids: int) -> None:
    """State tokens, merges and control tokens; an id without a token gets a name that no text has."""
    from gguf import TokenType

    model = vocabulary["model"]
    added = {token["id"]: token["content"] for token in vocabulary.get("added_tokens", [])}
    names = {token_id: token for token, token_id in model["vocab"].items()} | added
    controls = set(tokenizer.control_tokens.values())
    kinds = [
        TokenType.UNUSED
        if token_id not in names
        else TokenType.CONTROL
        if token_id in controls
        else TokenType.USER_DEFINED
        if token_id in added
        else TokenType.NORMAL
        for token_id in range(num_ids)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_cut(vocabulary) or "")
    writer.add_token_list([names.get(token_id, f"[PAD{token_id}]") for token_id in range(num_ids)])
    writer.add_token_types(kinds)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(tokenizer.begin_ids[0] if tokenizer.begin_ids else tokenizer.end_id)
    writer.add_eos_token_id(tokenizer.end_id)
    writer.add_pad_token_id(tokenizer.end_id)
    writer.add_add_bos_token(bool(tokenizer.begin_ids))
    writer.add_add_eos_token(False)


def _tensors(module: PreTrainedModel, dtype: str) -> Iterator[tuple[str, Tensor, str]]:
    """GGUF's name, the weight, and the dtype to store it in; a tied head is not written."""
    import gguf

    config: Any = module.config
    names: Any = gguf.get_tensor_name_map(gguf.MODEL_ARCH[ARCHITECTURES[config.model_type]], config.num_hidden_layers)
    factors = _rope_factors(module)
    if factors is not None:
        yield "rope_freqs.weight", factors, "float32"
    for own_name, weight in module.named_parameters():  # a tied weight has its first name alone
        name = names.get_name(own_name, try_suffixes=(".weight", ".bias"))
        assert name is not None, f"GGUF has no name for {own_name}"
        yield name, _reordered(weight, own_name, config), dtype if weight.ndim > 1 else "float32"


def _reordered(weight: Tensor, name: str, config: Any) -> Tensor:
    """llama.cpp turns neighbours of a Llama head's queries and keys; transformers turns its two halves."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
    if config.model_type != "llama" or heads is None:
        return weight
    halves = weight.view(heads, 2, -1, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def _rope_factors(module: nn.Module) -> Tensor | None:
    """By how much each turning is slower than its base says, (D / 2,); None = all are as it says."""
    rotary: Any = next(layer for layer in module.modules() if hasattr(layer, "inv_freq"))
    width, base = _head_width(rotary.config), _rope(rotary.config)["rope_theta"]
    plain = base ** -(torch.arange(0, width, 2, dtype=torch.float32) / width)
    factors = plain / rotary.inv_freq.float().cpu()
    return None if torch.allclose(factors, torch.ones_like(factors), rtol=1e-5) else factors
