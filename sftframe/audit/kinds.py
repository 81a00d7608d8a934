"""What an audit looks for in instruction data: the kinds of findings, each with the setting that deals with it."""

from __future__ import annotations

from dataclasses import dataclass

from sftframe.errors import ConfigError, suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of finding."""

    name: str
    """As it is written in `--drop` and in JSON."""
    title: str
    """What these rows have, as a heading."""
    remedy: str
    """What to do about it."""
    is_dropped: bool = False
    """Whether a cleaned file leaves these rows out without being asked."""


KINDS: tuple[Kind, ...] = (
    Kind(
        name="empty-output",
        title="empty answers",
        remedy="the model would learn to stop at once; --write leaves them out",
        is_dropped=True,
    ),
    Kind(
        name="duplicate",
        title="exact duplicates of an earlier row",
        remedy="a repeated row counts as often as it is there; --write keeps the first of each part",
        is_dropped=True,
    ),
    Kind(
        name="near-duplicate",
        title="rows that are nearly an earlier row",
        remedy="--write FILE --drop near-duplicate keeps the first; or name what they have in common as data.group",
    ),
    Kind(
        name="contradiction",
        title="the same question with another answer",
        remedy="decide which is right, or make output a list of accepted answers; --drop contradiction keeps the first",
    ),
    Kind(
        name="leak",
        title="test or validation rows whose question is in the training part",
        remedy="such a row measures memory; --write FILE --drop leak takes the copies out of the training part",
    ),
    Kind(
        name="near-leak",
        title="test or validation rows with nearly the same question as in the training part",
        remedy="--write FILE --drop near-leak takes the similar rows out of the training part",
    ),
    Kind(
        name="cut-off",
        title="answers that end in the middle",
        remedy="the model would learn to stop there; complete them, or --drop cut-off",
    ),
    Kind(
        name="refusal",
        title="answers that refuse, or speak as a language model",
        remedy="keep them only if your model is meant to refuse these; --drop refusal",
    ),
    Kind(
        name="control-string",
        title="template and control strings inside the text",
        remedy="they are left over from another program's format; remove them, or --drop control-string",
    ),
    Kind(
        name="placeholder",
        title="placeholders that nobody filled in",
        remedy="replace them (sed works), or --drop placeholder",
    ),
    Kind(
        name="mojibake",
        title="text that was decoded with the wrong encoding, or lost characters",
        remedy="the tool ftfy repairs most of it: ftfy FILE -o FIXED; or --drop mojibake",
    ),
    Kind(
        name="odd-unicode",
        title="invisible, control, private or decomposed characters",
        remedy="remove them, or normalise to NFC; --drop odd-unicode",
    ),
    Kind(
        name="mixed-language",
        title="answers in another language than their question",
        remedy="right for translations; otherwise --drop mixed-language",
    ),
    Kind(
        name="rare-language",
        title="rows in a language that few rows have",
        remedy="keep them if the model shall know it; --drop rare-language",
    ),
    Kind(
        name="too-long",
        title="rows that do not fit the model",
        remedy="--set tokens.over_long=drop, truncate-prompt or truncate-end; or --drop too-long",
    ),
)
"""In the order in which they are shown."""


def find_kind(name: str) -> Kind:
    """The kind with a name.

    Raises:
        ConfigError: there is none.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    names = [kind.name for kind in KINDS]
    raise ConfigError(f"no kind of finding {name!r}{suggestion(name, names)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One place where something was found."""

    index: int
    """`Example.index`."""
    field: str
    """The field with the text, as it is shown: `instruction`, `output`, `turn 2 output` …"""
    excerpt: str
    """The text found, with a little of its surroundings."""
    other: int | None = None
    """The index of the row that this one is compared with."""
    note: str = ""
    """What the excerpt does not show, such as the likeness of two texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """All rows of one kind."""

    kind: Kind
    sightings: tuple[Sighting, ...]
    """One per row, in the order of the file."""
    dropped: tuple[int, ...] | None = None
    """The rows that a cleaned file leaves out for this kind; None = those of the sightings."""

    @property
    def rows(self) -> tuple[int, ...]:
        """The indices of the rows."""
        return tuple(sighting.index for sighting in self.sightings)

    @property
    def to_drop(self) -> tuple[int, ...]:
        """The indices that a cleaned file leaves out."""
        return self.rows if self.dropped is None else self.dropped
