"""Rows that are like other rows: duplicates, near duplicates, contradictions, and questions in two parts.

Two questions are nearly the same if the sets of their runs of five characters have a Jaccard index of at least 0.7 and
they have the same numbers and quoted words. In templates a single word makes another question ("… of gold?", "… of
tin?"), so two rows are near duplicates only if their answers are nearly the same too; or if their questions differ in
nothing but words such as "the" and "please", whatever the answers. Candidates come from MinHash and locality-sensitive
hashing (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3); every
one is then compared exactly.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sftframe.audit.kinds import Sighting
from sftframe.audit.texts import excerpt_of, question_of, weights_of
from sftframe.records import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Signature = NDArray[np.integer[Any]]

LIKE = 0.7
"""Jaccard index of two texts that are nearly the same: one or two words of a sentence differ."""
NUM_HASHES = 128
_BANDS = (20, 6)
"""Bands of the signature, and hashes in each: two texts with an index of 0.7 meet with a chance of 92 %, of 0.8 with
99.8 %."""
_SEED = 1
_SCHEME = "affine32"
_RUN = 5
"""Bytes of a shingle. Shorter ones are in most texts; of longer ones a change of one word takes too many."""
_MIX = 0x9E3779B97F4A7C15
"""An odd number whose products with small numbers look random in their upper half: 2**64 by the golden ratio (Knuth,
The Art of Computer Programming, volume 3, section 6.4)."""
_MOST_COMPARED = 200
"""Earlier rows with which one row is compared exactly, the likeliest first."""


def normal(text: str) -> str:
    """A text without differences that do not matter: capitals, white space, quotation marks, marks at a word's end.

    >>> normal('  Name a synonym  of "Happy."'), normal("Is 3 < 5?")
    ('name a synonym of happy', 'is 3 < 5')
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_UNIMPORTANT.sub(" ", plain).split())


def gist(question: str) -> str:
    """A normalised question without words that do not change what is asked; the order of the others stays.

    >>> gist("please edit the following sentence"), gist("edit this sentence")
    ('edit sentence', 'edit sentence')
    """
    words = [word for word in question.replace("what's", "what is").split() if word not in _POLITE]
    return " ".join(words)


_POLITE = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "these",
        "following",
        "given",
        "below",
        "above",
        "provided",
        "please",
        "kindly",
        "can",
        "could",
        "would",
        "you",
        "me",
        "is",
        "are",
    ]
)
"""Articles, politeness and words that point at the input. Prepositions and negations change what is asked."""

_UNIMPORTANT = re.compile(r"""["“”„«»`‘]|(?<!\w)['’]|['’](?!\w)|[.,;:!?]+(?=["'”’»)]*(?:\s|\Z))""")


def shingles(text: str) -> frozenset[int]:
    """The hashes of all runs of five bytes of a text, 32 bits each; a shorter text is one run.

    >>> len(shingles("banana banana")), len(shingles("ana"))
    (7, 1)
    """
    import numpy as np

    data = np.frombuffer(text.encode("utf-8", errors="replace").ljust(_RUN), dtype=np.uint8).astype(np.uint64)
    runs = np.zeros(len(data) - _RUN + 1, dtype=np.uint64)
    for place in range(_RUN):
        runs = (runs << np.uint64(8)) | data[place : len(data) - _RUN + 1 + place]
    return frozenset(((runs * _MIX) >> np.uint64(32)).tolist())


def specifics(text: str) -> tuple[str, ...]:
    """The numbers and the quoted words of a text: exercises that differ in them are not the same.

    >>> specifics("Add 3 and 14.5 to 'x', don't stop")
    ('14', '3', '5', 'x')
    """
    found = (number or normal(quoted) for number, quoted in _SPECIFIC.findall(text))
    return tuple(sorted(found))


_SPECIFIC = re.compile(r"""(\d+)|(?<![^\W_])["'“‘`«]([^"'”’`»\d]{1,60})["'”’`»](?![^\W_])""")


