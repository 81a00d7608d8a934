"""Why two trainers differ: the rows of another trainer's dump against ours, token by token and label by label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sftframe.config import RunConfig
from sftframe.pipeline.dumps import DumpRow
from sftframe.pipeline.preview import Previewed
from sftframe.pipeline.setup import Components
from sftframe.plugins import Tokenizer
from sftframe.records import Role, TokenizedExample
from sftframe.training import batch_rows, collate, counted_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class OurRow:
    """One of our rows as it is trained on."""

    index: int
    """`Example.index`."""
    part: str
    ids: tuple[int, ...]
    roles: tuple[int, ...]
    weights: tuple[float, ...]
    """Of each token as a target; the first one's is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token in a message."""

    position: int
    id: int
    text: str
    role: str = ""
    """Of ours; the dump has no roles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDifference:
    """Where one row of the dump differs from ours."""

    place: str
    """Of the dump's row."""
    index: int
    """`Example.index` of ours."""
    kind: str
    """The difference of the tokens in words; empty if all tokens are the same."""
    ours: Token | None = None
    """Our token at the first difference; None: our row ends there."""
    theirs: Token | None = None
    our_text: str = ""
    """Our text from the first difference on, a few tokens."""
    their_text: str = ""
    label: Token | None = None
    """The first token, equal in both, that counts in one and not in the other."""
    counts_in: str = ""
    """`ours` or `theirs`: where the token of `label` counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """Tokens that both have, by whether they count; of one role."""

    both: int = 0
    ours: int = 0
    theirs: int = 0
    neither: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """Another trainer's rows against ours."""

    num_theirs: int
    num_ours: int
    """Rows of the part, or of all parts, that the dump is compared with."""
    part: str
    is_reordered: bool
    """The rows were found by what is in them, since their order is another one."""
    num_same: int
    num_tokens_differ: int
    num_labels_differ: int
    """Rows with equal tokens in which at least one label differs, and rows with other tokens in which one does."""
    num_unmatched: int
    """Rows of the dump that are like none of ours."""
    num_missing: int
    """Our rows that are not in the dump."""
    differences: tuple[RowDifference, ...]
    """Of every row that differs, in the order of the dump."""
    kinds: Mapping[str, int]
    """Rows by kind of token difference, most frequent first."""
    labels: Mapping[str, LabelCounts]
    """By role of our tokens."""
    has_weights: bool = False
    """Some of our targets count with another weight than 1."""
    has_labels: bool = True
    """The dump says which tokens count; if not, all of its tokens are taken to count."""

    @property
    def is_same(self) -> bool:
        """Whether the two trainers see the same rows with the same labels."""
        return self.num_same == self.num_theirs == self.num_ours

    def document(self) -> dict[str, Any]:
        """All as JSON values."""
        return {"same": self.is_same, **asdict(self)}


def our_rows(config: RunConfig, components: Components, data: Previewed) -> list[OurRow]:
    """All rows of all parts in the order of the file, each as its batch makes it."""
    rows = []
    for part, store in data.parts.items():
        for numbers in batch_rows(range(len(store)), config.train.batch_size):
            chosen: list[TokenizedExample] = [store[number] for number in numbers]
            weights = counted_weights(collate(components.strategy, chosen)).tolist()
            for example, counted in zip(chosen, weights, strict=True):
                length = len(example.ids)
                targets = (0.0, *counted)[:length]
                rows.append(
                    OurRow(
                        index=example.index,
                        part=part,
                        ids=tuple(int(one) for one in example.ids),
                        roles=tuple(int(role) for role in example.roles),
                        weights=targets + (0.0,) * (length - len(targets)),
                    )
                )
    return sorted(rows, key=lambda row: row.index)


