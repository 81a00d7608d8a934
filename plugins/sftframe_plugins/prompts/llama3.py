"""Meta's layout for Llama 3 (Dubey et al. 2024): headers with the speaker's name, and a mark where a text begins."""

from __future__ import annotations

from collections.abc import Iterator

from sftframe import Example, Role, Segment
from sftframe_plugins.prompts.tagged import TaggedTurns

BEGIN = "<|begin_of_text|>"


class Llama3(TaggedTurns):
    """Messages of any speaker; what a tool gives back is a message of the speaker `ipython`, as in Llama 3.1.

    Meta's own code strips white space around every text; here texts stay as they are.
    """

    name = "llama3"
    summary = "chat turns between <|start_header_id|> and <|eot_id|>, as in Llama 3"
    after_header = "\n\n"
    tool_speaker = "ipython"

    def header(self, speaker: str) -> str:
        return f"<|start_header_id|>{speaker}<|end_header_id|>"

    @property
    def closing_tag(self) -> str:
        return "<|eot_id|>"

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.TEMPLATE, BEGIN)
        yield from super().segments(example)

    def conversation(self, example: Example) -> Iterator[Segment]:
        """The beginning is marked once."""
        yield Segment(Role.TEMPLATE, BEGIN)
        for exchange in example.exchanges:
            yield from super().segments(exchange)