def signatures(examples: Sequence[Example]) -> list[Signature]:
    """The MinHash signature of every row's question, (128,)."""
    from datasketch import MinHash

    runs = (list(shingles(normal(question_of(example)))) for example in examples)
    hashed = MinHash.generator(runs, num_perm=NUM_HASHES, seed=_SEED, hashfunc=int, scheme=_SCHEME)
    return [found.hashvalues for found in hashed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Which rows are like others."""

    duplicates: tuple[Sighting, ...]
    """Rows with the question and the answer of an earlier row, character by character."""
    near_duplicates: tuple[Sighting, ...]
    contradictions: tuple[Sighting, ...]
    leaks: tuple[Sighting, ...]
    """Test and validation rows whose question is in the training part."""
    near_leaks: tuple[Sighting, ...]
    leaked: tuple[int, ...]
    """The training rows with these questions."""
    near_leaked: tuple[int, ...]
    repeated: Mapping[str, tuple[int, ...]]
    """By kind the rows that are like an earlier row of the same part. A row that is like one of another part is a leak,
    and the held-out row is the one to keep."""


def compare_rows(
    examples: Sequence[Example],
    parts: Mapping[int, str],
    hashed: Sequence[Signature],
    *,
    on_rows: Callable[[int], object] = lambda num_rows: None,
) -> Likeness:
    """Find all rows that are like others.

    Args:
        parts: the part of every index; rows without one are in none.
        hashed: the rows' `signatures`.
        on_rows: called with the number of further rows that were compared.
    """
    questions = [normal(question_of(example)) for example in examples]
    duplicates, contradictions = _same(examples, questions)
    copies = {sighting.index for sighting in duplicates}
    near = _near(examples, questions, hashed, on_rows)
    near_duplicates = [
        _pair(examples, place, first, note=f"likeness of the questions {likeness:.2f}")
        for place, (first, likeness) in near.items()
        if examples[place].index not in copies
        and not (
            questions[place] == questions[first]
            and normal(examples[place].output) != normal(examples[first].output)  # a contradiction
        )
    ]
    equals, groups = _groups_of_equals(questions), _groups_of_likes(near, len(examples))
    leaks, leaked = _leaks(examples, parts, questions, equals)
    near_leaks, near_leaked = _leaks(examples, parts, questions, groups, without={leak.index for leak in leaks})
    return Likeness(
        duplicates=tuple(duplicates),
        near_duplicates=tuple(near_duplicates),
        contradictions=tuple(contradictions),
        leaks=tuple(leaks),
        near_leaks=tuple(near_leaks),
        leaked=leaked,
        near_leaked=near_leaked,
        repeated={
            "duplicate": _of_one_part(duplicates, parts),
            "near-duplicate": _of_one_part(near_duplicates, parts),
            "contradiction": _of_one_part(contradictions, parts),
        },
    )


def _of_one_part(sightings: Sequence[Sighting], parts: Mapping[int, str]) -> tuple[int, ...]:
    """The rows that have an earlier one of their own part among those that are like the same first row."""
    seen: set[tuple[int | None, str | None]] = {
        (sighting.other, parts.get(sighting.other)) for sighting in sightings if sighting.other is not None
    }
    repeated = []
    for sighting in sightings:
        mine = (sighting.other, parts.get(sighting.index))
        if mine in seen:
            repeated.append(sighting.index)
        seen.add(mine)
    return tuple(repeated)


def _same(examples: Sequence[Example], questions: Sequence[str]) -> tuple[list[Sighting], list[Sighting]]:
    """Exact duplicates, and contradictions: the same question after `normal`, with another answer after it."""
    rows: dict[tuple[object, ...], int] = {}
    answers: dict[str, dict[str, int]] = defaultdict(dict)
    duplicates, contradictions = [], []
    for place, (example, question) in enumerate(zip(examples, questions, strict=True)):
        key = (question_of(example), weights_of(example), example.output, example.references)
        first = rows.setdefault(key, place)
        if first != place:
            duplicates.append(_pair(examples, place, first))
            continue
        known = answers[question]
        accepted = {normal(text).rstrip(".!") for text in (example.output, *example.references)}
        if known and not accepted & known.keys():
            first = next(iter(known.values()))
            other = excerpt_of(examples[first].output)
            note = f"answers {excerpt_of(example.output)!r} and {other!r}"
            contradictions.append(_pair(examples, place, first, note=note))
        for text in accepted:
            known.setdefault(text, place)
    return duplicates, contradictions


def _pair(examples: Sequence[Example], place: int, first: int, note: str = "") -> Sighting:
    example = examples[place]
    asked = example.instruction if not example.input else f"{example.instruction} {example.input}"
    return Sighting(
        index=example.index, field="instruction", excerpt=excerpt_of(asked), other=examples[first].index, note=note
    )


def _near(
    examples: Sequence[Example],
    questions: Sequence[str],
    hashed: Sequence[Signature],
    on_rows: Callable[[int], object],
) -> dict[int, tuple[int, float]]:
    """By place, an earlier row that is nearly the same, and the Jaccard index of the questions.

    Every row is compared with earlier rows that are like none before them, so that a thousand variants of one row need
    a thousand comparisons and not half a million.
    """
    import numpy as np
    from datasketch import MinHash, MinHashLSH

    index: Any = MinHashLSH(num_perm=NUM_HASHES, params=_BANDS)
    permutations: Any = MinHash(num_perm=NUM_HASHES, seed=_SEED, scheme=_SCHEME).permutations
    found: dict[int, tuple[int, float]] = {}

    @lru_cache(maxsize=_MOST_KEPT)
    def asked(place: int) -> tuple[frozenset[int], tuple[str, ...]]:
        return shingles(questions[place]), specifics(question_of(examples[place]))

    @lru_cache(maxsize=_MOST_KEPT)
    def answered(place: int) -> tuple[frozenset[int], tuple[str, ...]]:
        answer = examples[place].output
        return shingles(normal(answer)), specifics(answer)

    def likeness(one: int, other: int) -> float:
        """Of the questions; 0 if the answers are not alike, or numbers or quoted words differ."""
        if weights_of(examples[one]) != weights_of(examples[other]) or asked(one)[1] != asked(other)[1]:
            return 0.0
        shared = _if_alike(asked(one)[0], asked(other)[0])
        if not shared or answered(one)[1] != answered(other)[1]:
            return 0.0
        return shared if _if_alike(answered(one)[0], answered(other)[0]) else 0.0

    first: dict[object, int] = {}
    for place, values in enumerate(hashed):
        on_rows(1)
        same = first.setdefault((gist(questions[place]) or questions[place], weights_of(examples[place])), place)
        if same != place:
            found[place] = (found.get(same, (same, 0.0))[0], jaccard(asked(place)[0], asked(same)[0]))
            continue
        signature = MinHash(
            num_perm=NUM_HASHES, seed=_SEED, scheme=_SCHEME, hashvalues=values, permutations=permutations
        )
        candidates = index.query(signature)
        if candidates:
            likely = np.array([(hashed[other] == values).mean() for other in candidates])
            order = np.argsort(-likely, kind="stable")[:_MOST_COMPARED]
            for other in (candidates[i] for i in order if likely[i] >= LIKE - _SLACK):
                shared = likeness(place, other)
                if shared:
                    found[place] = (other, shared)
                    break
        if place not in found:
            index.insert(place, signature, check_duplication=False)
    return found


_MOST_KEPT = 10_000
"""Rows whose sets are kept for further comparisons; each takes some 10 kB."""


def jaccard(first: frozenset[int], second: frozenset[int]) -> float:
    """Size of the intersection by size of the union.

    >>> jaccard(frozenset({1, 2, 3}), frozenset({2, 3, 4}))
    0.5
    """
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def _if_alike(first: frozenset[int], second: frozenset[int]) -> float:
    """The Jaccard index if it is at least `LIKE`, else 0; sets of very different sizes need no comparison."""
    fewer, more = sorted((len(first), len(second)))
    if fewer / more < LIKE:
        return 0.0
    index = jaccard(first, second)
    return index if index >= LIKE else 0.0


_SLACK = 0.15
"""An index estimated from 128 hashes is wrong by more than this in one case of 10,000."""


def _groups_of_equals(questions: Sequence[str]) -> list[int]:
    """By place the first place with an equal question."""
    first: dict[str, int] = {}
    return [first.setdefault(question, place) for place, question in enumerate(questions)]


def _groups_of_likes(near: Mapping[int, tuple[int, float]], num_rows: int) -> list[int]:
    return [near[place][0] if place in near else place for place in range(num_rows)]


def _leaks(
    examples: Sequence[Example],
    parts: Mapping[int, str],
    questions: Sequence[str],
    groups: Sequence[int],
    without: set[int] | None = None,
) -> tuple[list[Sighting], tuple[int, ...]]:
    """The test and validation rows in a group with training rows, and those training rows."""
    trained: dict[int, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        if parts.get(examples[place].index) == "train":
            trained[group].append(place)
    leaks: list[Sighting] = []
    leaked: set[int] = set()
    for place, group in enumerate(groups):
        part = parts.get(examples[place].index)
        if part in ("test", "validation") and trained[group] and examples[place].index not in (without or ()):
            same = [other for other in trained[group] if questions[other] == questions[place]]
            leaks.append(_pair(examples, place, (same or trained[group])[0], note=f"in the {part} part"))
            leaked.update(examples[other].index for other in trained[group])
    return leaks, tuple(sorted(leaked))