def compare_dump(theirs: Sequence[DumpRow], rows: Sequence[OurRow], tokenizer: Tokenizer) -> Against:
    """Compare every row of a dump with ours.

    The dump is of the training part or of all rows, whichever it fits better. Rows are compared in their order, or, if
    that fits badly, with the row that has most runs of four tokens in common.
    """
    part, ours = _fitting(theirs, rows)
    pairs, is_reordered = _paired(theirs, ours)
    differences: list[RowDifference] = []
    kinds: Counter[str] = Counter()
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    num_same = num_labels_differ = num_unmatched = 0
    for their, our in pairs:
        if our is None:
            num_unmatched += 1
            continue
        found = _difference(their, our, tokenizer, labels)
        if found is None:
            num_same += 1
            continue
        differences.append(found)
        kinds[found.kind] += bool(found.kind)
        num_labels_differ += found.label is not None
    return Against(
        num_theirs=len(theirs),
        num_ours=len(ours),
        part=part,
        is_reordered=is_reordered,
        num_same=num_same,
        num_tokens_differ=sum(kinds.values()),
        num_labels_differ=num_labels_differ,
        num_unmatched=num_unmatched,
        num_missing=len(ours) - len({our.index for _, our in pairs if our is not None}),
        differences=tuple(differences),
        kinds={kind: number for kind, number in kinds.most_common() if kind},
        labels={role.label: LabelCounts(**labels[role.label]) for role in Role if role.label in labels},
        has_weights=any(weight not in (0, 1) for row in ours for weight in row.weights),
        has_labels=all(row.has_labels for row in theirs),
    )


def _fitting(theirs: Sequence[DumpRow], rows: Sequence[OurRow]) -> tuple[str, list[OurRow]]:
    """The training part or all rows, by their number; if neither fits, all where the dump has rows of other parts."""
    trained = [row for row in rows if row.part == "train"]
    for part, chosen in (("train", trained), ("all", list(rows))):
        if len(chosen) == len(theirs):
            return part, chosen
    known = {row.ids for row in theirs}
    outside = sum(row.ids in known for row in rows if row.part != "train")
    return ("all", list(rows)) if outside else ("train", trained)


_ORDERED = 0.8
"""Share of the rows that must be at the same place for two dumps in the same order."""
_MOST_SHARED = 50
"""A run of tokens that more rows have says little about which row it is."""


def _paired(theirs: Sequence[DumpRow], ours: Sequence[OurRow]) -> tuple[list[tuple[DumpRow, OurRow | None]], bool]:
    """Every row of the dump with the one of ours that is most like it, and whether the order is another one.

    Of equally good rows, the one at the same place is taken. If most rows are at the same place, all are compared in
    their order.
    """
    equal: dict[tuple[int, ...], list[int]] = defaultdict(list)
    having: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, our in enumerate(ours):
        equal[our.ids].append(place)
        for run in _runs(our.ids):
            having[run].append(place)
    found = [_most_like(their, place, equal, having) for place, their in enumerate(theirs)]
    num_at_place = sum(other == place for place, other in enumerate(found))
    if len(theirs) <= len(ours) and num_at_place >= _ORDERED * len(theirs):
        return list(zip(theirs, ours, strict=False)), False
    return [(their, None if at is None else ours[at]) for their, at in zip(theirs, found, strict=True)], any(
        at is not None for at in found
    )


def _most_like(
    their: DumpRow, place: int, equal: Mapping[Any, list[int]], having: Mapping[Any, list[int]]
) -> int | None:
    same = equal.get(their.ids)
    if same:
        return place if place in same else same[0]
    votes: dict[int, float] = defaultdict(float)
    for run in _runs(their.ids):
        places = having.get(run, [])
        if len(places) <= _MOST_SHARED:
            for one in places:
                votes[one] += 1 / len(places)
    return max(votes, key=lambda one: (votes[one], one == place, -one), default=None)


def _runs(ids: Sequence[int]) -> set[tuple[int, ...]]:
    return {tuple(ids[start : start + 4]) for start in range(len(ids) - 3)}


