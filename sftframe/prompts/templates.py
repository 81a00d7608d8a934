"""Prompt styles from Jinja templates and from the chat templates of Hugging Face tokenizers.

A template gives one text. Which part of it is instruction, input, response or template is found by rendering it with
marked values.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftframe.errors import ConfigError, brief, suggestion
from sftframe.prompts.files import ChatOptions, read_text
from sftframe.prompts.rendering import Rendering
from sftframe.records import Example, Role, Segment


@dataclass(frozen=True, slots=True)
class Asked:
    """What a template is rendered with."""

    instruction: str
    input: str
    answer: str
    is_prompt: bool = False
    """True: the question alone, as at inference; else the whole conversation."""


Render = Callable[[Sequence[Asked]], list[str]]
"""One text for each; all in one call, since every call is a message to another process."""

NONCHARACTERS = tuple(map(chr, range(0xFDD0, 0xFDF0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A rendering with marks in it, and what it shows."""

    text: str
    marks: Marks

    @property
    def unmarked(self) -> str:
        """The text without the marks around instruction and input; the answer's mark stays."""
        return re.sub(f"[{self.marks.instruction}{self.marks.input}{self.marks.close}]", "", self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Four characters that the example does not contain."""

    instruction: str
    input: str
    close: str
    answer: str

    @classmethod
    def foreign_to(cls, example: Example) -> Marks:
        """Marks for an example.

        Raises:
            ConfigError: it contains nearly all noncharacters.
        """
        texts = example.instruction + example.input + example.output
        free = [each for each in NONCHARACTERS if each not in texts][:4]
        if len(free) < 4:
            raise ConfigError(f"example {example.index} contains 29 or more Unicode noncharacters: they are not text")
        return cls(instruction=free[0], input=free[1], close=free[2], answer=free[3])

    def variants(self, example: Example) -> Iterator[tuple[str, str]]:
        """Instruction and input with marks around the whole text, then around the text without outer white space."""
        instructions = self._around(self.instruction, example.instruction)
        return itertools.product(instructions, self._around(self.input, example.input))

    def _around(self, mark: str, text: str) -> list[str]:
        if not text:
            return [text]
        core = text.strip()
        start, _, end = text.partition(core) if core else (text, "", "")
        trimmed = f"{start}{mark}{core}{self.close}{end}" if core else text
        return list(dict.fromkeys((f"{mark}{text}{self.close}", trimmed)))


def attribute(example: Example, render: Render, *, has_prompt: bool = False) -> list[Segment]:
    """The segments of a template's text.

    Args:
        has_prompt: the template renders the prompt itself; else the prompt is what comes before the answer.

    Raises:
        ConfigError: a character's role is not certain.
    """
    marks = Marks.foreign_to(example)
    # a template may treat an empty answer as none: the mark replaces it
    shown = example.output if example.output.strip() else marks.answer
    variants = list(marks.variants(example))
    whole = [Asked(*given, marks.answer) for given in variants]
    prompts = [Asked(*given, marks.answer, is_prompt=True) for given in variants] if has_prompt else []
    plain, *texts = render([Asked(example.instruction, example.input, shown), *whole, *prompts])
    for number, text in enumerate(texts[: len(whole)]):
        marked = Marked(text=text, marks=marks)
        _check_answer(marked)
        for answer in dict.fromkeys((shown, shown.strip())):
            if marked.unmarked.replace(marks.answer, answer) == plain:
                asked = texts[len(whole) + number] if has_prompt else None
                return _segments(marked, example, asked)
    raise ConfigError(
        "the template changes its texts, so the roles of the characters are not certain: write all texts unchanged "
        f"(found with instruction {brief(example.instruction)}, input {brief(example.input)} and response "
        f"{brief(example.output)})"
    )


def _check_answer(marked: Marked) -> None:
    count = marked.text.count(marked.marks.answer)
    if count != 1:
        raise ConfigError(f"the template writes the response {count} times; expected once, after the whole prompt")


def _segments(marked: Marked, example: Example, asked: str | None) -> list[Segment]:
    marks = marked.marks
    before, _, after = marked.text.partition(marks.answer)
    if after.strip(marks.close) != after or marks.instruction in after or marks.input in after:
        raise ConfigError("the template writes instruction or input after the response; expected a closing tag at most")
    lead = "" if asked is None else _lead(before, asked)
    pieces = list(_pieces(before[: len(before) - len(lead)], marks))
    _check_fields(pieces, example)
    return [*pieces, Segment(Role.RESPONSE, lead + example.output), *([Segment(Role.END, after)] if after else [])]


def _lead(before: str, asked: str) -> str:
    """What the template writes between the prompt and the answer; only white space is allowed."""
    lead = before.removeprefix(asked)
    if not before.startswith(asked):
        raise ConfigError(
            f"the prompt (add_generation_prompt) ends in {brief(asked[-60:])}, but the whole conversation has "
            f"{brief(before[-60:])} before the answer: the model would be trained on one prompt and asked with another"
        )
    if lead.strip():
        raise ConfigError(
            f"between the prompt (add_generation_prompt) and the answer the template writes {brief(lead)}, which would "
            "be trained but does not belong to the answer"
        )
    return lead


def _pieces(text: str, marks: Marks) -> Iterator[Segment]:
    role, opened = Role.TEMPLATE, {marks.instruction: Role.INSTRUCTION, marks.input: Role.INPUT}
    for part in re.split(f"([{marks.instruction}{marks.input}{marks.close}])", text):
        if part in opened and role is Role.TEMPLATE:
            role = opened[part]
        elif part == marks.close and role is not Role.TEMPLATE:
            role = Role.TEMPLATE
        elif part in opened or part == marks.close:
            raise ConfigError("the template cuts instruction or input into pieces; write them whole")
        elif part:
            yield Segment(role, part)


def _check_fields(pieces: Sequence[Segment], example: Example) -> None:
    """Check that instruction and input are there, unchanged except for white space around them."""
    for role, text in ((Role.INSTRUCTION, example.instruction), (Role.INPUT, example.input)):
        found = [piece.text for piece in pieces if piece.role is role]
        if text.strip() and not found:
            raise ConfigError(f"the template leaves out the {role.label} {brief(text)}; write {{{{ {role.label} }}}}")
        changed = next((each for each in found if each not in (text, text.strip())), None)
        if changed is not None:
            raise ConfigError(f"the template changes the {role.label} {brief(text)} to {brief(changed)}")


FIELDS = ("instruction", "input", "response")


class JinjaLayout:
    """What a Jinja file says."""

    def __init__(self, source: str, variables: Mapping[str, Any]) -> None:
        taken = next((name for name in variables if name in FIELDS), None)
        if taken is not None:
            raise ConfigError(f"prompt.variables.{taken}: {taken} comes from the example; give it another name")
        self._template = Rendering("jinja", source)
        _check_names(self._template.names, variables)
        self._variables = dict(variables)

    def segments(self, example: Example) -> Sequence[Segment]:
        """The example's pieces. Raises ConfigError where a character's role is not certain."""
        return attribute(example, self._render)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The closing tag."""
        return closing_tag(self.segments(Example(index=0, instruction="Name a colour.", output="Red.")))

    def _render(self, asked: Sequence[Asked]) -> list[str]:
        names = [{"instruction": one.instruction, "input": one.input, "response": one.answer} for one in asked]
        try:
            return self._template.texts(self._variables, names)
        except ConfigError as error:
            raise ConfigError(f"the template cannot be rendered: {error}") from error


def closing_tag(pieces: Sequence[Segment]) -> tuple[str, ...]:
    """The text after the answer, as a stop string; nothing if it is white space."""
    tag = "".join(piece.text for piece in pieces if piece.role is Role.END).strip()
    return (tag,) if tag else ()


def _check_names(used: Set[str], variables: Mapping[str, Any]) -> None:
    known = (*FIELDS, *variables)
    unknown = next((name for name in sorted(used) if name not in known), None)
    if unknown is not None:
        own = f"; a name of your own gets its value with --set prompt.variables.{unknown}=VALUE"
        raise ConfigError(f"{{{{ {unknown} }}}} is not known{suggestion(unknown, known)}{own}")
    missing = next((field for field in FIELDS if field not in used), None)
    if missing is not None:
        raise ConfigError(f"the template never writes {{{{ {missing} }}}}, so an example's {missing} would be lost")


_CONFIG = "tokenizer_config.json"


def read_tokenizer_files(path: Path) -> str:
    """The document, as a run keeps it: `chat_template` (by name) and `tokens` (by name).

    Raises:
        ConfigError: there is no such file, it does not belong to a tokenizer, or it has no chat template.
    """
    config_path = path / _CONFIG if path.is_dir() else path
    is_template = config_path.suffix != ".json"
    config = {} if is_template else _read_json(config_path)
    templates = read_text(config_path) if is_template else _template_beside(config_path.parent, config)
    if not templates:
        raise ConfigError(
            f"{config_path} has no chat_template, and there is no chat_template.jinja next to it: the tokenizer of an "
            "instruction-tuned model has one"
        )
    document = {"chat_template": _by_name(templates, config_path), "tokens": _tokens(config)}
    return json.dumps(document, ensure_ascii=False, indent=1)


def _template_beside(folder: Path, config: Mapping[str, Any]) -> Any:
    jinja, separate = folder / "chat_template.jinja", folder / "chat_template.json"
    if jinja.is_file():
        return read_text(jinja)
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
        if example.system or example.tools or example.speaker != "user":
            return self.conversation(example)
        return attribute(example, self._render, has_prompt=True)

    def conversation(self, example: Example) -> list[Segment]:
        """The pieces of a conversation, rendered once and as a whole: a template may write earlier turns differently.

        Raises:
            ConfigError: a character's role is not certain, or an earlier answer is not closed like the last one.
        """
        marks = ConversationMarks.foreign_to(example)
        shown = example.output if example.output.strip() else marks.answer
        variants = list(marks.variants(example))
        requests = [_request(self._said(example, lambda _, text: text), shown, example)]
        for wrap in variants:
            said = self._said(example, wrap)
            requests += [_request(said, marks.answer, example), _request(said, None, example)]
        plain, *texts = self._rendered(requests)
        for whole, asked in zip(texts[::2], texts[1::2], strict=True):
            if whole.count(marks.answer) != 1:
                continue
            for answer in dict.fromkeys((shown, shown.strip())):
                if marks.without(whole).replace(marks.answer, answer) == plain:
                    return self._attributed(marks, example, whole, asked)
        raise ConfigError(
            f"the chat template changes a text of the conversation in example {example.index}, or leaves one out, so "
            f"the roles of the characters are not certain; {_SINGLE}"
        )

    def _attributed(self, marks: ConversationMarks, example: Example, whole: str, asked: str) -> list[Segment]:
        before, _, after = whole.partition(marks.answer)
        lead = _lead(marks.without(before), marks.without(asked))
        pieces = list(marks.pieces(before[: len(before) - len(lead)], example))
        marks.check(pieces, example)
        eos = str(self._names.get("eos_token") or "")
        tags = [tag for tag in dict.fromkeys((after, after.removesuffix(eos), after.strip())) if tag]
        closed = list(_closed(pieces, tags, example))
        end = [Segment(Role.END, after)] if after else []
        return [*closed, Segment(Role.RESPONSE, lead + example.output), *end]

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
            raise ConfigError(f"the chat template cannot be rendered: {error}") from error

    def _messages(self, asked: Asked) -> list[dict[str, str]]:
        question = self._question(asked.instruction, asked.input)
        return question if asked.is_prompt else [*question, {"role": "assistant", "content": asked.answer}]


_SINGLE = "--set data.turns=last (or first, each) uses single exchanges"

Wrap = Callable[[Role, str], str]
"""A text of a role with marks around it."""

_MARKED = (Role.SYSTEM, Role.INSTRUCTION, Role.INPUT, Role.TOOL, Role.RESPONSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationMarks:
    """Characters that the conversation does not contain: one opens the texts of each role, one closes them."""

    opening: Mapping[Role, str]
    close: str
    answer: str

    @classmethod
    def foreign_to(cls, example: Example) -> ConversationMarks:
        """Marks for an example.

        Raises:
            ConfigError: it contains nearly all noncharacters.
        """
        texts = "".join([example.tools, *(text for _, text in _texts(example)), example.output])
        free = [each for each in NONCHARACTERS if each not in texts]
        if len(free) < len(_MARKED) + 2:
            raise ConfigError(f"example {example.index} contains 26 or more Unicode noncharacters: they are not text")
        close, answer, *opening = free
        return cls(opening=dict(zip(_MARKED, opening, strict=False)), close=close, answer=answer)

    def variants(self, example: Example) -> Iterator[Wrap]:
        """Marks around the whole texts of each role, and around the texts without outer white space."""
        loose = sorted({role for role, text in _texts(example) if text != text.strip()})
        for number in range(2 ** len(loose)):
            trimmed = {role for place, role in enumerate(loose) if number >> place & 1}
            yield lambda role, text, trimmed=trimmed: self._around(role, text, is_trimmed=role in trimmed)  # type: ignore[misc]

    def _around(self, role: Role, text: str, *, is_trimmed: bool) -> str:
        core = text.strip() if is_trimmed else text
        if not core:
            return text
        start, _, end = text.partition(core)
        return f"{start}{self.opening[role]}{core}{self.close}{end}"

    def without(self, text: str) -> str:
        """The text without the marks around it; the answer's mark stays."""
        return re.sub(f"[{''.join(self.opening.values())}{self.close}]", "", text)

    def pieces(self, text: str, example: Example) -> Iterator[Segment]:
        """The text in pieces, each with its role."""
        roles = {mark: role for role, mark in self.opening.items()}
        role = Role.TEMPLATE
        for part in re.split(f"([{''.join(roles)}{self.close}])", text):
            if part in roles and role is Role.TEMPLATE:
                role = roles[part]
            elif part == self.close and role is not Role.TEMPLATE:
                role = Role.TEMPLATE
            elif part in roles or part == self.close:
                raise ConfigError(
                    f"the chat template cuts a text of the conversation in example {example.index} into pieces, as one "
                    f"that rewrites earlier turns; {_SINGLE}"
                )
            elif part:
                yield Segment(role, part)

    def check(self, pieces: Sequence[Segment], example: Example) -> None:
        """Check that every text is there once, in order, unchanged except for white space around it."""
        found = [(piece.role, piece.text.strip()) for piece in pieces if piece.role is not Role.TEMPLATE]
        wanted = [(role, text.strip()) for role, text in _texts(example) if text.strip()]
        for place, (role, text) in enumerate(wanted):
            if found[place : place + 1] != [(role, text)]:
                raise ConfigError(
                    f"the chat template leaves out or moves the {role.label} {brief(text)} of example {example.index}"
                )
        if len(found) > len(wanted):
            raise ConfigError(f"the chat template writes a text of example {example.index} twice")


def _texts(example: Example) -> Iterator[tuple[Role, str]]:
    """Every text before the last answer, in order, with its role."""
    yield Role.SYSTEM, example.system
    for number, exchange in enumerate(example.exchanges):
        yield (Role.TOOL if exchange.speaker == "tool" else Role.INSTRUCTION), exchange.instruction
        yield Role.INPUT, exchange.input
        if number < len(example.turns):
            yield Role.RESPONSE, exchange.output


def _closed(pieces: Sequence[Segment], tags: Sequence[str], example: Example) -> Iterator[Segment]:
    """The pieces with the closing tag of each earlier answer as `END`."""
    is_answered = False
    for piece in pieces:
        tag = next((tag for tag in tags if piece.text.startswith(tag)), None)
        if is_answered and tags:
            if tag is None or piece.role is not Role.TEMPLATE:
                raise ConfigError(
                    f"the chat template closes the last answer with {brief(tags[0])}, and an earlier one of example "
                    f"{example.index} with {brief(piece.text[:40])}: the model would not learn where it ends"
                )
            yield Segment(Role.END, tag)
            piece = Segment(Role.TEMPLATE, piece.text.removeprefix(tag))
        is_answered = piece.role is Role.RESPONSE
        if piece.text:
            yield piece


def _request(said: Sequence[Mapping[str, str]], answer: str | None, example: Example) -> dict[str, Any]:
    """What a template is rendered with; without an answer, the question as at inference."""
    last = [] if answer is None else [{"role": "assistant", "content": answer}]
    tools = {"tools": _parsed_tools(example)} if example.tools else {}
    return {"messages": [*said, *last], "add_generation_prompt": answer is None, **tools}


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
