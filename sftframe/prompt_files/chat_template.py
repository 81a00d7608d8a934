"""A Hugging Face chat template as a prompt style: one question, its answer, every character with its role.

Takes the document that `tokenizer_files` reads, gives a layout. Rendered as transformers does; the prompt is what
`add_generation_prompt` gives, and must be how the whole conversation begins. Special tokens are text like any other:
the tokenizer is the model's, which does not know them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateSyntaxError

from sftframe.errors import ConfigError, suggestion
from sftframe.prompt_files.attribution import attribute
from sftframe.prompt_files.jinja_template import closing_tag, described
from sftframe.prompt_files.sandbox import chat_environment
from sftframe.prompt_files.style import ChatOptions
from sftframe.records import Example, Segment


class ChatLayout:
    """What a chat template says."""

    def __init__(self, options: ChatOptions) -> None:
        templates, tokens = _document(options.content)
        if options.template not in templates:
            raise ConfigError(f"no chat template {options.template!r}{suggestion(options.template, templates)}")
        try:
            self._template = chat_environment().from_string(templates[options.template])
        except TemplateSyntaxError as error:
            raise ConfigError(f"chat template, line {error.lineno}: {error.message}") from error
        self._names = {"tools": None, "documents": None, **tokens, **options.variables}
        self._options = options

    def segments(self, example: Example) -> Sequence[Segment]:
        """The example's pieces. Raises ConfigError where a character's role cannot be told."""
        return attribute(example, self._whole, self._prompt)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The tag that closes the assistant's turn."""
        return closing_tag(self.segments(Example(index=0, instruction="Name a colour.", output="Red.")))

    def _whole(self, instruction: str, input: str, response: str) -> str:
        messages = [*self._question(instruction, input), {"role": "assistant", "content": response}]
        return self._render(messages, add_generation_prompt=False)

    def _prompt(self, instruction: str, input: str, response: str) -> str:
        return self._render(self._question(instruction, input), add_generation_prompt=True)

    def _question(self, instruction: str, input: str) -> list[dict[str, str]]:
        content = instruction + (self._options.input_separator + input if input else "")
        system = [{"role": "system", "content": self._options.system}] if self._options.system else []
        return [*system, {"role": "user", "content": content}]

    def _render(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        names = {**self._names, "messages": messages, "add_generation_prompt": add_generation_prompt}
        try:
            return self._template.render(names)
        except Exception as error:  # whatever a template's own computations raise
            raise ConfigError(f"the chat template cannot be rendered: {described(error)}") from error


def _document(content: str) -> tuple[dict[str, str], dict[str, Any]]:
    try:
        document = json.loads(content)
        return dict(document["chat_template"]), dict(document["tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError("prompt.content is not what sftframe kept of a tokenizer; give the file anew") from error