def _difference(
    their: DumpRow, our: OurRow, tokenizer: Tokenizer, labels: Mapping[str, Counter[str]]
) -> RowDifference | None:
    """What differs in a pair of rows; the labels of tokens that both have are counted.

    Both have the tokens before the first difference and after the last one.
    """
    start = _common(their.ids, our.ids)
    shorter = min(len(their.ids), len(our.ids))
    rest = min(_common(their.ids[::-1], our.ids[::-1]), shorter - start)
    label: Token | None = None
    counts_in = ""
    for at, place in _shared(start, rest, len(our.ids), len(their.ids)):
        mine, other = our.weights[at] > 0, their.counted[place]
        role = Role(our.roles[at]).label
        if at and place:
            labels[role][_WHERE[mine, other]] += 1
            if mine != other and label is None:
                label = _token(our, at, tokenizer)
                counts_in = "ours" if mine else "theirs"
    if start == len(their.ids) == len(our.ids):
        if label is None:
            return None
        return RowDifference(place=their.place, index=our.index, kind="", label=label, counts_in=counts_in)
    return RowDifference(
        place=their.place,
        index=our.index,
        kind=_kind(their, our, start, rest),
        ours=_token(our, start, tokenizer) if start < len(our.ids) else None,
        theirs=_their_token(their, start, tokenizer) if start < len(their.ids) else None,
        our_text="".join(_text(one, tokenizer) for one in our.ids[start : start + _SHOWN]),
        their_text="".join(_text(one, tokenizer) for one in their.ids[start : start + _SHOWN]),
        label=label,
        counts_in=counts_in,
    )


_SHOWN = 10
"""Tokens of a text that show how a row goes on."""
_WHERE = {(True, True): "both", (True, False): "ours", (False, True): "theirs", (False, False): "neither"}


def _shared(start: int, rest: int, num_ours: int, num_theirs: int) -> Iterator[tuple[int, int]]:
    """Places of equal tokens, in ours and in theirs."""
    for at in range(start):
        yield at, at
    for back in range(rest, 0, -1):
        yield num_ours - back, num_theirs - back


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    length = min(len(one), len(other))
    return next((at for at in range(length) if one[at] != other[at]), length)


def _kind(their: DumpRow, our: OurRow, start: int, rest: int) -> str:
    """The difference of two rows' tokens in words; equal words are one kind."""
    ours, theirs = our.ids[start : len(our.ids) - rest], their.ids[start : len(their.ids) - rest]
    roles = {Role(role).label for role in our.roles[start : len(our.ids) - rest]}
    if not ours and start == 0:
        return f"they begin with {_number(theirs)} that we do not have"
    if not theirs and start == 0:
        return f"we begin with {_number(ours)} that they do not have"
    if not ours and rest == 0:
        return f"they end with {_number(theirs)} that we do not have"
    if not theirs and rest == 0:
        what = "the end" if roles == {Role.END.label} else "the rest"
        return f"they lack {what} of our row"
    if not ours or not theirs:
        who = "they have" if theirs else "we have"
        return f"{who} more tokens after {_role_before(our, start)}"
    return f"other tokens in {' and '.join(sorted(roles))}"


def _number(ids: Sequence[int]) -> str:
    return "a token" if len(ids) == 1 else f"{len(ids)} tokens"


def _role_before(our: OurRow, start: int) -> str:
    return Role(our.roles[max(0, start - 1)]).label


def _token(our: OurRow, at: int, tokenizer: Tokenizer) -> Token:
    return Token(position=at, id=our.ids[at], text=_text(our.ids[at], tokenizer), role=Role(our.roles[at]).label)


def _their_token(their: DumpRow, at: int, tokenizer: Tokenizer) -> Token:
    return Token(position=at, id=their.ids[at], text=_text(their.ids[at], tokenizer))


def _text(token_id: int, tokenizer: Tokenizer) -> str:
    if token_id == tokenizer.end_id:
        return "<end>"
    if not 0 <= token_id < tokenizer.vocab_size:
        return f"<unknown id, we have {tokenizer.vocab_size}>"
    names = tokenizer.control_tokens if tokenizer.reads_control_names else {}
    return next((name for name, number in names.items() if number == token_id), tokenizer.decode([token_id]))
