"""Conversations: from a list of messages to exchanges of a question and an answer each."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sftframe.data.cells import RowError, check_encodable, is_absent, kind, list_in, text_of, tools_of, why_no_list
from sftframe.data.columns import FieldNames, quoted
from sftframe.errors import brief
from sftframe.records import Speaker, Turn

Part = Literal["system", "user", "assistant", "call", "tool"]
"""Who speaks: `call` is the assistant that calls a tool, `tool` the tool that gives its result."""
ROLES: Mapping[str, Part] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "call",
    "tool_call": "call",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "ipython": "tool",
}
"""The usual names of speakers, in lower case."""
_WEIGHTS = ("weight", "loss_weight")
_CALLS = {"tool_calls", "function_call"}
"""Keys of messages that may have a call of a tool in the place of a text."""
_READ = {*_WEIGHTS, *_CALLS, "type", "tool_call_id"}
"""Keys of messages that lose nothing: a result stands after its call, so `tool_call_id` says nothing more."""
_WORDS: Mapping[Part, str] = {
    "system": "the system",
    "user": "the user",
    "assistant": "the assistant",
    "call": "the assistant",
    "tool": "a tool",
}
_MEND = "--set data.mend=true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What one row of a file says: at least one exchange."""

    system: str = ""
    exchanges: tuple[Turn, ...]
    tools: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How conversations are read."""

    roles: Mapping[str, Part] = field(default_factory=dict)
    """Further names of speakers."""
    is_mending: bool = False
    """Join or leave out messages that are in no order, instead of refusing the conversation."""


@dataclass(slots=True)
class Changes:
    """What was done to rows, by words, with the number of rows; also the unread keys of messages."""

    done: Counter[str] = field(default_factory=Counter)
    unread_keys: Counter[str] = field(default_factory=Counter)
    """By key the number of conversations in which it has a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    speaker: Part
    text: str
    place: str
    """Its name in messages to people: `messages[2]`."""
    weight: float | None = None
    is_call: bool = False

    @property
    def words(self) -> str:
        return f"{self.place} ({_WORDS[self.speaker]})"

    @property
    def is_answer(self) -> bool:
        return self.speaker in ("assistant", "call")


def read_conversation(entry: Mapping[str, Any], names: FieldNames, rules: Rules, changes: Changes) -> Conversation:
    """The conversation in an entry's list of messages.

    Raises:
        RowError: it is no list of messages, or the messages are in no order of questions and answers.
    """
    assert names.messages is not None
    if names.messages not in entry:
        text_of(entry, names.messages)  # says which names there are
    return conversation_of(entry[names.messages], names.messages, entry, names, rules, changes)


def conversation_of(
    found: object, label: str, entry: Mapping[str, Any], names: FieldNames, rules: Rules, changes: Changes
) -> Conversation:
    """The conversation in a list of messages.

    Args:
        found: the list, or its text.
        label: its name in the file.
        entry: the row with the list; it may have the system's text and the tools.

    Raises:
        RowError: as `read_conversation`.
    """
    listed = list_in(found)
    if listed is None:
        reason = f"field {label!r} is {kind(found)}, expected a list of messages"
        raise RowError(f"{reason}{why_no_list(found)}", reason)
    if not listed:
        raise RowError(f"field {label!r} is an empty list, expected messages")
    messages = [_message(one, f"{label}[{place}]", names, rules) for place, one in enumerate(listed)]
    _count(listed, messages, names, changes)
    done = [FROM_TEXT] if isinstance(found, str) else []
    if names.mapped.get("system") is False:
        kept = [one for one in messages if one.speaker != "system"]
        if len(kept) < len(messages):
            done.append("the system message left out (data.fields.system=false)")
        messages = kept
    system, rest = _split_system(messages, entry, names)
    rest = _joined(rest, rules, done)
    if rules.is_mending:
        rest = _trimmed(rest, done)
    exchanges = _exchanges(rest, label)
    if names.mapped.get("history") is False and len(exchanges) > 1:
        done.append("the exchanges before the last one left out (data.fields.history=false)")
        exchanges = exchanges[-1:]
        if not exchanges[0].weight:
            raise RowError("the answer of the last exchange does not count: its weight is 0")
    for words in dict.fromkeys(done):
        changes.done[words] += 1
    return Conversation(system=system, exchanges=exchanges, tools=tools_of(entry, names.tools))


