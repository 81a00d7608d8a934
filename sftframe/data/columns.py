"""The columns of a data file: which of them are read, and what is said of the others."""

from __future__ import annotations

import dataclasses
import difflib
import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import tomli_w

from sftframe.data.parts import PartName, part_called
from sftframe.errors import ConfigError, DataError

Field = Literal["instruction", "input", "output", "response"]
FIELDS: tuple[Field, ...] = ("instruction", "input", "output")
OtherField = Literal["system", "history", "tools", "messages", "role", "content"]
"""What conversations have; `role` and `content` are keys of a message."""
OTHER_FIELDS: tuple[Literal["system", "history", "tools"], ...] = ("system", "history", "tools")
"""Columns that are read if they are there."""
MESSAGES: Literal["messages"] = "messages"
MEDIA = ("image", "images", "audio", "audios", "video", "videos")
"""Columns with something that is no text."""
ShapeName = Literal["instruction", "prompt-completion", "messages", "sharegpt"]
HISTORY_SPEAKERS = "speakers"
"""The column next to a history that says who asks, as answers are written; other columns of this name are not read."""
RESPONSE = "model_response"
"""Default name of the field with a model's answer, as in the chapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """The names of the fields in the file."""

    instruction: str
    input: str | None
    """None: the file has no such field, all inputs are empty."""
    output: str
    response: str | None = None
    """A model's answer to judge; None: the file is training data and need not have one."""
    group: str | None = None
    """The field with an entry's group; None: there are no groups. It may be one of the other fields too."""
    part: str | None = None
    """The field that names an entry's part of the split; None: the entries have none."""
    is_input_mapped: bool = False
    """The user named the input; then at least one entry must have it."""
    is_input_named: bool = False
    """The user named the input, or said that there is none."""
    mapped: Mapping[Field | OtherField, str | Literal[False]] = dataclasses.field(default_factory=dict)
    """What the user named."""
    unread: frozenset[str] = frozenset()
    """Columns that are not read, whatever their names: a run that was begun without them."""
    shape: ShapeName | None = None
    """None: not recognised yet, and not named by the user."""
    messages: str | None = None
    """The field with a list of messages; None: an entry has its texts in fields."""
    role: str = "role"
    """The key of a message with its speaker."""
    content: str = "content"
    """The key of a message with its text."""
    system: str | None = None
    history: str | None = None
    speakers: str | None = None
    """The field with who asks in each exchange of the history and in the last one."""
    tools: str | None = None
    media: tuple[str, ...] = ()
    """Columns of the file that may contain images, sounds or films."""
    others: FieldNames | None = None
    """The names in entries of another shape, which lack what this one needs; they may have `others` too."""

    @classmethod
    def of(
        cls,
        mapped: Mapping[Field | OtherField, str | Literal[False]],
        *,
        has_response: bool = False,
        group: str | Literal[False] | None = None,
        part: str | None = None,
        shape: ShapeName | None = None,
        unread: Collection[str] = (),
    ) -> FieldNames:
        """The names with a mapping; a field without a mapping keeps its own name, a response is `model_response`.

        >>> FieldNames.of({"instruction": "question", "output": "answer"}).input
        'input'

        If `input` is read as the instruction, there is no other input:

        >>> FieldNames.of({"instruction": "input"}).input is None
        True

        `False` means that no input is read, even if the file has one:

        >>> FieldNames.of({"input": False}).input is None
        True

        Raises:
            ConfigError: two fields have the same name in the file, or a field other than the input is left out.
        """
        left_out = next((f for f, name in mapped.items() if name is False and f not in ("input", *OTHER_FIELDS)), None)
        if left_out is not None:
            raise ConfigError(
                f"data.fields.{left_out}: only input, system, history and tools can be left out; expected a field of "
                "the file"
            )
        names: dict[Field, str | None] = {field: mapped.get(field, field) or None for field in FIELDS}
        names["response"] = mapped.get("response", RESPONSE) or None if has_response else None
        if "input" not in mapped and names["input"] in mapped.values():
            names["input"] = None
        read: dict[str, str | None] = dict(names.items())
        for key in (*OTHER_FIELDS, MESSAGES):
            read[key] = mapped.get(key) or None
        for one, other in combinations(read, 2):
            if read[one] == read[other] and read[one] is not None:
                raise ConfigError(
                    f"data.fields: {one} and {other} are both read from {read[one]!r}; "
                    f"set data.fields.{one} and data.fields.{other} to different fields of the file"
                )
        assert names["instruction"] is not None
        assert names["output"] is not None
        return cls(
            instruction=names["instruction"],
            input=names["input"],
            output=names["output"],
            response=names["response"],
            group=group or None,
            part=part,
            is_input_mapped=bool(mapped.get("input")),
            is_input_named="input" in mapped,
            mapped=dict(mapped),
            unread=frozenset(unread),
            shape=shape,
        )

    @property
    def wanted(self) -> dict[Field, str]:
        """Name in the file by field, without an input that the file does not have."""
        names: dict[Field, str | None] = {
            "instruction": self.instruction,
            "input": self.input,
            "output": self.output,
            "response": self.response,
        }
        if self.messages is not None:
            names = {"response": self.response}
        return {field: name for field, name in names.items() if name is not None}

    @property
    def required(self) -> dict[Field, str]:
        """The required fields: all, except an input that the user did not name."""
        return {field: name for field, name in self.wanted.items() if field != "input" or self.is_input_mapped}

    @property
    def needed(self) -> str:
        """The name without which an entry has another shape."""
        return self.messages or self.instruction

    @property
    def read(self) -> set[str]:
        """All names that are read."""
        others = (self.group, self.part, self.messages, self.system, self.history, self.speakers, self.tools)
        found = {*self.wanted.values(), *(name for name in others if name is not None)}
        return found if self.others is None else found | self.others.read

    def listed(self) -> str:
        """The required names as a message lists them."""
        if self.messages is not None:
            return f"a list of messages in {self.messages!r}"
        return " and ".join(repr(name) for name in self.required.values())


