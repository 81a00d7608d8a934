"""Reads a state dict that `torch.save` wrote: of the chapter's `GPTModel`, or of a GPT-2 with the usual names.

It is read with `weights_only`, so that only tensors can come out of the file, and memory-mapped.

| the chapter | here |
|---|---|
| `tok_emb`, `pos_emb` | `wte`, `wpe` |
| `trf_blocks.N.att.W_query`, `W_key`, `W_value` | side by side, `h.N.attn.c_attn` |
| `trf_blocks.N.att.out_proj` | `h.N.attn.c_proj` |
| `trf_blocks.N.ff.layers.0`, `.2` | `h.N.mlp.c_fc`, `c_proj` |
| `trf_blocks.N.norm1`, `norm2`, `final_norm`, each with `scale` and `shift` | `h.N.ln_1`, `ln_2`, `ln_f` |
| `out_head` | `lm_head`, which has to be `tok_emb` again |
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftframe import ModelError, check_plain
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.layout import HEAD, TRANSPOSED, plain_name
from sftframe_plugins.gpt2.weights.source import WeightSource

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".pth", ".pt", ".ckpt")
HEAD_WIDTH = 64
"""The head width of every published GPT-2; a state dict does not contain the number of heads."""
_DAMAGED = (
    OSError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
"""Errors of torch's reader for bytes that are not a file of torch."""
_WRAPPING_KEYS = ("model_state_dict", "state_dict", "model")
"""Keys under which scripts save the state dict next to the optimizer's."""

_CHAPTER = (
    (re.compile(r"tok_emb\.weight"), "wte.weight"),
    (re.compile(r"pos_emb\.weight"), "wpe.weight"),
    (re.compile(r"out_head\.weight"), HEAD),
    (re.compile(r"final_norm\.(scale|shift)"), "ln_f.{}"),
    (re.compile(r"trf_blocks\.(\d+)\.norm([12])\.(scale|shift)"), "h.{}.ln_{}.{}"),
    (re.compile(r"trf_blocks\.(\d+)\.att\.out_proj\.(weight|bias)"), "h.{}.attn.c_proj.{}"),
    (re.compile(r"trf_blocks\.(\d+)\.ff\.layers\.0\.(weight|bias)"), "h.{}.mlp.c_fc.{}"),
    (re.compile(r"trf_blocks\.(\d+)\.ff\.layers\.2\.(weight|bias)"), "h.{}.mlp.c_proj.{}"),
)
_NORM = {"scale": "weight", "shift": "bias"}
_JOINED = re.compile(r"trf_blocks\.(\d+)\.att\.W_(query|key|value)\.(weight|bias)")