FROM_TEXT = "lists read from the text of a cell"
"""What was done to a row of a table, in which lists are texts."""


def _message(found: object, place: str, names: FieldNames, rules: Rules) -> _Message:
    if not isinstance(found, dict):
        raise RowError(f"{place} is {kind(found)}, expected an object with {names.role!r} and {names.content!r}")
    role = found.get(names.role)
    if not isinstance(role, str):
        raise RowError(f"{place} has no speaker: {names.role!r} is {kind(role)}, expected a string", "no speaker")
    speaker = rules.roles.get(role) or ROLES.get(role.strip().lower())
    if speaker is None:
        raise RowError(
            f"{place} has the role {role[:40]!r}, expected one of {', '.join(ROLES)}",
            f"unknown role {role[:40]!r}",
            remedy=f"--set data.roles.{role}=user (or system, assistant, call, tool) says who it is"
            if role.replace("_", "").isalnum() and role.isascii()
            else "data.roles in a configuration file says who it is",
        )
    text, has_call = _content(found, place, names)
    calls = _calls(found, place)
    if calls:
        text = f"{text}\n{calls}" if text.strip() else calls
    return _Message(
        speaker=speaker,
        text=text,
        place=place,
        weight=_weight(found, place),
        is_call=speaker == "call" or has_call or bool(calls),
    )


def _content(found: Mapping[str, Any], place: str, names: FieldNames) -> tuple[str, bool]:
    """The text of a message, and whether a part of it is a call of a tool; null is empty."""
    value = found.get(names.content)
    label = f"{place}.{names.content}"
    if names.content not in found and not _CALLS & found.keys():
        raise RowError(
            f"{place} has no {names.content!r}; it has {quoted(found)}: name its text with --set "
            "data.fields.content=NAME, or use one name in all entries",
            f"no {names.content!r} in a message",
        )
    if value is None:
        return "", False
    if isinstance(value, str):
        check_encodable(value, label)
        return value, False
    if not isinstance(value, list):
        raise RowError(f"{label} is {kind(value)}, expected a string or a list of parts of text", "content is no text")
    texts, has_call = [], False
    for number, part in enumerate(value):
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, dict):
            raise RowError(f"{label}[{number}] is {kind(part)}, expected a part of text", "content is no text")
        sort = part.get("type", "text")
        if sort not in _TEXT_PARTS:
            raise RowError(
                f"{label}[{number}] is a part of type {str(sort)[:40]!r}, expected 'text': only text can be read, "
                "images and sounds would need another model",
                f"a part of type {str(sort)[:40]!r}",
            )
        has_call |= sort == "tool_call"
        text = next((part[key] for key in ("text", "value", "content") if isinstance(part.get(key), str)), None)
        if text is None:
            raise RowError(f"{label}[{number}] has no 'text'", "a part without text")
        texts.append(text)
    joined = "".join(texts)
    check_encodable(joined, label)
    return joined, has_call


_TEXT_PARTS = ("text", "input_text", "output_text", "tool_call")


def _calls(found: Mapping[str, Any], place: str) -> str:
    """The calls of tools of an OpenAI message as JSON, one or a list; empty if there are none."""
    listed = found.get("tool_calls") or []
    if isinstance(found.get("function_call"), dict):
        listed = [found["function_call"], *listed]
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise RowError(f"{place}.tool_calls is not a list of objects", "tool_calls is no list of objects")
    if not listed:
        return ""
    calls = [one["function"] if isinstance(one.get("function"), dict) else one for one in listed]
    made = [call | {"arguments": _parsed(call["arguments"])} if "arguments" in call else call for call in calls]
    text = json.dumps(made[0] if len(made) == 1 else made, ensure_ascii=False)
    check_encodable(text, f"{place}.tool_calls")
    return text


