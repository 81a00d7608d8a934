"""What a file has beside the fields that are read: names that are nearly those of a field, and unused columns.

An input that is not read is lost without a trace, since an input may be absent. So a name that is nearly `input` is an
error, and every other column that is not used is told.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sftframe.errors import DataError
from sftframe.stages.data.fields import FIELDS, Field, FieldNames, quoted, setting_for

SPELLED_ALIKE = 0.8
"""Least `difflib` ratio of two names, letters and digits only, that are one name misspelt: `imput` and `input`."""
_OTHER_WORDS: Mapping[Field, tuple[str, ...]] = {
    "instruction": ("question", "prompt", "query"),
    "input": ("context",),
    "output": ("answer", "response", "completion", "target"),
    "response": ("response", "prediction", "generation"),
}
"""What other data sets call the fields."""
_TURNS = (("role", "content"), ("from", "value"))
"""Keys of a turn in the usual forms of chat data."""
_MOST_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedColumn:
    """A column (or key) of a file that no field is read from."""

    name: str
    num_filled: int
    """Entries in which it holds something."""
    has_text: bool
    """It holds words, or a list or an object; not only numbers."""

    def told(self, num_entries: int) -> str:
        """The name, and in how many entries it stands."""
        return f"{self.name!r} (in {self.num_filled:,} of {num_entries:,} entries)"


def unused_columns(entries: Iterable[object], names: FieldNames) -> tuple[UnusedColumn, ...]:
    """The columns that no field is read from and that hold something, in the order in which they appear."""
    read = set(names.wanted.values())
    filled: dict[str, int] = {}
    has_text: dict[str, bool] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        for name, value in entry.items():
            if name in read or not _is_filled(value):
                continue
            filled[name] = filled.get(name, 0) + 1
            has_text[name] = has_text.get(name, False) or _is_text(value)
    return tuple(UnusedColumn(name=str(n), num_filled=k, has_text=has_text[n]) for n, k in filled.items())


def unused_columns_told(columns: Sequence[UnusedColumn], num_entries: int) -> str:
    """One line on the columns that are not used.

    >>> column = UnusedColumn(name="context", num_filled=2, has_text=True)
    >>> unused_columns_told([column], 3)
    "unused columns: 'context' (in 2 of 3 entries)"
    """
    shown = ", ".join(column.told(num_entries) for column in columns[:_MOST_SHOWN])
    more = f", … ({len(columns)} in all)" if len(columns) > _MOST_SHOWN else ""
    return f"unused columns: {shown}{more}"


def lost_inputs(entries: Sequence[object], columns: Sequence[UnusedColumn], names: FieldNames) -> str | None:
    """What to say where inputs would be lost because their column has nearly the name that is read; None where none is.

    A user who names the input, or says that there is none, has decided: then nothing is said.
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
            f"one of them can be read: give it one name in the file, or leave {name!r} out on purpose with "
            f"{setting_for('input', read)}"
        )
    return (
        f"{num_lost:,} of {num_entries:,} entries have text in {name!r}, and no entry has an {read!r}: read it with "
        f"{setting_for('input', name)}, or say that there is no input with --set data.fields.input=false"
    )


def is_alike(name: str, field: str) -> bool:
    """Whether a name is a field's, but for capitals, spaces, signs, a plural or a slip.

    >>> [is_alike(name, "input") for name in (" Input", "inputs", "IMPUT", "output", "context", "input_ids")]
    [True, True, True, False, False, False]
    """
    ours, theirs = _letters(field), _letters(name)
    if not theirs or len(theirs) > 2 * len(ours):
        return False
    return theirs == ours or difflib.SequenceMatcher(None, theirs, ours).ratio() >= SPELLED_ALIKE


def may_be_input(name: str) -> bool:
    """Whether a column of this name may hold the inputs.

    >>> [may_be_input(name) for name in ("Input", "Context", "id")]
    [True, True, False]
    """
    return is_alike(name, "input") or _is_word_for(name, "input")