def setting_for(field: Field | OtherField, name: str) -> str:
    r"""The words of the command line that read a field from this name, quoted for the shell.

    >>> print(setting_for("input", "context"))
    --set data.fields.input=context
    >>> print(setting_for("output", " out put"))
    --set 'data.fields.output=" out put"'
    """
    return setting_of(f"data.fields.{field}", name)


def setting_of(key: str, name: str) -> str:
    """The words of the command line that set a key to the name of a field, quoted for the shell.

    >>> print(setting_of("data.part", "fold"))
    --set data.part=fold
    """
    is_plain = re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII) and name not in ("true", "false", "inf", "nan")
    value = name if is_plain else tomli_w.dumps({"x": name}).partition("= ")[2].strip()
    return f"--set {shlex.quote(f'{key}={value}')}"


def quoted(names: Collection[str]) -> str:
    """Names as a message lists them: quoted, so that spaces are visible; long names and long lists are cut."""
    # a CSV without a header shows whole sentences as names
    shown = [repr(name if len(name) <= 40 else f"{name[:37]}...") for name in sorted(names)[:_MOST_SHOWN]]
    return ", ".join(shown) + (f", … ({len(names)} in all)" if len(names) > _MOST_SHOWN else "")


_MOST_SHOWN = 40


SPELLED_ALIKE = 0.8
"""Smallest `difflib` ratio of a name and its misspelling, letters and digits only: `imput` and `input`."""
_OTHER_WORDS: Mapping[Field, tuple[str, ...]] = {
    "instruction": ("question", "prompt", "query", "problem"),
    "input": ("context",),
    "output": ("answer", "response", "completion", "target", "solution"),
    "response": ("response", "prediction", "generation"),
}
"""Names of the fields in other data sets."""
_MOST_COLUMNS_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedColumn:
    """A column (or key) of a file that is not read as a field."""

    name: str
    num_filled: int
    """Entries in which it is not empty."""
    has_text: bool
    """It contains words, a list or an object; not only numbers."""
    is_message_key: bool = False
    """It is a key of messages, which no setting reads."""
    has_parts: bool = False
    """Every entry has the name of a part of the split in it, and there are at least two."""

    def description(self, num_entries: int) -> str:
        """The name, and the number of entries that have it."""
        return f"{self.name!r} (in {self.num_filled:,} of {num_entries:,} entries)"


