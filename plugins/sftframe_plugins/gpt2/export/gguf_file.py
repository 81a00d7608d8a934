"""Writes one GGUF file for llama.cpp and Ollama: weights, tokenizer and chat template, as llama.cpp's converter does.

Matrices are stored (out, in), as `torch.nn.Linear` has them. There is no output matrix: llama.cpp uses the token
embedding, as GPT-2 does. In float16 the vectors and the position embedding stay float32, which llama.cpp expects.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sftframe import ExportSettings, ModelError
from sftframe_plugins.gpt2.export.precision import cast
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.vocabulary import Vocabulary, merges
from sftframe_plugins.gpt2.vocabulary_files import CHARACTER_OF
from sftframe_plugins.gpt2.weights.layout import PREFIX

if TYPE_CHECKING:
    from gguf import GGUFWriter

GGUF_FILE = "model.gguf"


def export_gguf(folder: Path, network: GPT2, tokenizer: BytePairTokenizer, settings: ExportSettings) -> None:
    """Write the file.

    Raises:
        ModelError: the package `gguf` is missing, or a weight does not fit the dtype.
    """
    writer = _writer(folder / GGUF_FILE)
    try:
        _add_sizes(writer, network.config, settings)
        _add_vocabulary(writer, tokenizer.vocabulary)
        writer.add_chat_template(settings.chat_template)
        _write(writer, network, settings.dtype)
    finally:
        writer.close()


def _writer(path: Path) -> GGUFWriter:
    try:
        import gguf
    except ImportError as error:
        raise ModelError("writing GGUF needs the package gguf: pip install 'sftframe[gguf]'") from error
    return gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.GPT2])


def _add_sizes(writer: GGUFWriter, config: NetworkConfig, settings: ExportSettings) -> None:
    import gguf

    kinds = {"float32": gguf.LlamaFileType.ALL_F32, "float16": gguf.LlamaFileType.MOSTLY_F16}
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(settings.name)
    writer.add_file_type(kinds[settings.dtype])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
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


def _write(writer: GGUFWriter, network: GPT2, dtype: str) -> None:
    """Write the list of tensors, then the tensors one by one, so that only one is copied at a time."""
    for name, tensor, kind in _tensors(network, dtype):
        like = cast(tensor[:0], kind, name).numpy()
        writer.add_tensor_info(name, tuple(tensor.shape), like.dtype, tensor.numel() * like.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, tensor, kind in _tensors(network, dtype):
        writer.write_tensor_data(cast(tensor, kind, name).numpy())


def _tensors(network: GPT2, dtype: str) -> Iterator[tuple[str, Tensor, str]]:
    """GGUF's name, the parameter, and the dtype to store it in."""
    import gguf

    names: Any = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, network.config.num_layers)
    for own_name, parameter in network.named_parameters():
        name = names.get_name(PREFIX + own_name, try_suffixes=(".weight", ".bias"))
        is_plain = parameter.ndim == 1 or own_name == "wpe.weight"
        yield name, parameter, "float32" if is_plain else dtype
