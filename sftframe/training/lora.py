"""Low-rank adapters on a model's linear maps, through peft; merged into the weights before they are saved.

The module is changed in place. Any module with `nn.Linear` layers works.
"""

from __future__ import annotations

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
    _targets(module, config.targets)


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
        self._tuner = LoraModel(module, settings, "default")

    def merge(self) -> None:
        """Add the adapters to the weights and remove them: the module has its own layers again."""
        self._tuner.merge_and_unload()


def _targets(module: nn.Module, wanted: tuple[str, ...]) -> list[str]:
    """Last names of the linear maps that get an adapter."""
    linear = {name.rpartition(".")[2] for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    missing = sorted(set(wanted) - linear)
    if missing or not linear:
        known = ", ".join(sorted(linear)) or "none"
        raise ConfigError(f"train.lora.targets: no linear map named {', '.join(missing)}; the model has: {known}")
    return sorted(wanted or linear)