def _is_word_for(name: str, field: Field) -> bool:
    letters = _letters(name)
    return any(letters in (word, f"{word}s") for word in _OTHER_WORDS[field])


def missing_fields(names: FieldNames, available: Collection[str], absent: Iterable[Field], hint: str = "") -> str:
    """What to say of required fields that no entry has, with the settings that read what seems to be meant.

    Args:
        hint: what else to say where nothing seems to be meant.
    """
    wanted = names.required
    lacking = {field: wanted[field] for field in absent}
    meant = _meant(lacking, names, available)
    told = f"no field {' and no field '.join(repr(name) for name in lacking.values())}"
    near = [meant[field] for field in lacking if field in meant]
    told += f"; did you mean {' and '.join(map(repr, near))}?" if near else "."
    told += f" Available: {quoted(available)}" if available else " The entries are empty"
    settings = [setting_for(field, name) for field, name in meant.items()]
    if near:
        told += f"; read {'it' if len(settings) == 1 else 'them'} with {' '.join(settings)}"
    unknown = [field for field in lacking if field not in meant]
    if unknown:
        told += "; name the " + " and the ".join(f"{f} with --set data.fields.{f}=NAME" for f in unknown)
    return told if near else told + hint


def missing_here(name: str, available: Collection[str]) -> str:
    """What to say of a required field that this entry lacks and another has."""
    near = [other for other in available if is_alike(other, name)] or difflib.get_close_matches(
        name, list(available)[:_MOST_COMPARED], n=1
    )
    hint = f"; did you mean {near[0]!r}? Give it one name in all entries" if near else ""
    return f"no field {name!r}{hint}. {f'It has: {quoted(available)}' if available else 'It is empty'}"


def _meant(lacking: Mapping[Field, str], names: FieldNames, available: Collection[str]) -> dict[Field, str]:
    """Names in the file that seem to be fields: of those that are missing, and of the input if that is missing too."""
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
    return meant


def _nearest(wanted: str, field: Field, names: Sequence[str]) -> str | None:
    alike = [name for name in names[:_MOST_COMPARED] if is_alike(name, wanted)]
    if alike:
        letters = _letters(wanted)
        return max(alike, key=lambda name: difflib.SequenceMatcher(None, _letters(name), letters).ratio())
    words = [name for name in names[:_MOST_COMPARED] if _is_word_for(name, field)]
    return words[0] if len(words) == 1 else None


_MOST_COMPARED = 1000
"""Names that a field is looked for among: 100,000 would take a minute."""


def conversation_key(entry: Mapping[str, object]) -> tuple[str, tuple[str, str]] | None:
    """The key under which an entry of chat data has its turns, and the keys of a turn; None for other entries."""
    for key, value in entry.items():
        turns = value if isinstance(value, list) else []
        for kind in _TURNS:
            if turns and all(isinstance(turn, dict) and kind[0] in turn and kind[1] in turn for turn in turns):
                return key, kind
    return None


def check_required(entries: Sequence[object], names: FieldNames) -> None:
    """See that every required field is in some entry; one that is in none is named otherwise.

    Raises:
        DataError: a field that no entry has, with the names that there are.
    """
    objects = [entry for entry in entries if isinstance(entry, dict)]
    if not objects or len(objects) < len(entries):
        return  # the entry that is no object is told by its place
    absent = [field for field, name in names.required.items() if not any(name in entry for entry in objects)]
    if not absent:
        return
    chat = conversation_key(objects[0])
    if chat is not None:
        key, (who, what) = chat
        raise DataError(
            f"these are conversations ({key!r} is a list of turns with {who!r} and {what!r}), expected entries with "
            f"{names.listed()}: write the user's turn and the assistant's turn of each as those two fields"
        )
    available = list(dict.fromkeys(name for entry in objects for name in entry))
    raise DataError(missing_fields(names, available, absent))


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
