"""Names and shapes of GPT-2's weights, and the configuration files that come with them."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sftframe import ModelError, read_named_text
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig

FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
"""Values that the network supports, by the names of transformers' `GPT2Config`; the first is also the default."""

MAX_SIZE = 10_000_000
"""The largest allowed width, length or vocabulary; a larger number in a file means damage or an attack."""


def read_config(path: Path) -> NetworkConfig:
    """The sizes that a `config.json` states.

    Raises:
        ModelError: it cannot be read, a size is missing, or it describes another network than GPT-2's.
    """
    content = _read_object(path)
    for key, allowed in FIXED.items():
        if content.get(key, allowed[0]) not in allowed:
            raise ModelError(
                f"{path}: {key} is {reprlib.repr(content[key])}, but GPT-2 has {allowed[0]!r}; not a GPT-2 checkpoint"
            )
    width = _size(content, "n_embd", path)
    inner = content.get("n_inner")
    if inner not in (None, 4 * width):
        raise ModelError(f"{path}: n_inner is {reprlib.repr(inner)}, but GPT-2 has 4 x n_embd = {4 * width}")
    return _make_config(content, ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"), path)


def read_hparams(path: Path) -> NetworkConfig:
    """The sizes that an `hparams.json` states.

    Raises:
        ModelError: it cannot be read, or a size is missing.
    """
    return _make_config(_read_object(path), ("n_vocab", "n_ctx", "n_embd", "n_layer", "n_head"), path)


def write_config(config: NetworkConfig, end_id: int, path: Path) -> None:
    """Write sizes so that `transformers.AutoConfig` reads them too."""
    content: dict[str, Any] = {key: allowed[0] for key, allowed in FIXED.items()}
    content |= {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_embd": config.width,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_inner": None,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "bos_token_id": end_id,
        "eos_token_id": end_id,
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_named_text(path))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"cannot read {path}: {error}; damaged, fetch it again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _make_config(content: dict[str, Any], keys: tuple[str, str, str, str, str], path: Path) -> NetworkConfig:
    vocab_size, context_length, width, num_layers, num_heads = (_size(content, key, path) for key in keys)
    if width % num_heads:
        raise ModelError(f"{path}: width {width} cannot be divided among {num_heads} heads")
    return NetworkConfig(
        vocab_size=vocab_size, context_length=context_length, width=width, num_layers=num_layers, num_heads=num_heads
    )


def _size(content: dict[str, Any], key: str, path: Path) -> int:
    size = content.get(key)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_SIZE:
        raise ModelError(f"{path}: {key} is {reprlib.repr(size)}, expected a whole number from 1 to {MAX_SIZE}")
    return size


PREFIX = "transformer."
"""What `GPT2LMHeadModel` puts before every name, and `GPT2Model` does not."""

_WRAPPERS = re.compile(r"^(?:(?:_orig_mod|module|transformer|model)\.)+")
"""What `GPT2LMHeadModel`, torch.compile, DataParallel and trainers put before every name."""

TRANSPOSED = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")

BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Causal masks that older versions of transformers saved with the weights."""

HEAD = "lm_head.weight"


def build(config: NetworkConfig, device: str, dtype: torch.dtype) -> GPT2:
    """A network whose parameters are not filled yet, in evaluation mode."""
    with torch.device(device), _Unfilled():
        return GPT2(config).to(dtype).eval()


class _Unfilled(TorchFunctionMode):
    """Skips the random numbers that new torch modules draw: 1 s for 124M parameters.

    The device `meta` would draw nothing either, but imports torch's compiler to do so, which takes as long.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if function in (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_):
            return named["tensor"] if "tensor" in named else args[0]
        return function(*args, **named)


def fill(network: GPT2, tensors: Mapping[str, Tensor], source: object) -> None:
    """Copy weights into a network.

    Args:
        tensors: in the layout of this module; they are read one at a time.
        source: where they come from, for messages.

    Raises:
        ModelError: a tensor is missing, is left over, or has another shape.
    """
    check_tensors(network.config, tensors, source)
    named = _named(tensors, source)
    _check_head(tensors, named, source)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            tensor = named[name]
            parameter.copy_(tensor.t() if name.endswith(TRANSPOSED) else tensor)


def check_tensors(config: NetworkConfig, tensors: Mapping[str, Tensor], source: object) -> None:
    """Check that tensors are exactly those of a network of these sizes, without reading their numbers.

    Call it before a network is built: the sizes in a file may be any number.

    Raises:
        ModelError: a tensor is missing, is left over, has another shape, or has no floating-point numbers.
    """
    named = _named(tensors, source)
    check_shapes(config, {name: tuple(tensor.shape) for name, tensor in named.items()}, source)
    for name, tensor in named.items():
        if not tensor.dtype.is_floating_point:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ModelError(f"{source}: tensor {name!r} contains {kind}, expected floating-point numbers")


def tensors_of(network: GPT2) -> dict[str, Tensor]:
    """A network's weights in the layout of this module, on the CPU."""
    parameters = ((name, parameter.detach().cpu()) for name, parameter in network.named_parameters())
    return {name: (tensor.t() if name.endswith(TRANSPOSED) else tensor).contiguous() for name, tensor in parameters}


def shapes(config: NetworkConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor of a network of these sizes."""
    width = config.width
    yield "wte.weight", (config.vocab_size, width)
    yield "wpe.weight", (config.context_length, width)
    for layer in range(config.num_layers):
        for part, num_in, num_out in (
            ("attn.c_attn", width, 3 * width),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, 4 * width),
            ("mlp.c_proj", 4 * width, width),
        ):
            yield f"h.{layer}.{part}.weight", (num_in, num_out)
            yield f"h.{layer}.{part}.bias", (num_out,)
        for norm in ("ln_1", "ln_2"):
            yield f"h.{layer}.{norm}.weight", (width,)
            yield f"h.{layer}.{norm}.bias", (width,)
    yield "ln_f.weight", (width,)
    yield "ln_f.bias", (width,)


def check_shapes(config: NetworkConfig, found: Mapping[str, tuple[int, ...]], source: object) -> None:
    """Check that the found tensors are exactly those of a network of these sizes.

    Raises:
        ModelError: they are not; the first difference is named.
    """
    expected = set()
    for name, shape in shapes(config):  # one by one: a file may claim any number of layers
        expected.add(name)
        if name not in found:
            if any(".lora_A." in other for other in found):
                raise ModelError(
                    f"{source}: these are a model's weights with LoRA adapters, expected one whole model: merge them "
                    "with peft's merge_and_unload() and save that"
                )
            raise ModelError(f"{source}: tensor {name!r} {shape} is missing; the weights are incomplete")
        if tuple(found[name]) != shape:
            raise ModelError(f"{source}: tensor {name!r} has shape {tuple(found[name])}, expected {shape}")
    left_over = sorted(set(found) - expected)
    if left_over:
        more = f" and {len(left_over) - 1} more" if len(left_over) > 1 else ""
        raise ModelError(
            f"{source}: tensor {left_over[0]!r}{more} has no place in a GPT-2 of {config.num_layers} layers"
        )


def plain_name(name: str) -> str:
    """A tensor's name without what wrappers add to it.

    >>> plain_name("module._orig_mod.transformer.h.0._orig_mod.ln_1.weight")
    'h.0.ln_1.weight'
    """
    return _WRAPPERS.sub("", name).replace("._orig_mod.", ".")


def _named(tensors: Mapping[str, Tensor], source: object) -> dict[str, Tensor]:
    """The tensors under plain names, without causal masks and without the head.

    safetensors keeps only one of two tensors that share memory: then the head is there and the embedding is not.
    """
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = plain_name(name)
        if plain in named:
            raise ModelError(f"{source}: two tensors are {plain!r} without their wrappers' prefixes, expected one")
        if not name.endswith(BUFFERS):
            named[plain] = tensor
    head = named.pop(HEAD, None)
    if head is not None:
        named.setdefault("wte.weight", head)
    return named


def _check_head(tensors: Mapping[str, Tensor], named: Mapping[str, Tensor], source: object) -> None:
    """A stored head must equal the embedding."""
    head = next((tensor for name, tensor in tensors.items() if plain_name(name) == HEAD), None)
    if head is not None and not torch.equal(head, named["wte.weight"]):
        raise ModelError(
            f"{source}: {HEAD!r} differs from 'wte.weight'; GPT-2's head is its token embedding, and these were "
            "trained apart"
        )
