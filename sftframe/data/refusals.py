"""Data that cannot be trained on: what a file is, and what would be needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sftframe.data.cells import list_in
from sftframe.data.columns import MEDIA, ShapeName, may_be_question, quoted, setting_for
from sftframe.data.conversations import ROLES
from sftframe.errors import DataError

Rows = Sequence[Mapping[str, Any]]
"""The first entries of a file."""
RATINGS = ("label", "kto_tag")
"""Columns that say whether an answer is good."""
_MEDIA_WORDS = {"i": "images", "a": "sounds", "v": "films"}


def media_word(column: str) -> str:
    """What is in a column of `MEDIA`.

    >>> media_word("audios")
    'sounds'
    """
    return _MEDIA_WORDS[column[0]]


def refuse_rated(rows: Rows, ratings: Sequence[str], shape: ShapeName) -> None:
    """Refuse answers of which each is rated true or false, as KTO needs them; a table has the words as texts."""
    for name in ratings:
        if rows and all(str(row.get(name)).lower() in ("true", "false") for row in rows):
            raise DataError(
                f"these are rated answers (field {name!r} is true or false), which also contain the answers that a "
                "model should not give; expected only good ones: keep the entries in which it is true, and read them "
                f"with --set data.shape={shape}"
            )


def refuse_preferences(columns: Collection[str], rows: Rows) -> None:
    """Refuse pairs of a better and a worse answer, and say how the better ones are read."""
    pairs = ((name, name.replace("chosen", "rejected")) for name in columns if "chosen" in name)
    better, worse = next((pair for pair in pairs if pair[1] in columns), ("", ""))
    if not better:
        return
    question = next((name for name in columns if may_be_question(name)), None)
    if any(list_in(row.get(better)) for row in rows):
        has_question = any(list_in(row.get("prompt")) for row in rows)
        settings = f"--set data.shape=prompt-completion {setting_for('output', better)}" if has_question else ""
        settings = settings or setting_for("messages", better)
    elif any(isinstance(row.get(better), dict) for row in rows):
        settings = ""
    else:
        first = setting_for("instruction", question) if question else "--set data.fields.instruction=NAME"
        settings = f"{first} {setting_for('output', better)}"
    way = f"read them with {settings}" if settings else f"put each one at the end of its messages, and remove {worse!r}"
    raise DataError(
        f"these are pairs of a better and a worse answer ({better!r}, {worse!r}), as preference tuning (DPO) needs "
        f"them; fine-tuning learns one answer: to train with the better ones, {way}"
    )


def refuse_others(columns: Collection[str], rows: Rows) -> None:
    """Refuse entries without the columns of any shape, if it is known what they are."""
    has_questions = any(may_be_question(name) for name in columns)
    media = next((name for name in MEDIA if name in columns), None)
    if media is not None and not has_questions:
        what = media_word(media)
        raise DataError(
            f"these entries have {what} ({media!r}) and no question with its answer as texts; only text can be read: "
            f"a model for {what} is needed"
        )
    if "text" in columns and not has_questions:
        raise DataError(
            "these entries have only text ('text'), as for pretraining; fine-tuning needs a question and an answer in "
            "fields of their own, because it asks the one and learns the other: split each text into 'instruction' "
            "and 'output'"
        )
    if "input_ids" in columns:
        raise DataError(
            "these entries are tokens already ('input_ids'); expected their texts, which are tokenised here. To "
            "compare what another trainer fed its model, give this file to sftframe preview --against"
        )
    for row in rows[:1]:
        for key, value in row.items():
            _refuse_list(key, list_in(value) or ())


_QUESTIONS = ("turns", "prompts", "questions", "instructions")


def _refuse_list(key: str, listed: Sequence[Any]) -> None:
    """Refuse questions without answers, and lists that may be messages in another form."""
    if listed and all(isinstance(one, str) for one in listed):
        if key in _QUESTIONS:
            raise DataError(
                f"these are questions without answers ({key!r} is a list of {len(listed)} texts), expected each "
                "question with its answer: there is nothing to learn and nothing to judge by until answers are added"
            )
        raise DataError(f"{key!r} is a list of {len(listed)} texts without speakers, {_EXPECTED}")
    if not listed or not all(isinstance(one, dict) and one for one in listed):
        return
    keys = dict.fromkeys(str(name) for one in listed for name in one)
    words = {name: [one[name] for one in listed if isinstance(one.get(name), str)] for name in keys}
    role = next((name for name in keys if words[name] and all(word.lower() in ROLES for word in words[name])), None)
    content = max((name for name in keys if name != role), key=lambda name: sum(map(len, words[name])), default=None)
    found = f"{key!r} is a list of objects with {quoted(keys)}"
    if role is None or content is None or not words[content]:
        raise DataError(f"{found}, {_EXPECTED}")
    settings = (setting_for("messages", key), setting_for("role", role), setting_for("content", content))
    raise DataError(f"{found}; if these are messages, read them with {' '.join(settings)}")


_EXPECTED = """expected messages of which each has a speaker and a text: {"role": "user", "content": "…"}"""
