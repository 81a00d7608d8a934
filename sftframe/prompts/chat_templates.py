"""Prompt styles from the chat templates of Hugging Face tokenizers, and the files that they are read from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from sftframe.errors import ConfigError, brief, suggestion
from sftframe.prompts.conversation_marks import Wrap, attribute_conversation
from sftframe.prompts.files import ChatOptions, read_text
from sftframe.prompts.marks import Asked, attribute, closing_tag
from sftframe.prompts.rendering import Rendering
from sftframe.records import Example, Role, Segment

_CONFIG = "tokenizer_config.json"
_TEMPLATE = "chat_template.jinja"
_CLOCK = "strftime_now"
"""What a template calls to learn the date; the sandbox makes such a function of the day that has this name."""


def read_tokenizer_files(path: Path) -> str:
    """The document, as a run keeps it: `chat_template` (by name) and `tokens` (by name).

    Raises:
        ConfigError: there is no such file, it does not belong to a tokenizer, or it has no chat template.
    """
    config_path = path / _CONFIG if path.is_dir() else path
    if path.is_dir() and not config_path.is_file() and (path / _TEMPLATE).is_file():
        config_path = path / _TEMPLATE
    is_template = config_path.suffix != ".json"
    config = {} if is_template else _read_json(config_path)
    templates = read_text(config_path) if is_template else _templates_beside(config_path.parent, config)
    if not templates:
        raise ConfigError(
            f"{config_path} has no chat_template, and there is no chat_template.jinja next to it: the tokenizer of an "
            "instruction-tuned model has one"
        )
    map_path = config_path.parent / "special_tokens_map.json"
    tokens = _tokens(_read_json(map_path)) if map_path.is_file() else {}
    document = {"chat_template": _by_name(templates, config_path), "tokens": tokens | _tokens(config)}
    return json.dumps(document, ensure_ascii=False, indent=1)


def has_chat_template(folder: Path) -> bool:
    """Whether a tokenizer's folder has a chat template.

    Raises:
        ConfigError: a file cannot be read.
    """
    config = _read_json(folder / _CONFIG) if (folder / _CONFIG).is_file() else {}
    return bool(_templates_beside(folder, config))


def _templates_beside(folder: Path, config: Mapping[str, Any]) -> Any:
    jinja, separate = folder / _TEMPLATE, folder / "chat_template.json"
    if jinja.is_file():
        others = sorted((folder / "additional_chat_templates").glob("*.jinja"))
        named = [("default", jinja), *((path.stem, path) for path in others)]
        return [{"name": name, "template": read_text(path)} for name, path in named]
    if separate.is_file():
        return _read_json(separate).get("chat_template")
    return config.get("chat_template")


def _by_name(templates: Any, path: Path) -> dict[str, str]:
    """One template is called `default`; a list of them has names."""
    if isinstance(templates, str):
        return {"default": templates}
    try:
        named = {str(each["name"]): str(each["template"]) for each in templates}
    except (TypeError, KeyError) as error:
        raise ConfigError(
            f"{path}: chat_template is {brief(templates)}; expected a text, or a list of name and template"
        ) from error
    return named


def _tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """Special tokens as text: a text, or an object with its `content`."""
    found = {}
    for key, value in config.items():
        text = value.get("content") if isinstance(value, Mapping) else value
        if key.endswith("_token") and isinstance(text, str):
            found[key] = text
    return found


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path} contains {brief(document)}; expected an object with a chat_template")
    return document


class ChatLayout:
    """What a chat template says.

    Args:
        is_exact: the text is exactly the template's, see `attribute_conversation`.
    """

    def __init__(self, options: ChatOptions, *, is_exact: bool = False) -> None:
        templates, tokens = _document(options.content)
        if options.template not in templates:
            raise ConfigError(f"no chat template {options.template!r}{suggestion(options.template, templates)}")
        self.source = templates[options.template]
        self._is_exact = is_exact
        try:
            self._template = Rendering("hf", self.source)
        except ConfigError as error:
            raise ConfigError(f"chat template, {error}") from error
        self._names = {"tools": None, "documents": None, **tokens, **options.variables, **_clock(options.date)}
        self._options = options

    def segments(self, example: Example) -> Sequence[Segment]:
        """The example's pieces. Raises ConfigError where a character's role is not certain."""
        if example.system or example.tools or example.speaker != "user":
            return self.conversation(example)
        return attribute(example, self._render, has_prompt=True, is_exact=self._is_exact)

    @property
    def names(self) -> frozenset[str]:
        """Names that the template reads and does not set."""
        return self._template.names

    def conversation(self, example: Example) -> list[Segment]:
        """The pieces of a conversation, rendered once and as a whole: a template may write earlier turns differently.

        Raises:
            ConfigError: a character's role is not certain, or an earlier answer is not closed like the last one.
        """
        return attribute_conversation(
            example,
            lambda wrap, answer: _request(self._said(example, wrap), answer, example, wrap),
            self._rendered,
            has_prompt=True,
            eos=str(self._names.get("eos_token") or ""),
            is_exact=self._is_exact,
        )

    def _said(self, example: Example, wrap: Wrap) -> list[dict[str, str]]:
        """All messages before the last answer."""
        said = []
        if example.system or self._options.system:
            text = wrap(Role.SYSTEM, example.system) if example.system else self._options.system
            said.append({"role": "system", "content": text})
        for exchange in example.exchanges:
            is_tool = exchange.speaker == "tool"
            content = wrap(Role.TOOL if is_tool else Role.INSTRUCTION, exchange.instruction)
            if exchange.input:
                content += self._options.input_separator + wrap(Role.INPUT, exchange.input)
            said.append({"role": "tool" if is_tool else "user", "content": content})
            said.append({"role": "assistant", "content": wrap(Role.RESPONSE, exchange.output)})
        return said[:-1]

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The tag that closes the assistant's turn."""
        return closing_tag(self.segments(Example(index=0, instruction="Name a colour.", output="Red.")))

    def _question(self, instruction: str, input: str) -> list[dict[str, str]]:
        content = instruction + (self._options.input_separator + input if input else "")
        system = [{"role": "system", "content": self._options.system}] if self._options.system else []
        return [*system, {"role": "user", "content": content}]

    def _render(self, asked: Sequence[Asked]) -> list[str]:
        return self._rendered(
            [{"messages": self._messages(one), "add_generation_prompt": one.is_prompt} for one in asked]
        )

    def _rendered(self, names: Sequence[Mapping[str, Any]]) -> list[str]:
        try:
            return self._template.texts(self._names, names)
        except ConfigError as error:
            if f"'{_CLOCK}' is undefined" in str(error):
                raise ConfigError(
                    "the chat template asks for today's date, which would change the prompt every day: give it one "
                    "with --set prompt.date=YYYY-MM-DD"
                ) from error
            raise ConfigError(f"the chat template cannot be rendered: {error}") from error

    def _messages(self, asked: Asked) -> list[dict[str, str]]:
        question = self._question(asked.instruction, asked.input)
        return question if asked.is_prompt else [*question, {"role": "assistant", "content": asked.answer}]


