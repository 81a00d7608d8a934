"""Low-rank adapters on a model's linear maps, through peft; merged into the weights before they are saved.

The module is changed in place. Any module with `nn.Linear` layers works. A head whose weight is the embedding's never
gets an adapter: merging it would change the embedding too.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import torch
from torch import nn

from sftframe.config import LoraConfig
from sftframe.errors import ConfigError


def check_lora_package() -> None:
    """Check that peft is installed.

    Raises:
        ConfigError: it is not.
    """
    if find_spec("peft") is None:
        raise ConfigError(_NO_PEFT)


def check_lora(module: nn.Module, config: LoraConfig) -> None:
    """Check that a module can have the adapters.

    Raises:
        ConfigError: peft is not installed, or no linear map has one of the names in `targets`.
    """
    check_lora_package()
    _targets(module, config.targets)  # a name that is not there is an error


_NO_PEFT = "train.lora needs peft: pip install 'sftframe[lora]'"


class LoraAdapters:
    """Adapters in place of a module's linear maps (Hu et al. 2021, arXiv 2106.09685); only they are trained.

    Args:
        module: changed in place, until `merge` changes it back.
        seed: of the adapters' random half; the other half starts at 0, so that nothing changes at first.

    Raises:
        ConfigError: peft is not installed, or no linear map has one of the names in `targets`.
    """

    def __init__(self, module: nn.Module, config: LoraConfig, *, seed: int) -> None:
        try:
            import peft
            from peft.tuners.lora import LoraModel
        except ImportError as error:
            raise ConfigError(_NO_PEFT) from error
        settings = peft.LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha or 2 * config.rank,
            lora_dropout=config.dropout,
            target_modules=list(_targets(module, config.targets)),
        )
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")  # peft says that it has seen a Conv1D
            self._tuner = LoraModel(module, settings, "default")

    def merge(self) -> None:
        """Add the adapters to the weights and remove them: the module has its own layers again."""
        self._tuner.merge_and_unload()


def _targets(module: nn.Module, wanted: tuple[str, ...]) -> list[str]:
    """Last names of the linear maps that get an adapter: without a wish, all of them except the head."""
    kinds = _linear_kinds()
    linear = {name: layer for name, layer in module.named_modules() if isinstance(layer, kinds)}
    of_embeddings = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
    possible = {_last(name) for name, layer in linear.items() if id(layer.weight) not in of_embeddings}
    missing = sorted(set(wanted) - possible)
    if missing or not possible:
        known = ", ".join(sorted(possible)) or "none"
        raise ConfigError(f"train.lora.targets: no linear map named {', '.join(missing)}; the model has: {known}")
    head = _head_of(module)
    return sorted(wanted or possible - {_last(name) for name, layer in linear.items() if layer is head})


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _head_of(module: nn.Module) -> nn.Module | None:
    """The map to logits, where the module says which one it is, as those of transformers do."""
    getter = getattr(module, "get_output_embeddings", None)
    head = getter() if callable(getter) else None
    return head if isinstance(head, nn.Module) else None


def _linear_kinds() -> tuple[type[nn.Module], ...]:
    """The layers that are linear maps to peft: torch's, and the transposed one that transformers' GPT-2 has."""
    from transformers.pytorch_utils import Conv1D  # peft has imported transformers already

    return nn.Linear, Conv1D