class TorchFile(WeightSource):
    """Weights in a local file.

    Args:
        others: the source of the tokenizer, if none is next to the file.
    """

    def __init__(self, path: Path, others: WeightSource | None = None) -> None:
        self.path = path
        self._others = others

    def __str__(self) -> str:
        return str(self.path)

    @staticmethod
    def is_one(path: Path) -> bool:
        """Whether a path is a file with an ending of torch's."""
        try:
            return path.suffix.lower() in SUFFIXES and path.exists() and not path.is_dir()
        except (OSError, ValueError):  # too long, or with a character that no path has
            return False

    @property
    def identity(self) -> Mapping[str, str]:
        return {"weights": str(self.path)}

    def check(self) -> None:
        self.config()

    def config(self) -> NetworkConfig:
        tensors = self._tensors
        sizes = {name: tuple(tensors[name].shape) for name in ("wte.weight", "wpe.weight") if name in tensors}
        if len(sizes) < 2 or any(len(shape) != 2 for shape in sizes.values()):
            raise ModelError(
                f"{self}: no token and position embeddings ({_some(tensors)}), expected the state dict of a GPT-2"
            )
        (vocab_size, width), (context_length, _) = sizes["wte.weight"], sizes["wpe.weight"]
        if width % HEAD_WIDTH:
            raise ModelError(
                f"{self}: width {width} is not a multiple of {HEAD_WIDTH}, so the number of heads is not known"
            )
        layers = {int(name.split(".")[1]) for name in tensors if re.match(r"h\.\d+\.", name)}
        return NetworkConfig(
            vocab_size=vocab_size,
            context_length=context_length,
            width=width,
            num_layers=len(layers),
            num_heads=width // HEAD_WIDTH,
        )

    def tokenizer(self) -> BytePairTokenizer:
        try:
            return BytePairTokenizer.from_folder(self.path.parent)
        except ModelError:
            if self._others is None:
                raise
            return self._others.tokenizer()

    def tensors(self) -> Mapping[str, Tensor]:
        return self._tensors

    @cached_property
    def _tensors(self) -> Mapping[str, Tensor]:
        tensors = {plain_name(name): tensor for name, tensor in self._state_dict().items()}
        if any(name.startswith("trf_blocks.") for name in tensors):
            return _from_chapter(tensors, self)
        return _input_first(tensors)

    def _state_dict(self) -> dict[str, Tensor]:
        import torch

        loaded = self._loaded()
        if isinstance(loaded, dict):
            inner = next((loaded[key] for key in _WRAPPING_KEYS if isinstance(loaded.get(key), dict)), loaded)
            if inner and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in inner.items()):
                return inner
        raise ModelError(f"{self}: expected a state dict, names with tensors; save model.state_dict() with torch.save")

    def _loaded(self) -> Any:
        import torch

        try:
            check_plain(self.path)
            try:
                return torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # the form before torch 1.6 cannot be mapped
                return torch.load(self.path, map_location="cpu", weights_only=True)
        except torch.serialization.pickle.UnpicklingError as error:  # type: ignore[attr-defined]
            raise ModelError(
                f"{self} contains more than tensors, and code in a file is never run: save model.state_dict() with "
                "torch.save, not the model itself"
            ) from error
        except _DAMAGED as error:
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise ModelError(
                f"{self} is not a complete file of torch.save ({reason}); fetch or save it again"
            ) from error


def _some(tensors: Mapping[str, Tensor]) -> str:
    names = sorted(tensors)
    return ", ".join(repr(name) for name in names[:3]) + (", …" if len(names) > 3 else "")


def _from_chapter(tensors: Mapping[str, Tensor], source: object) -> dict[str, Tensor]:
    """The chapter's names and shapes, (out, in), as those of `layout`, (in, out)."""
    import torch

    found: dict[str, Tensor] = {}
    joined: dict[tuple[str, str], dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part = _JOINED.fullmatch(name)
        if part:
            layer, which, kind = part.groups()
            joined.setdefault((layer, kind), {})[which] = tensor
        elif not name.endswith(".att.mask"):
            plain = _chapter_name(name)
            found[plain] = tensor.t() if plain.endswith(TRANSPOSED) else tensor
    for (layer, kind), parts in joined.items():
        if len(parts) < 3:
            lacking = next(which for which in ("query", "key", "value") if which not in parts)
            raise ModelError(f"{source}: 'trf_blocks.{layer}.att.W_{lacking}.{kind}' is missing")
        whole = torch.cat([parts[which] for which in ("query", "key", "value")])  # (3 C, C) or (3 C)
        found[f"h.{layer}.attn.c_attn.{kind}"] = whole.t() if kind == "weight" else whole
    for layer in {layer for layer, _ in joined}:
        weight = found.get(f"h.{layer}.attn.c_attn.weight")
        if weight is not None:  # without qkv_bias there is none: the same as a bias of 0
            found.setdefault(f"h.{layer}.attn.c_attn.bias", weight.new_zeros(weight.shape[-1]))
    return found


def _chapter_name(name: str) -> str:
    for pattern, ours in _CHAPTER:
        match = pattern.fullmatch(name)
        if match:
            return ours.format(*(_NORM.get(group, group) for group in match.groups()))
    return name


def _input_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matrices, (in, out). Those of plain linear maps are (out, in); the one that is not square shows it."""
    first = tensors.get("h.0.attn.c_attn.weight")
    is_linear = first is not None and first.ndim == 2 and first.shape[0] == 3 * first.shape[1]
    return {n: t.t() if is_linear and n.endswith(TRANSPOSED) and t.ndim == 2 else t for n, t in tensors.items()}