def _clock(day: str) -> dict[str, str]:
    """The day that the sandbox makes a function of; without one a template finds no such function.

    Raises:
        ConfigError: it is no day.
    """
    if not day:
        return {}
    try:
        return {_CLOCK: date.fromisoformat(day).isoformat()}
    except ValueError as error:
        raise ConfigError(f"prompt.date: {day!r} is not a day; expected YYYY-MM-DD") from error


def _request(said: Sequence[Mapping[str, str]], answer: str | None, example: Example, wrap: Wrap) -> dict[str, Any]:
    """What a template is rendered with; without an answer, the question as at inference."""
    last = [] if answer is None else [{"role": "assistant", "content": answer}]
    tools = {"tools": _wrapped(_parsed_tools(example), wrap)} if example.tools else {}
    return {"messages": [*said, *last], "add_generation_prompt": answer is None, **tools}


_PLAIN = re.compile(r"[\w\s.,:;!?'\"()/$-]*")
"""Text without the signs that a control token's name has; templates compare such texts, for instance the type."""


def _wrapped(value: Any, wrap: Wrap) -> Any:
    """Tools with marks around every text that may have the name of a control token: it is data, not the template's."""
    if isinstance(value, dict):
        return {_wrapped(key, wrap): _wrapped(each, wrap) for key, each in value.items()}
    if isinstance(value, list):
        return [_wrapped(each, wrap) for each in value]
    return wrap(Role.TEMPLATE, value) if isinstance(value, str) and not _PLAIN.fullmatch(value) else value


def _parsed_tools(example: Example) -> Any:
    try:
        return json.loads(example.tools)
    except ValueError as error:
        raise ConfigError(f"the tools of example {example.index} are not valid JSON: {error}") from error


def _document(content: str) -> tuple[dict[str, str], dict[str, Any]]:
    try:
        document = json.loads(content)
        return dict(document["chat_template"]), dict(document["tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError("prompt.content is not what sftframe keeps of a tokenizer; name the file again") from error
