"""Microsoft's layout for Phi-3 (Abdin et al. 2024): the turns of a chat between tags."""

from __future__ import annotations

from dataclasses import dataclass

from sftframe import option
from sftframe_plugins.prompts.tagged import TaggedTurns


@dataclass(frozen=True, kw_only=True)
class Phi3Options:
    """What can be set for `phi3`."""

    end_tag: bool = option(True, "close each turn with <|end|>; false gives the shorter form of the chapter")


class Phi3(TaggedTurns):
    """System message, user's and assistant's turns; the model card has no tools."""

    name = "phi3"
    summary = "chat turns between <|user|>, <|assistant|> and <|end|>, as in Phi-3"
    Options = Phi3Options
    turn_separator = "\n"

    def header(self, speaker: str) -> str:
        return f"<|{speaker}|>"

    @property
    def closing_tag(self) -> str:
        return "<|end|>" if self.options.end_tag else ""