def _parsed(arguments: object) -> object:
    """Arguments as OpenAI writes them are JSON inside a string."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _weight(found: Mapping[str, Any], place: str) -> float | None:
    given = {key: found[key] for key in _WEIGHTS if found.get(key) is not None}
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise RowError(f"{place}.{key} is {value!r}, expected a number of 0 or more", f"{key} is no number from 0")
    if len(set(given.values())) > 1:
        raise RowError(f"{place} has two weights, {given}: keep one of them", "two weights")
    return next((float(value) for value in given.values()), None)


def _count(listed: Sequence[Mapping[str, Any]], messages: Sequence[_Message], names: FieldNames, made: Changes) -> None:
    read = {*_READ, names.role, names.content}
    for key in {key for one in listed for key, value in one.items() if key not in read and value not in _EMPTY}:
        made.unread_keys[f"{names.messages or 'messages'}[].{key}"] += 1
    if any(one.weight for one in messages if not one.is_answer):
        made.done["the weights of messages that are no answers are not used (the mask decides on them)"] += 1


_EMPTY: tuple[object, ...] = (None, "", [], {})


def _split_system(
    messages: Sequence[_Message], entry: Mapping[str, Any], names: FieldNames
) -> tuple[str, list[_Message]]:
    """The system's text, and the messages after it."""
    start = next((place for place, one in enumerate(messages) if one.speaker != "system"), len(messages))
    texts = [one.text for one in messages[:start] if one.text.strip()]
    given = entry.get(names.system) if names.system is not None else None
    if given is not None and not isinstance(given, str):
        raise RowError(
            f"field {names.system!r} is {kind(given)}, expected a string",
            remedy="--set data.fields.system=false leaves it out",
        )
    if given and given.strip():
        check_encodable(given, f"field {names.system!r}")
        if texts and texts != [given]:
            raise RowError(
                f"two system messages: one in field {names.system!r} and another one in {messages[0].place}",
                "two system messages",
            )
        texts = [given]
    late = next((one for one in messages[start:] if one.speaker == "system"), None)
    if late is not None:
        raise RowError(
            f"{late.place} is a system message in the middle, expected it before the first question",
            "a system message in the middle",
        )
    return "\n\n".join(texts), list(messages[start:])


def _joined(messages: Sequence[_Message], rules: Rules, done: list[str]) -> list[_Message]:
    """The messages with those of one speaker in a row made one; results of several tools belong together anyway."""
    made: list[_Message] = []
    for one in messages:
        last = made[-1] if made else None
        if last is None or last.is_answer != one.is_answer:
            made.append(one)
        elif last.speaker == one.speaker == "tool":
            done.append("results of several tools joined, one per line")
            made[-1] = replace(last, text=f"{last.text}\n{one.text}")
        elif rules.is_mending and "tool" not in (last.speaker, one.speaker) and last.weight == one.weight:
            done.append(f"messages of {_WORDS[one.speaker]} in a row joined, with an empty line between them")
            made[-1] = replace(last, text=f"{last.text}\n\n{one.text}", is_call=last.is_call or one.is_call)
        else:
            raise _in_a_row(last, one)
    return made


def _in_a_row(last: _Message, one: _Message) -> RowError:
    if "tool" in (last.speaker, one.speaker):
        return RowError(
            f"{one.words} follows {last.words}, expected an answer of the assistant between them",
            f"{_WORDS[one.speaker]} follows {_WORDS[last.speaker]}",
        )
    reason = f"two messages of {_WORDS[one.speaker]} in a row"
    if last.weight != one.weight:
        return RowError(f"{reason} with different weights: {last.place} and {one.place}", f"{reason}, weights differ")
    return RowError(f"{reason}: {last.place} and {one.place}", reason, remedy=f"{_MEND} joins them")


def _trimmed(messages: list[_Message], done: list[str]) -> list[_Message]:
    """The messages without an answer before the first question, a question after the last answer, and empty ones."""
    first = next((place for place, one in enumerate(messages) if one.speaker == "user"), len(messages))
    if first:
        done.append("what the assistant says before the first question left out")
        messages = messages[first:]
    if messages and not messages[-1].is_answer:
        done.append("what is said after the last answer left out")
        messages = messages[:-1]
    pairs = list(_pairs(messages))
    whole = [pair for pair in pairs if pair[0].text.strip() and pair[1].text.strip()]
    if len(whole) < len(pairs):
        done.append("an exchange with an empty question or answer left out")
    return [one for pair in whole for one in pair]


