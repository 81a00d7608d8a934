"""ChatML: OpenAI's layout of 2023 (github.com/openai/openai-python, chatml.md), which Qwen, Yi and many others use."""

from __future__ import annotations

from sftframe_plugins.prompts.tagged import TaggedTurns


class ChatML(TaggedTurns):
    """Messages of any speaker; what a tool gives back is a message of the speaker `tool`."""

    name = "chatml"
    summary = "chat turns between <|im_start|> and <|im_end|>, with system message and tools"
    turn_separator = "\n"
    tool_speaker = "tool"

    def header(self, speaker: str) -> str:
        return f"<|im_start|>{speaker}"

    @property
    def closing_tag(self) -> str:
        return "<|im_end|>"