def unused_columns(entries: Iterable[object], names: FieldNames) -> tuple[UnusedColumn, ...]:
    """The columns that are not read as a field and are not empty, in the order in which they appear."""
    read = names.read
    filled: dict[str, int] = {}
    has_text: dict[str, bool] = {}
    parts: dict[str, set[PartName | None]] = {}
    num_entries = 0
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        num_entries += 1
        for name, value in entry.items():
            if name in read or not _is_filled(value):
                continue
            filled[name] = filled.get(name, 0) + 1
            has_text[name] = has_text.get(name, False) or _is_text(value)
            named = parts.setdefault(name, set())
            if None not in named:
                named.add(part_called(value) if isinstance(value, str) else None)
    return tuple(
        UnusedColumn(
            name=str(name),
            num_filled=number,
            has_text=has_text[name],
            has_parts=number == num_entries and None not in parts[name] and len(parts[name]) > 1,
        )
        for name, number in filled.items()
    )


def unused_columns_text(columns: Sequence[UnusedColumn], num_entries: int) -> str:
    """One line on the columns that are not used.

    >>> column = UnusedColumn(name="context", num_filled=2, has_text=True)
    >>> unused_columns_text([column], 3)
    "unused columns: 'context' (in 2 of 3 entries)"
    """
    shown = ", ".join(column.description(num_entries) for column in columns[:_MOST_COLUMNS_SHOWN])
    more = f", … ({len(columns)} in all)" if len(columns) > _MOST_COLUMNS_SHOWN else ""
    return f"unused columns: {shown}{more}"


def lost_inputs(entries: Sequence[object], columns: Sequence[UnusedColumn], names: FieldNames) -> str | None:
    """The message if inputs would be lost because their column has nearly the name that is read; None if none is lost.

    If the user names the input, or says that there is none, there is no message.
    """
    if names.is_input_named or names.input is None:
        return None
    objects = [entry for entry in entries if isinstance(entry, dict)]
    num_read = sum(_is_filled(entry.get(names.input)) for entry in objects)
    for column in columns:
        if not (is_alike(column.name, "input") or (not num_read and may_be_input(column.name))):
            continue
        lost = [entry for entry in objects if _is_lost(entry, column.name, names.input)]
        if lost:
            return _told(column.name, len(lost), len(objects), names.input, num_read=num_read)
    return None


def _is_lost(entry: Mapping[str, object], name: str, read: str) -> bool:
    value = entry.get(name)
    return isinstance(value, str) and _is_filled(value) and not _is_filled(entry.get(read))


def _told(name: str, num_lost: int, num_entries: int, read: str, *, num_read: int) -> str:
    if num_read:
        return (
            f"{num_lost:,} of {num_entries:,} entries have their input in {name!r}, {num_read:,} in {read!r}, and only "
            f"one of them can be read: use one name in the file, or leave {name!r} out on purpose with "
            f"{setting_for('input', read)}"
        )
    return (
        f"{num_lost:,} of {num_entries:,} entries have text in {name!r}, and no entry has an {read!r}: read it with "
        f"{setting_for('input', name)}, or say that there is no input: --set data.fields.input=false"
    )


def is_alike(name: str, field: str) -> bool:
    """Whether a name is a field's name, apart from capitals, spaces, signs, a plural or a spelling mistake.

    >>> [is_alike(name, "input") for name in (" Input", "inputs", "IMPUT", "output", "context", "input_ids")]
    [True, True, True, False, False, False]
    """
    ours, theirs = _letters(field), _letters(name)
    if not theirs or len(theirs) > 2 * len(ours):
        return False
    return theirs == ours or difflib.SequenceMatcher(None, theirs, ours).ratio() >= SPELLED_ALIKE


def may_be_input(name: str) -> bool:
    """Whether a column with this name may contain the inputs.

    >>> [may_be_input(name) for name in ("Input", "Context", "id")]
    [True, True, False]
    """
    return is_alike(name, "input") or _is_word_for(name, "input")


def may_be_question(name: str) -> bool:
    """Whether a column with this name may contain the questions.

    >>> [may_be_question(name) for name in ("Instruction", "questions", "text")]
    [True, True, False]
    """
    return is_alike(name, "instruction") or _is_word_for(name, "instruction")


def _is_word_for(name: str, field: Field) -> bool:
    letters = _letters(name)
    return any(letters in (word, f"{word}s") for word in _OTHER_WORDS[field])


