"""The model for other programs: a Hugging Face folder, and a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file
from torch import Tensor

from sftframe import ExportSettings
from sftframe_plugins.export import GGUF_FILE
from sftframe_plugins.export.tensors import add_kind, cast, gguf_writer, write_tensors
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.vocabulary import CHARACTER_OF, Vocabulary, merges
from sftframe_plugins.gpt2.weights.layout import PREFIX, tensors_of, write_config

if TYPE_CHECKING:
    from gguf import GGUFWriter


def export_gguf(folder: Path, network: GPT2, tokenizer: BytePairTokenizer, settings: ExportSettings) -> None:
    """Write the file.

    Raises:
        ModelError: the package `gguf` is missing, or a weight does not fit the dtype.
    """
    writer = gguf_writer(folder / GGUF_FILE, "GPT2")
    try:
        _add_sizes(writer, network.config, settings)
        _add_vocabulary(writer, tokenizer.vocabulary)
        writer.add_chat_template(settings.chat_template)
        write_tensors(writer, lambda: _tensors(network, settings.dtype))
    finally:
        writer.close()


def _add_sizes(writer: GGUFWriter, config: NetworkConfig, settings: ExportSettings) -> None:
    add_kind(writer, settings.name, settings.dtype)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.width)
    writer.add_feed_forward_length(4 * config.width)
    writer.add_block_count(config.num_layers)
    writer.add_head_count(config.num_heads)
    writer.add_layer_norm_eps(1e-5)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    from gguf import TokenType

    names = {rank: _characters(token) for token, rank in vocabulary.ranks.items()}
    controls = {token_id: name for name, token_id in vocabulary.controls.items()}
    named = names | controls
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([named[token_id] for token_id in range(vocabulary.size)])
    kinds = (TokenType.CONTROL if token_id in controls else TokenType.NORMAL for token_id in range(vocabulary.size))
    writer.add_token_types(list(kinds))
    pairs = merges(vocabulary.ranks)
    writer.add_token_merges([f"{_characters(left)} {_characters(right)}" for left, right in pairs])
    writer.add_bos_token_id(vocabulary.end_id)
    writer.add_eos_token_id(vocabulary.end_id)
    writer.add_pad_token_id(vocabulary.end_id)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)


def _characters(token: bytes) -> str:
    """A token in GPT-2's printable characters for bytes, as llama.cpp's vocabulary needs it."""
    return "".join(CHARACTER_OF[byte] for byte in token)


def _tensors(network: GPT2, dtype: str) -> Iterator[tuple[str, Tensor, str]]:
    """GGUF's name, the parameter, and the dtype to store it in."""
    import gguf

    names: Any = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, network.config.num_layers)
    for own_name, parameter in network.named_parameters():
        name = names.get_name(PREFIX + own_name, try_suffixes=(".weight", ".bias"))
        is_plain = parameter.ndim == 1 or own_name == "wpe.weight"
        yield name, parameter, "float32" if is_plain else dtype


WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"


def export_huggingface(folder: Path, network: GPT2, tokenizer: BytePairTokenizer, settings: ExportSettings) -> None:
    """Write the folder.

    Raises:
        ModelError: a weight does not fit the dtype.
    """
    tensors = {PREFIX + name: cast(tensor, settings.dtype, name) for name, tensor in tensors_of(network).items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    write_config(network.config, tokenizer.end_id, folder / CONFIG_FILE)
    _add(folder / CONFIG_FILE, {"n_ctx": network.config.context_length})  # only llama.cpp's converter reads it
    tokenizer.save(folder)
    _add(folder / TOKENIZER_CONFIG_FILE, _chat_settings(network.config.context_length, tokenizer, settings))
    _write_json(folder / "generation_config.json", _generation_config(tokenizer.end_id, settings))


def _chat_settings(context_length: int, tokenizer: BytePairTokenizer, settings: ExportSettings) -> dict[str, Any]:
    return {
        "pad_token": tokenizer.vocabulary.end_token,
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,  # transformers 4 would remove spaces before punctuation
        "chat_template": settings.chat_template,
    }


def _generation_config(end_id: int, settings: ExportSettings) -> dict[str, Any]:
    config: dict[str, Any] = {"bos_token_id": end_id, "eos_token_id": end_id, "pad_token_id": end_id}
    return config | {"do_sample": False, "max_new_tokens": settings.max_new_tokens}


def _add(path: Path, more: dict[str, Any]) -> None:
    """Add keys to a JSON object in a file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    _write_json(path, content | more)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


EXPORTS: dict[str, Callable[[Path, GPT2, BytePairTokenizer, ExportSettings], None]] = {
    "hf": export_huggingface,
    "gguf": export_gguf,
}
"""The function that writes each form."""
