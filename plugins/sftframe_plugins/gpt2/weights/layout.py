"""The names and shapes of weights when they are loaded and saved: those of Hugging Face.

Matrices such as `h.0.attn.c_attn.weight` are stored (in, out), as in OpenAI's checkpoints; `torch.nn.Linear` has them
transposed. Every tensor's name and shape is checked before the first number is copied; no tensor may be missing or left
over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sftframe import ModelError
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig

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