def missing_fields(names: FieldNames, available: Collection[str], absent: Iterable[Field], hint: str = "") -> str:
    """The message about required fields that no entry has, with the settings that read similar names.

    Args:
        hint: more text if there is no similar name.
    """
    wanted = names.required
    lacking = {field: wanted[field] for field in absent}
    meant = _meant(lacking, names, available)
    message = f"no field {' and no field '.join(repr(name) for name in lacking.values())}"
    near = [meant[field] for field in lacking if field in meant]
    message += f"; did you mean {' and '.join(map(repr, near))}?" if near else "."
    message += f" Available: {quoted(available)}" if available else " The entries are empty"
    settings = [setting_for(field, name) for field, name in meant.items()]
    if near:
        message += f"; read {'it' if len(settings) == 1 else 'them'} with {' '.join(settings)}"
    unknown = [field for field in lacking if field not in meant]
    if unknown:
        message += "; name the " + " and the ".join(f"{f} with --set data.fields.{f}=NAME" for f in unknown)
    return message if near else message + hint


def missing_here(name: str, available: Collection[str]) -> str:
    """The message about a required field that this entry lacks and another one has."""
    near = [other for other in available if is_alike(other, name)] or difflib.get_close_matches(
        name, list(available)[:_MOST_COMPARED], n=1
    )
    hint = f"; did you mean {near[0]!r}? Use one name in all entries" if near else ""
    return f"no field {name!r}{hint}. {f'It has: {quoted(available)}' if available else 'It is empty'}"


def _meant(lacking: Mapping[Field, str], names: FieldNames, available: Collection[str]) -> dict[Field, str]:
    """Names in the file that are similar to missing fields, and to the input if it is missing too."""
    looked_for = dict(lacking)
    if names.input is not None and not names.is_input_named and names.input not in available:
        looked_for["input"] = names.input
    free = [name for name in available if name not in names.wanted.values()]
    meant: dict[Field, str] = {}
    for field in (*FIELDS, "response"):
        wanted = looked_for.get(field)
        if wanted is None:
            continue
        found = _nearest(wanted, field, [name for name in free if name not in meant.values()])
        if found is not None:
            meant[field] = found
    if "instruction" in lacking and "instruction" not in meant and not names.is_input_named:
        # the only text before the answer is the instruction: `input` and `output`, or `inputs` and `targets`
        only = meant.pop("input", names.input if names.input in available else None)
        if only is not None:
            return {"instruction": only, **meant}
    return meant


def _nearest(wanted: str, field: Field, names: Sequence[str]) -> str | None:
    alike = [name for name in names[:_MOST_COMPARED] if is_alike(name, wanted)]
    if alike:
        letters = _letters(wanted)
        return max(alike, key=lambda name: difflib.SequenceMatcher(None, _letters(name), letters).ratio())
    words = [name for name in names[:_MOST_COMPARED] if _is_word_for(name, field)]
    return words[0] if len(words) == 1 else None


_MOST_COMPARED = 1000
"""Most names that are searched for a field: 100,000 would take a minute."""


class NoSuchGroupError(DataError):
    """No entry has the field that `data.group` names."""


def missing_group(name: str, available: Collection[str]) -> NoSuchGroupError:
    """The error for a group's field that no entry has."""
    near = difflib.get_close_matches(name, list(available)[:_MOST_COMPARED], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return NoSuchGroupError(
        f"data.group: no field {name!r}{hint} Available: {quoted(available)}. Name the field whose equal values make a "
        "group, or leave data.group out"
    )


def missing_part(name: str, available: Collection[str]) -> str:
    """The message about a field with parts that no entry has."""
    return f"data.part: no field {name!r}. Available: {quoted(available)}"


def _letters(name: str) -> str:
    """A name without capitals, spaces and signs."""
    return "".join(c for c in unicodedata.normalize("NFKC", name[:_LONGEST_NAME]).casefold() if c.isalnum())


_LONGEST_NAME = 100
"""A longer one is a sentence, as a CSV without a header has them."""


def _is_filled(value: object) -> bool:
    if isinstance(value, str):
        return bool(value) and not value.isspace()
    return value is not None and value is not False and value not in ([], {})


def _is_text(value: object) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return True
        return False
    return isinstance(value, list | dict)
