"""From the entries of a file to checked examples; what cannot be used is an error, or dropped and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sftframe.data.cells import (
    RowError,
    accepted_outputs,
    group_of,
    is_absent,
    kind,
    list_in,
    optional_text,
    text_of,
    tools_of,
)
from sftframe.data.columns import FieldNames
from sftframe.data.conversations import (
    FROM_TEXT,
    Changes,
    Conversation,
    Rules,
    conversation_of,
    history_of,
    read_conversation,
    speakers_of,
)
from sftframe.data.formats import Entries, Unreadable
from sftframe.data.parts import PartName, part_called
from sftframe.data.refusals import media_word
from sftframe.data.shapes import check_required, recognised
from sftframe.errors import DataError, brief
from sftframe.records import Example, Speaker, Turn

Turns = Literal["last", "first", "each"]
"""Which exchanges of a conversation are read, each without the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedRow:
    """A row that was left out, because it cannot be used."""

    file: str
    entry: int
    """Counted from 0 in its file."""
    line: int | None
    """None: the format has no lines."""
    reason: str
    message: str
    """The fault with what only this row has."""

    @property
    def place(self) -> str:
        """Where the row is, in words."""
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.file}, entry {self.entry}{line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """How rows become examples."""

    is_dropping: bool = False
    """Leave out the rows that cannot be used."""
    turns: Turns | None = None
    """None: a conversation is one example with all its turns."""
    conversations: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRows:
    """The examples of a file, and what was done to its rows."""

    names: FieldNames
    """With the shape of the file."""
    examples: tuple[Example, ...]
    answers: tuple[str, ...] = ()
    """One per example, if the names have a response."""
    parts: tuple[PartName | None, ...] = ()
    """One per example, if entries or files name their part; None = not named."""
    dropped: tuple[DroppedRow, ...] = ()
    changes: Mapping[str, int] = field(default_factory=dict)
    """Rows that were changed, by what was done."""
    unread_keys: Mapping[str, int] = field(default_factory=dict)
    """Keys of messages that are not read, with the number of conversations that have them."""


def read_rows(entries: Entries, label: str, names: FieldNames, rules: RowRules | None = None) -> ReadRows:
    """The entries as examples, `index` being the position in the file (with `turns="each"`, among all exchanges).

    An input may be absent or null, which is an empty input; an output may be empty, or a list of outputs of which each
    is right; other fields are not read.

    Raises:
        DataError: no entry has a required field; or an entry cannot be used and is not to be dropped, with the first
            such entry, the reason, and how many are like it.
    """
    rules = rules or RowRules()
    columns = columns_of(entries.values)
    try:
        names = recognised(names, columns, entries.values)
        check_required(entries.values, names, columns)
    except DataError as error:
        raise type(error)(f"{label}: {error}") from None
    changes = Changes()
    examples: list[Example] = []
    answers: list[str] = []
    parts: list[PartName | None] = []
    has_parts = names.part is not None or any(file.part for file in entries.files)
    faults: list[tuple[int, RowError]] = []
    for index, entry in enumerate(entries.values):
        try:
            found = _examples(entry, index, names, rules, changes)
            part = _part(entry, index, entries, names) if has_parts else None
            if names.response is not None:
                answers.append(text_of(entry, names.response))  # type: ignore[arg-type]
        except RowError as error:
            faults.append((index, error))
            continue
        examples.extend(found)
        if has_parts:
            parts.extend([part] * len(found))
    if faults and (not rules.is_dropping or not examples):
        raise _first_fault(faults, entries, label, none_is_left=rules.is_dropping)
    if rules.turns == "each":
        examples = [replace(example, index=number) for number, example in enumerate(examples)]
    return ReadRows(
        names=names,
        examples=tuple(examples),
        answers=tuple(answers),
        parts=tuple(parts),
        dropped=tuple(_dropped(index, error, entries, label) for index, error in faults),
        changes=dict(changes.done),
        unread_keys=dict(changes.unread_keys),
    )


def _part(entry: object, index: int, entries: Entries, names: FieldNames) -> PartName | None:
    """The part that an entry names, or its file."""
    if names.part is None:
        file = entries.file_of(index)
        return None if file is None else file.part
    assert isinstance(entry, dict)
    part = part_called(text_of(entry, names.part))
    if part is None:
        found = brief(entry[names.part])
        raise RowError(
            f"field {names.part!r} (data.part) is {found}, expected train, test or validation",
            f"field {names.part!r} (data.part) is {found}",
        )
    return part


def _dropped(index: int, error: RowError, entries: Entries, label: str) -> DroppedRow:
    file = entries.file_of(index)
    return DroppedRow(
        file=label if file is None else file.label,
        entry=index if file is None else index - file.start,
        line=entries.line(index),
        reason=error.reason,
        message=str(error),
    )


def columns_of(entries: Sequence[object]) -> tuple[str, ...]:
    """All names in the entries, in the order in which they appear."""
    columns: dict[str, None] = {}
    for entry in entries:
        if isinstance(entry, dict) and not entry.keys() <= columns.keys():
            columns.update(dict.fromkeys(entry))
    return tuple(columns)


def _first_fault(
    faults: Sequence[tuple[int, RowError]], entries: Entries, label: str, *, none_is_left: bool
) -> DataError:
    """The error about the first row that cannot be used, with the number of others."""
    index, error = faults[0]
    num_alike = sum(other.reason == error.reason for _, other in faults)
    num_others, total = len(faults) - num_alike, len(entries.values)
    where = "" if error.is_placed else f"{entries.where(index)}: "
    words = f"{label}: {where}{error}; {num_alike:,} of {total:,} entries {'is' if num_alike == 1 else 'are'} like this"
    if num_others:
        words += f", {num_others:,} more {'has' if num_others == 1 else 'have'} other faults"
    if none_is_left:
        return DataError(f"{words}; no entry is left with data.invalid=drop")
    if error.remedy:
        words += f"; {error.remedy}"
    if len(faults) == total:
        return DataError(words)
    them = {1: "it", 2: "both"}.get(len(faults), f"all {len(faults):,}")
    return DataError(f"{words}; --set data.invalid=drop leaves {them} out")


def counted(words: Sequence[str]) -> Mapping[str, int]:
    """How often each one appears, the most frequent first.

    >>> counted(["b", "a", "b"])
    {'b': 2, 'a': 1}
    """
    return dict(Counter(words).most_common())


def _examples(entry: object, index: int, names: FieldNames, rules: RowRules, changes: Changes) -> Sequence[Example]:
    if not isinstance(entry, dict):
        if isinstance(entry, Unreadable):
            raise RowError(entry.message, entry.reason, is_placed=True)
        is_talk = isinstance(entry, list) and any(isinstance(one, dict) for one in entry)
        hint = ': put the list of messages under a name, {"messages": […]}' if is_talk else ""
        raise RowError(
            f"expected an object with {names.listed()}, found {kind(entry)}{hint}", f"{kind(entry)}, no object"
        )
    for name in names.media:
        _refuse_media(entry, name)
    names = _names_in(entry, names)
    if names.messages is not None:
        example = _last_exchange(read_conversation(entry, names, rules.conversations, changes), entry, index, names)
    elif names.shape == "prompt-completion" and _has_messages(entry.get(names.instruction), names):
        example = _last_exchange(_of_two_lists(entry, names, rules.conversations, changes), entry, index, names)
    else:
        example = _flat(entry, index, names, changes)
    return (example,) if rules.turns is None else tuple(_chosen(example, rules.turns, changes))


def _names_in(entry: Mapping[str, Any], names: FieldNames) -> FieldNames:
    """The names of the first shape that the entry has; those of the file if it has none."""
    one: FieldNames | None = names
    while one is not None and is_absent(entry.get(one.needed)):
        one = one.others
    return one or names


def _has_messages(prompt: object, names: FieldNames) -> bool:
    """Whether a prompt is a list of messages; a text only if it is such a list and nothing else."""
    if not isinstance(prompt, str):
        return isinstance(prompt, list)
    listed = list_in(prompt)
    return bool(listed) and all(isinstance(one, dict) and names.role in one for one in listed or ())


def _flat(entry: Mapping[str, Any], index: int, names: FieldNames, changes: Changes) -> Example:
    instruction = text_of(entry, names.instruction)
    if not instruction or instruction.isspace():
        raise RowError(
            f"field {names.instruction!r} is blank, expected an instruction: remove the entry or fill it in",
            f"field {names.instruction!r} is blank",
        )
    output, *references = accepted_outputs(entry, names.output)
    turns = history_of(entry, names.history, changes) if names.history is not None else ()
    speakers: Sequence[Speaker] = ["user"] * (len(turns) + 1)
    if names.speakers is not None:
        speakers = speakers_of(entry, names.speakers, len(turns) + 1)
    return Example(
        instruction=instruction,
        input=optional_text(entry, names.input),
        output=output,
        index=index,
        references=tuple(references),
        group=group_of(entry, names.group) if names.group is not None else "",
        system=optional_text(entry, names.system, _LEAVE_OUT_SYSTEM) if names.system is not None else "",
        turns=tuple(replace(turn, speaker=who) for turn, who in zip(turns, speakers, strict=False)),
        speaker=speakers[-1],
        tools=tools_of(entry, names.tools) if names.tools is not None else "",
    )


_LEAVE_OUT_SYSTEM = "--set data.fields.system=false leaves it out"


def _of_two_lists(entry: Mapping[str, Any], names: FieldNames, rules: Rules, changes: Changes) -> Conversation:
    """A conversation whose prompt and completion are lists of messages."""
    prompt, completion = list_in(entry.get(names.instruction)), list_in(entry.get(names.output))
    if completion is None:
        raise RowError(
            f"field {names.output!r} is {kind(entry.get(names.output))}, expected a list of messages as in "
            f"{names.instruction!r}"
        )
    if isinstance(entry[names.instruction], str):
        changes.done[FROM_TEXT] += 1
    return conversation_of([*(prompt or ()), *completion], names.instruction, entry, names, rules, changes)


def _last_exchange(conversation: Conversation, entry: Mapping[str, Any], index: int, names: FieldNames) -> Example:
    """A conversation as an example: its last exchange, and the others as turns."""
    *turns, last = conversation.exchanges
    return Example(
        instruction=last.instruction,
        output=last.output,
        index=index,
        group=group_of(entry, names.group) if names.group is not None else "",
        system=conversation.system,
        turns=tuple(turns),
        weight=last.weight,
        speaker=last.speaker,
        is_call=last.is_call,
        tools=conversation.tools,
    )


def _chosen(example: Example, turns: Turns, changes: Changes) -> Iterator[Example]:
    """One exchange of an example, or each of them, without the others."""
    if not example.turns:
        yield example
        return
    if turns == "last":
        changes.done["only the last exchange is read (data.turns)"] += 1
        _check_counts(example.weight, turns)
        yield replace(example, turns=())
    elif turns == "first":
        changes.done["only the first exchange is read (data.turns)"] += 1
        _check_counts(example.turns[0].weight, turns)
        yield _of_turn(example, example.turns[0])
    else:
        changes.done["each exchange is an example (data.turns), in one group with its others"] += 1
        whole = replace(example, turns=(), group=example.group or f"conversation {example.index}")
        each = [*(_of_turn(whole, turn) for turn in example.turns), whole]
        asked = [one for one in each if one.speaker == "user"]
        if len(asked) < len(each):
            changes.done["exchanges that answer a tool left out: without the call they say nothing"] += 1
        counted_ones = [one for one in asked if one.weight]
        if len(counted_ones) < len(asked):
            changes.done["exchanges whose answer has the weight 0 left out"] += 1
        if not counted_ones:
            raise RowError("no exchange counts without the others (data.turns=each)")
        yield from counted_ones


def _check_counts(weight: float, turns: Turns) -> None:
    if not weight:
        raise RowError(f"the answer of the {turns} exchange does not count: its weight is 0")


def _of_turn(example: Example, turn: Turn) -> Example:
    return replace(
        example,
        instruction=turn.instruction,
        input=turn.input,
        output=turn.output,
        turns=(),
        references=(),
        weight=turn.weight,
        speaker=turn.speaker,
        is_call=turn.is_call,
    )


def _refuse_media(entry: Mapping[str, Any], name: str) -> None:
    """Refuse a row with images, sounds or films.

    A text in such a column is a column that is not read, unless the row says where the image belongs: `<image>`.
    """
    value = entry.get(name)
    if isinstance(value, str):
        is_there = bool(list_in(value)) or f"<{name.removesuffix('s')}>" in str(entry)
    else:
        is_there = bool(value) and not isinstance(value, int | float)
    if not is_there:
        return
    what = media_word(name)
    raise RowError(
        f"the entry has {what} (field {name!r}), and only text can be read: a model for {what} is needed",
        f"{what} in field {name!r}",
    )
