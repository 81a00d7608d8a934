"""The shapes of instruction data: which one a file has, and what is said of files that have none of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from sftframe.data.cells import is_absent, list_in
from sftframe.data.columns import (
    HISTORY_SPEAKERS,
    MEDIA,
    OTHER_FIELDS,
    FieldNames,
    ShapeName,
    missing_fields,
    missing_group,
    missing_part,
    quoted,
)
from sftframe.data.refusals import RATINGS, refuse_others, refuse_preferences, refuse_rated
from sftframe.errors import DataError

SHAPES: Mapping[ShapeName, str] = {
    "instruction": "instruction/input/output",
    "prompt-completion": "prompt/completion",
    "messages": "OpenAI messages",
    "sharegpt": "ShareGPT conversations",
}
"""What each shape is called in a line for people."""
_KEYS: Mapping[Literal["messages", "sharegpt"], tuple[str, str]] = {
    "messages": ("role", "content"),
    "sharegpt": ("from", "value"),
}
"""By shape the keys of a message's speaker and text."""
_USUAL: Mapping[Literal["messages", "sharegpt"], str] = {"messages": "messages", "sharegpt": "conversations"}
PROMPT, COMPLETION = "prompt", "completion"
SPEAKERS = tuple(speaker for speaker, _ in _KEYS.values())
USUAL_MESSAGES = tuple(_USUAL.values())
MOST_LOOKED_AT = 100
"""Entries in which a list of messages is looked for."""


def recognised(names: FieldNames, columns: Collection[str], entries: Sequence[object] = ()) -> FieldNames:
    """The names with the shape of the file, and with those of its columns that belong to the shape.

    Args:
        columns: the names in the file.
        entries: the entries, or the first ones; empty if only the columns are known.

    Raises:
        DataError: the file has no shape that can be trained on, and it is known what it is instead.
    """
    rows = [entry for entry in entries[:MOST_LOOKED_AT] if isinstance(entry, dict)]
    shape = names.shape or _shape_of(names, columns, rows)
    others: dict[str, Any] = {
        name: names.mapped.get(name, name if name in columns and name not in names.unread else None) or None
        for name in OTHER_FIELDS
    }
    if others["history"] is not None and HISTORY_SPEAKERS not in names.unread and _are_speakers(rows):
        others["speakers"] = HISTORY_SPEAKERS
    media = tuple(name for name in MEDIA if name in columns and name not in {*names.wanted.values(), *names.unread})
    if shape in ("messages", "sharegpt"):
        found = conversation_key(rows, names, shape)
        role, content = _KEYS[shape]
        messages = names.mapped.get("messages") or (found[0] if found else _USUAL[shape])
        return replace(
            names,
            shape=shape,
            messages=messages,
            others=_others(names, columns, entries, messages) if names.shape is None else None,
            role=names.mapped.get("role") or role,
            content=names.mapped.get("content") or content,
            media=media,
            **(others | {"history": None, "speakers": None}),
        )
    if shape == "prompt-completion":
        mapped = names.mapped
        names = replace(
            names,
            instruction=mapped.get("instruction") or PROMPT,
            input=mapped.get("input") or None,
            output=mapped.get("output") or COMPLETION,
        )
    mixed = _others(names, columns, entries, names.instruction) if names.shape is None else None
    return replace(names, shape=shape, media=media, others=mixed, **others)


