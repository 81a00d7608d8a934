"""Reads OpenAI's variables with TensorFlow: `model/h0/attn/c_attn/w` becomes `h.0.attn.c_attn.weight`.

Matrices are stored as kernels of a convolution of width 1, (1, in, out). TensorFlow is imported here and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.weights.layout import shapes

if TYPE_CHECKING:
    from torch import Tensor

SCOPE = "model/"


def read_checkpoint(prefix: Path, config: NetworkConfig) -> dict[str, Tensor]:
    """All weights of a checkpoint, in `layout`'s order.

    Args:
        prefix: path of the checkpoint's files without their endings.

    Raises:
        ModelError: TensorFlow is missing or cannot read the files, a checksum is wrong, or the variables are not those
            of a GPT-2 of these sizes.
    """
    import torch

    require_tensorflow()
    # TensorFlow only reads here: its messages about devices and kernels would fill the screen
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow

    try:
        reader = tensorflow.train.load_checkpoint(str(prefix))
        check_variables(reader.get_variable_to_shape_map(), config, prefix)
        arrays = {name: reader.get_tensor(variable_of(name)) for name, _ in shapes(config)}
    except (tensorflow.errors.OpError, LookupError, ValueError, RuntimeError) as error:
        cause = str(error).partition("\n")[0]
        raise ModelError(f"TensorFlow cannot read the checkpoint {prefix} ({cause}); fetch it again") from error
    return {name: torch.from_numpy(arrays[name]).view(shape) for name, shape in shapes(config)}


def require_tensorflow() -> None:
    """Check that TensorFlow is installed, without importing it.

    Raises:
        ModelError: it is not.
    """
    if find_spec("tensorflow") is None:
        raise ModelError(
            "OpenAI's checkpoints are read with TensorFlow, which is not installed: pip install "
            "'sftframe[tensorflow]', or take the same weights with --set model.weights=huggingface"
        )


def variable_of(name: str) -> str:
    """OpenAI's name of one of our tensors.

    >>> variable_of("h.11.attn.c_attn.weight"), variable_of("h.0.ln_1.weight"), variable_of("wte.weight")
    ('model/h11/attn/c_attn/w', 'model/h0/ln_1/g', 'model/wte')
    """
    *path, kind = name.split(".")
    if path[0] == "h":
        path[:2] = [f"h{path[1]}"]
    is_norm = path[-1].startswith("ln_")
    last = {"weight": "g" if is_norm else "w", "bias": "b"}[kind]
    return SCOPE + "/".join(path if path[-1] in ("wte", "wpe") else [*path, last])


def check_variables(found: Mapping[str, list[int]], config: NetworkConfig, source: object) -> None:
    """Check that a checkpoint's variables are exactly those of a GPT-2 of these sizes.

    Raises:
        ModelError: they are not; the first difference is named.
    """
    expected = set()
    for name, plain_shape in shapes(config):  # one by one: hparams.json may claim any number of layers
        variable, shape = variable_of(name), _stored_shape(name, plain_shape)
        expected.add(variable)
        if variable not in found:
            raise ModelError(f"{source}: variable {variable!r} {shape} is missing; the checkpoint is incomplete")
        if tuple(found[variable]) != shape:
            raise ModelError(
                f"{source}: variable {variable!r} has shape {tuple(found[variable])}, expected {shape} by hparams.json"
            )
    left_over = sorted(set(found) - expected)
    if left_over:
        more = f" and {len(left_over) - 1} more" if len(left_over) > 1 else ""
        raise ModelError(f"{source}: variable {left_over[0]!r}{more} has no place in a GPT-2 of these sizes")


def _stored_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    is_kernel = name.startswith("h.") and len(shape) == 2
    return (1, *shape) if is_kernel else shape
