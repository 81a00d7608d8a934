"""sftframe's own collate strategies: which targets count in the loss. torch is imported when a batch is made."""

from __future__ import annotations

from sftframe import CollateStrategy, hookimpl
from sftframe_plugins.collate.strategies import MaskInstruction, MaskPad, PadOnly, PromptWeight


@hookimpl
def sftframe_collate_strategies() -> list[type[CollateStrategy]]:
    """The strategies of this package."""
    return [PadOnly, MaskPad, MaskInstruction, PromptWeight]
