"""Weights in another precision, and the tensors of a GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sftframe import ModelError
from sftframe_plugins.export import GGUF_IS_MISSING

if TYPE_CHECKING:
    from gguf import MODEL_ARCH, GGUFWriter


def cast(tensor: Tensor, dtype: str, name: str) -> Tensor:
    """The tensor on the CPU in another precision; the same tensor, if nothing changes.

    Args:
        dtype: torch's name, `float32` or `float16`.
        name: of the tensor, for messages.

    Raises:
        ModelError: a number is too large for the dtype.
    """
    made = tensor.detach().to("cpu", getattr(torch, dtype))
    if not made.isfinite().all():
        largest = tensor.abs().max().item()
        raise ModelError(
            f"tensor {name!r} has a weight of size {largest:g}, too large for {dtype}; export with --dtype float32"
            if dtype != "float32"
            else f"tensor {name!r} has weights that are not finite; the model is damaged, train it again"
        )
    return made


def gguf_writer(path: Path, architecture: str) -> GGUFWriter:
    """A writer for a model of an architecture, by the name that `gguf.MODEL_ARCH` has for it.

    Raises:
        ModelError: the package `gguf` is missing.
    """
    try:
        import gguf
    except ImportError as error:
        raise ModelError(GGUF_IS_MISSING) from error
    kind: MODEL_ARCH = gguf.MODEL_ARCH[architecture]
    return gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[kind])


def add_kind(writer: GGUFWriter, name: str, dtype: str) -> None:
    """State what the file is.

    Args:
        name: the model's.
        dtype: of the matrices, `float32` or `float16`.
    """
    import gguf

    kinds = {"float32": gguf.LlamaFileType.ALL_F32, "float16": gguf.LlamaFileType.MOSTLY_F16}
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_file_type(kinds[dtype])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


NamedTensors = Callable[[], Iterator[tuple[str, Tensor, str]]]
"""Makes the tensors one by one: GGUF's name, the values, and the dtype to store them in."""


def write_tensors(writer: GGUFWriter, tensors: NamedTensors) -> None:
    """Write everything that the writer has, the list of tensors, and then the tensors one by one, so that only one is
    copied at a time.

    Raises:
        ModelError: a number is too large for its dtype.
    """
    for name, tensor, kind in tensors():
        like = cast(tensor[:0], kind, name).numpy()
        writer.add_tensor_info(name, tuple(tensor.shape), like.dtype, tensor.numel() * like.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, tensor, kind in tensors():
        writer.write_tensor_data(cast(tensor, kind, name).contiguous().numpy())