def _are_speakers(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column says for every exchange who asks: `user` or `tool`."""
    found = [row[HISTORY_SPEAKERS] for row in rows if not is_absent(row.get(HISTORY_SPEAKERS))]
    return bool(found) and all(isinstance(one, list) and all(who in ("user", "tool") for who in one) for one in found)


def _others(
    names: FieldNames, columns: Collection[str], entries: Sequence[object], needed: str, most: int = len(SHAPES) - 1
) -> FieldNames | None:
    """The names in the entries that lack the field which their shape needs, if they have another shape.

    Args:
        names: without a shape.
        most: number of other shapes that are looked for.
    """
    lacking = [entry for entry in entries if isinstance(entry, dict) and is_absent(entry.get(needed))]
    shape = _shape_of_others(names, lacking[:MOST_LOOKED_AT])
    if shape is None or not most:
        return None
    found = recognised(replace(names, shape=shape), columns, lacking)
    return replace(found, others=_others(names, columns, lacking, found.needed, most - 1))


def _shape_of_others(names: FieldNames, rows: Sequence[Mapping[str, Any]]) -> ShapeName | None:
    found = conversation_key(rows, names)
    if found is not None:
        return found[1]
    has_pairs = any(not is_absent(row.get(PROMPT)) and not is_absent(row.get(COMPLETION)) for row in rows)
    return "prompt-completion" if has_pairs else None


def _shape_of(names: FieldNames, columns: Collection[str], rows: Sequence[Mapping[str, Any]]) -> ShapeName:
    mapped = names.mapped
    if "messages" in mapped:
        found = conversation_key(rows, names)
        return found[1] if found else ("sharegpt" if mapped.get("role") == "from" else "messages")
    if "instruction" in mapped or "output" in mapped or {names.instruction, names.output} <= {*columns}:
        refuse_rated(rows, ("kto_tag",), "instruction")
        return "instruction"
    if {PROMPT, COMPLETION} <= {*columns}:
        refuse_rated(rows, RATINGS, "prompt-completion")
        return "prompt-completion"
    refuse_preferences(columns, rows)
    found = conversation_key(rows, names)
    if found is not None:
        refuse_rated(rows, RATINGS, found[1])
        return found[1]
    if names.instruction not in columns and names.output not in columns:
        refuse_others(columns, rows)
    return "instruction"


def conversation_key(
    rows: Iterable[Mapping[str, Any]], names: FieldNames, shape: ShapeName | None = None
) -> tuple[str, Literal["messages", "sharegpt"]] | None:
    """The key under which entries of chat data have their messages, and their shape; None for other data.

    Args:
        shape: look for messages of this shape only.
    """
    kinds = {kind: _keys(kind, names) for kind in _KEYS if shape in (None, kind)}
    for row in rows:
        for key in [names.mapped["messages"]] if names.mapped.get("messages") else row:
            messages = list_in(row.get(str(key)))
            if not messages:
                continue
            for kind, (who, what) in kinds.items():
                if all(isinstance(one, dict) and who in one for one in messages) and any(
                    what in one for one in messages
                ):
                    return str(key), kind
    return None


def _keys(kind: Literal["messages", "sharegpt"], names: FieldNames) -> tuple[str, str]:
    who, what = _KEYS[kind]
    return names.mapped.get("role") or who, names.mapped.get("content") or what


def check_required(entries: Sequence[object], names: FieldNames, columns: Collection[str]) -> None:
    """Check that every required field is in some entry; one that is in none probably has another name.

    Args:
        columns: all names in the entries.

    Raises:
        DataError: a field that no entry has, with the names in the file.
    """
    if not any(isinstance(entry, dict) for entry in entries):
        return  # the entry that is no object is reported with its line
    absent = [field for field, name in names.required.items() if name not in columns]
    if names.messages is not None and names.messages not in columns:
        raise DataError(missing_messages(names, columns))
    if absent:
        raise DataError(missing_fields(names, columns, absent))
    if names.group is not None and names.group not in columns:
        raise missing_group(names.group, columns)
    if names.part is not None and names.part not in columns:
        raise DataError(missing_part(names.part, columns))


def missing_messages(names: FieldNames, columns: Collection[str]) -> str:
    """The message about conversations of which no entry has the messages."""
    return (
        f"no field {names.messages!r} with a list of messages ({names.role!r} and {names.content!r}). Available: "
        f"{quoted(columns)}; name it with --set data.fields.messages=NAME, and the keys of a message with "
        "--set data.fields.role=NAME --set data.fields.content=NAME"
    )


def shape_text(names: FieldNames) -> str:
    """The shape in words, with what else is read.

    >>> from sftframe.data.columns import FieldNames
    >>> shape_text(recognised(FieldNames.of({}), ["prompt", "completion", "system"]))
    'prompt/completion with system'
    """
    assert names.shape is not None
    shape = SHAPES[names.shape]
    extra = [word for word in OTHER_FIELDS if getattr(names, word) is not None]
    words = f" with {' and '.join(extra)}" if extra else ""
    others: dict[str, None] = {}
    while names.others is not None:
        names = names.others
        assert names.shape is not None
        others[SHAPES[names.shape]] = None
    mixed = f", others as {' or '.join(others)}" if others else ""
    return f"{shape}{words}{mixed}"
