"""sftframe's own prompt styles: plain classes, no dependencies."""

from __future__ import annotations

from sftframe import PromptStyle, hookimpl
from sftframe_plugins.prompts.alpaca import Alpaca, AlpacaStanford
from sftframe_plugins.prompts.chatml import ChatML
from sftframe_plugins.prompts.llama3 import Llama3
from sftframe_plugins.prompts.phi3 import Phi3


@hookimpl
def sftframe_prompt_styles() -> list[type[PromptStyle]]:
    """The styles of this package."""
    return [Alpaca, AlpacaStanford, ChatML, Llama3, Phi3]