def _exchanges(messages: Sequence[_Message], label: str) -> tuple[Turn, ...]:
    """Exchanges of messages of which questions and answers take turns."""
    if not any(one.is_answer for one in messages):
        raise RowError(f"{label!r} has no question with an answer", "no question with an answer")
    first, last = messages[0], messages[-1]
    if first.is_answer:
        raise RowError(
            f"the conversation begins with the assistant ({first.place})",
            "the conversation begins with the assistant",
            remedy=f"{_MEND} leaves this message out",
        )
    if first.speaker == "tool":
        raise RowError(
            f"the conversation begins with a tool ({first.place}), expected a question before it",
            "the conversation begins with a tool",
            remedy=f"{_MEND} leaves out what is said before the first question",
        )
    if not last.is_answer:
        speaker = _WORDS[last.speaker]
        raise RowError(
            f"the conversation ends with {speaker} ({last.place}), so there is no answer to learn",
            f"the conversation ends with {speaker}",
            remedy=f"{_MEND} leaves this message out",
        )
    turns = []
    for asked, answer in _pairs(messages):
        for one, what in ((asked, "question"), (answer, "answer")):
            if not one.text.strip():
                raise RowError(
                    f"{one.place} is an empty {what}", f"an empty {what}", remedy=f"{_MEND} leaves this exchange out"
                )
        speaker_of: Speaker = "tool" if asked.speaker == "tool" else "user"
        turns.append(
            Turn(
                instruction=asked.text,
                output=answer.text,
                weight=1.0 if answer.weight is None else answer.weight,
                speaker=speaker_of,
                is_call=answer.is_call,
            )
        )
    if not any(turn.weight for turn in turns):
        raise RowError("no answer counts: all their weights are 0")
    return tuple(turns)


def _pairs(messages: Sequence[_Message]) -> Iterator[tuple[_Message, _Message]]:
    return zip(messages[::2], messages[1::2], strict=True)


def speakers_of(entry: Mapping[str, Any], name: str, number: int) -> Sequence[Speaker]:
    """Who asks in each exchange of an entry, the last one too.

    Args:
        number: of exchanges.

    Raises:
        RowError: it is no list of that many speakers.
    """
    found = entry.get(name)
    if is_absent(found):
        return ["user"] * number
    speakers: list[Speaker] = [one for one in found if one in ("user", "tool")] if isinstance(found, list) else []
    if found != speakers or len(speakers) != number:
        raise RowError(
            f"field {name!r} is {brief(found)}, expected a list with 'user' or 'tool' for each of {number} exchanges",
            f"field {name!r} has not one speaker for each exchange",
        )
    return speakers


def history_of(entry: Mapping[str, Any], name: str, changes: Changes) -> tuple[Turn, ...]:
    """The earlier exchanges of an entry: a list of pairs, question and answer, or the text of one.

    Raises:
        RowError: it is no such list, or a text is empty.

    >>> [turn.output for turn in history_of({"history": [["Hi.", "Hello!"]]}, "history", Changes())]
    ['Hello!']
    """
    found = entry.get(name)
    if is_absent(found):
        return ()
    listed = list_in(found)
    if listed is None:
        reason = f"field {name!r} is {kind(found)}, expected a list of pairs of texts, question and answer"
        raise RowError(f"{reason}{why_no_list(found)}", reason, remedy="--set data.fields.history=false leaves it out")
    if listed and isinstance(found, str):
        changes.done[FROM_TEXT] += 1
    turns = []
    for place, pair in enumerate(listed):
        label = f"{name}[{place}]"
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise RowError(
                f"{label} is not a pair of texts, expected [question, answer]", f"{name!r} has no pairs of texts"
            )
        if not all(text.strip() for text in pair):
            raise RowError(f"{label} has an empty text", f"an empty text in {name!r}")
        check_encodable("".join(pair), label)
        turns.append(Turn(instruction=pair[0], output=pair[1]))
    return tuple(turns)
