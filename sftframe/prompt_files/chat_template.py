"""Uses a Hugging Face chat template as a prompt style: one question, its answer, every character with its role.

The template is rendered as in transformers. The prompt is what `add_generation_prompt` gives; the whole conversation
must begin with it. Special tokens are ordinary text: the model's own tokenizer does not know them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sftframe.errors import ConfigError, suggestion
from sftframe.prompt_files.attribution import Asked, attribute
from sftframe.prompt_files.jinja_template import closing_tag
from sftframe.prompt_files.rendering import Rendering
from sftframe.prompt_files.style import ChatOptions
from sftframe.records import Example, Segment


class ChatLayout:
    """What a chat template says."""

    def __init__(self, options: ChatOptions) -> None:
        templates, tokens = _document(options.content)
        if options.template not in templates:
            raise ConfigError(f"no chat template {options.template!r}{suggestion(options.template, templates)}")
        try:
            self._template = Rendering("hf", templates[options.template])
        except ConfigError as error:
            raise ConfigError(f"chat template, {error}") from error
        self._names = {"tools": None, "documents": None, **tokens, **options.variables}
        self._options = options

    def segments(self, example: Example) -> Sequence[Segment]:
        """The example's pieces. Raises ConfigError where a character's role is not certain."""
        return attribute(example, self._render, has_prompt=True)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The tag that closes the assistant's turn."""
        return closing_tag(self.segments(Example(index=0, instruction="Name a colour.", output="Red.")))

    def _question(self, instruction: str, input: str) -> list[dict[str, str]]:
        content = instruction + (self._options.input_separator + input if input else "")
        system = [{"role": "system", "content": self._options.system}] if self._options.system else []
        return [*system, {"role": "user", "content": content}]

    def _render(self, asked: Sequence[Asked]) -> list[str]:
        names = [{"messages": self._messages(one), "add_generation_prompt": one.is_prompt} for one in asked]
        try:
            return self._template.texts(self._names, names)
        except ConfigError as error:
            raise ConfigError(f"the chat template cannot be rendered: {error}") from error

    def _messages(self, asked: Asked) -> list[dict[str, str]]:
        question = self._question(asked.instruction, asked.input)
        return question if asked.is_prompt else [*question, {"role": "assistant", "content": asked.answer}]


def _document(content: str) -> tuple[dict[str, str], dict[str, Any]]:
    try:
        document = json.loads(content)
        return dict(document["chat_template"]), dict(document["tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError("prompt.content is not what sftframe keeps of a tokenizer; name the file again") from error
