"""The audit of a dataset: all findings, lengths, languages and parts in one record."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sftframe.audit.kinds import KINDS, Finding, Sighting
from sftframe.audit.likeness import compare_rows, signatures
from sftframe.audit.texts import RowFacts, look_at, question_of
from sftframe.data import Dataset, DroppedRow
from sftframe.errors import ConfigError
from sftframe.records import Example

if TYPE_CHECKING:
    from sftframe.audit.likeness import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bar of a histogram: from `low` up to and without `high`."""

    low: int
    high: int
    num_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """How long something is in all rows."""

    what: str
    """`question` or `answer`, and `row` in tokens."""
    unit: str
    """`characters` or `tokens`."""
    total: int
    least: int
    median: float
    p95: float
    """95 of 100 rows are not longer."""
    most: int
    bins: tuple[Bin, ...]
    """Each twice as wide as the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLengths:
    """The lengths of rendered rows in tokens."""

    style: str
    """The prompt style that they were rendered with."""
    tokenizer: str
    """The model backend whose tokenizer counted."""
    prompts: Mapping[int, int]
    """By index the tokens before the answer, the style's own text included."""
    answers: Mapping[int, int]
    """By index the tokens of the last answer, with the end token."""
    most: int
    """The most tokens of a row: the model's context, or `tokens.max_length`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What is in a dataset."""

    source: str
    sha256: str
    read_as: str
    """The shape of the entries, in words."""
    changes: Mapping[str, int]
    """What was done to entries when they were read, in words, with the number of entries."""
    invalid: tuple[DroppedRow, ...]
    """Entries that cannot be used; nothing else was looked for in them."""
    num_rows: int
    """Entries that can be used."""
    parts: Mapping[str, int]
    """Rows by part."""
    part_of: Mapping[int, str]
    """By index the part of a row; empty where there are too few rows for parts."""
    num_conversations: int
    """Rows with earlier turns."""
    num_systems: int
    """Rows with a system message."""
    num_instructions: int
    """Different instructions."""
    instructions: tuple[tuple[str, int], ...]
    """The most frequent ones, and their number of rows."""
    lengths: tuple[Lengths, ...]
    ratio: float
    """Median over the rows of answer by prompt, in tokens where they were counted, else in characters."""
    languages: tuple[tuple[str, int], ...]
    """Of the answers whose language can be told, most frequent first."""
    findings: tuple[Finding, ...]
    """Kinds that were found, in the order of `KINDS`."""
    looked_for: tuple[str, ...]
    """The names of all kinds that were looked for."""
    style: str = ""
    tokenizer: str = ""
    notes: tuple[str, ...] = ()
    """What else is worth saying of the columns, the parts and the groups in them."""

    def finding(self, name: str) -> Finding | None:
        """The finding of a kind; None if there is none."""
        return next((found for found in self.findings if found.kind.name == name), None)

    def document(self, most_sightings: int | None = None) -> dict[str, Any]:
        """The audit as JSON values.

        Args:
            most_sightings: of each kind; None = all.
        """
        return {
            "source": self.source,
            "sha256": self.sha256,
            "read_as": self.read_as,
            "changes": dict(self.changes),
            "invalid": [asdict(row) for row in self.invalid],
            "rows": self.num_rows,
            "parts": dict(self.parts),
            "conversations": self.num_conversations,
            "systems": self.num_systems,
            "instructions": {
                "different": self.num_instructions,
                "most_frequent": [{"text": text, "rows": number} for text, number in self.instructions],
            },
            "lengths": [asdict(length) for length in self.lengths],
            "answer_by_prompt": self.ratio,
            "prompt_style": self.style,
            "tokenizer": self.tokenizer,
            "languages": dict(self.languages),
            "notes": list(self.notes),
            "findings": [
                {
                    "kind": found.kind.name,
                    "title": found.kind.title,
                    "rows": len(found.sightings),
                    "share": len(found.sightings) / self.num_rows,
                    "remedy": found.kind.remedy,
                    "sightings": [asdict(sighting) for sighting in found.sightings[:most_sightings]],
                }
                for found in self.findings
            ],
            "looked_for": list(self.looked_for),
        }


def audit(
    dataset: Dataset,
    *,
    parts: Mapping[str, Collection[int]],
    notes: Sequence[str] = (),
    tokens: Callable[[], TokenLengths | None] = lambda: None,
    num_processes: int = 1,
    on_rows: Callable[[int], object] = lambda num_rows: None,
) -> Audit:
    """Look at all rows, one by one and against each other.

    Args:
        parts: the indices of every part, `train`, `test` and `validation`; may be empty.
        notes: what is to be said of columns, parts and groups.
        tokens: called once for the lengths in tokens, while other processes look at rows; None: only characters are
            counted, and nothing is said of rows that do not fit.
        num_processes: with more than one, rows are looked at in other processes; a script must then be importable, as
            for `multiprocessing`.
        on_rows: called with a number of rows that are done; twice for every row in all.

    Raises:
        ConfigError: a library of the extra `data` is missing.
    """
    _check_libraries()
    examples = dataset.examples
    part_of = {index: part for part, indices in parts.items() for index in indices}
    facts: list[RowFacts] = []
    hashed: list[Signature] = []
    with _without_collector():
        with _looked_at(examples, num_processes) as chunks:
            counted = tokens()
            for seen, found in chunks:
                facts += seen
                hashed += found
                on_rows(len(seen))
        sightings = _sightings(examples, facts)
        like = compare_rows(examples, part_of, hashed, on_rows=on_rows)
    sightings |= {
        "duplicate": like.duplicates,
        "near-duplicate": like.near_duplicates,
        "contradiction": like.contradictions,
        "leak": like.leaks,
        "near-leak": like.near_leaks,
    }
    dropped = {"leak": like.leaked, "near-leak": like.near_leaked, **like.repeated}
    if counted is not None:
        sightings["too-long"] = tuple(_too_long(examples, counted))
    findings = (
        Finding(kind=kind, sightings=tuple(sightings[kind.name]), dropped=dropped.get(kind.name))
        for kind in KINDS
        if sightings.get(kind.name)
    )
    instructions = Counter(example.instruction for example in examples)
    return Audit(
        source=dataset.source,
        sha256=dataset.sha256,
        read_as=dataset.shape,
        changes=dataset.changes,
        invalid=dataset.dropped,
        num_rows=len(examples),
        parts={part: len(indices) for part, indices in parts.items()},
        part_of=part_of,
        num_conversations=sum(bool(example.turns) for example in examples),
        num_systems=sum(bool(example.system) for example in examples),
        num_instructions=len(instructions),
        instructions=tuple((text, number) for text, number in instructions.most_common(5) if number > 1),
        lengths=tuple(_lengths(examples, counted)),
        ratio=_ratio(examples, counted),
        languages=tuple(_languages(facts).most_common()),
        findings=tuple(findings),
        looked_for=tuple(kind.name for kind in KINDS if kind.name != "too-long" or counted is not None),
        style="" if counted is None else counted.style,
        tokenizer="" if counted is None else counted.tokenizer,
        notes=tuple(notes),
    )


def _check_libraries() -> None:
    try:
        import datasketch  # noqa: F401
        import ftfy  # noqa: F401
        import py3langid  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"looking at data needs {error.name}, which is not installed: pip install 'sftframe[data]'"
        ) from None


@contextmanager
def _without_collector() -> Iterator[None]:
    """Leave freed memory to reference counts: nothing here makes circles, and the collector's passes over millions of
    small objects take a fifth of the comparison of 30,000 rows (8.8 against 7.0 CPU seconds).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_CHUNK = 2000
"""Rows that one process looks at in one go; fewer rows are not worth a process."""


@contextmanager
def _looked_at(
    examples: Sequence[Example], num_processes: int
) -> Iterator[Iterator[tuple[list[RowFacts], list[Signature]]]]:
    """The results chunk by chunk; other processes begin at once."""
    chunks = [examples[start : start + _CHUNK] for start in range(0, len(examples), _CHUNK)]
    if num_processes < 2 or len(chunks) < 2:
        yield map(look_at_rows, chunks)
        return
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_processes, len(chunks)), mp_context=context) as pool:
        yield pool.map(look_at_rows, chunks)


def look_at_rows(examples: Sequence[Example]) -> tuple[list[RowFacts], list[Signature]]:
    """Every row by itself, and its signature; a function of its own so that another process can call it."""
    return [look_at(example) for example in examples], signatures(examples)


_OPEN_SHARE = 0.1
"""Only where fewer long answers than this end without a closing sign, those few look cut off."""
_DOMINANT, _RARE = 0.5, 0.05
"""A language is dominant if it has more than half of the answers; it is rare with less than a twentieth."""


def _sightings(examples: Sequence[Example], facts: Sequence[RowFacts]) -> dict[str, Sequence[Sighting]]:
    """By kind, what was found in rows by themselves, or with a look at what most rows are like."""
    found: dict[str, list[Sighting]] = {kind.name: [] for kind in KINDS}
    num_long = sum(row.is_long for row in facts)
    num_open = sum(row.is_open for row in facts)
    is_open_odd = num_open < _OPEN_SHARE * num_long
    languages = _languages(facts)
    num_told = languages.total()
    common, num_common = languages.most_common(1)[0] if languages else ("", 0)
    has_dominant = num_common > _DOMINANT * num_told
    for example, row in zip(examples, facts, strict=True):
        for kind, sighting in row.sightings:
            found[kind].append(sighting)
        kinds = {kind for kind, _ in row.sightings}
        if row.is_open and is_open_odd and "cut-off" not in kinds:
            end = example.output.rstrip()
            found["cut-off"].append(Sighting(index=example.index, field="output", excerpt=f"…{end[-60:]}"))
        asked, answered = row.question_language, row.answer_language
        is_asked = _asks_for_language(example)
        if asked and answered and asked != answered and not is_asked:
            found["mixed-language"].append(_in_language(example, f"question {asked}, answer {answered}"))
        told = answered or asked
        if has_dominant and told and told != common and languages[told] < _RARE * num_told and not is_asked:
            found["rare-language"].append(_in_language(example, told))
    return dict(found)


def _in_language(example: Example, note: str) -> Sighting:
    return Sighting(index=example.index, field="output", excerpt=example.output[:80], note=note)


_WORDS_FOR_LANGUAGES = (
    *("translat", "übersetz", "tradu", "翻译", "перевед"),
    *("language", "english", "french", "spanish", "german", "italian", "portuguese", "chinese", "japanese", "korean"),
    *("russian", "arabic", "hindi", "latin", "dutch", "swedish", "polish", "turkish", "mandarin", "greek", "hebrew"),
)


def _asks_for_language(example: Example) -> bool:
    asked = f"{example.system} {example.instruction}".casefold()
    return any(word in asked for word in _WORDS_FOR_LANGUAGES)


def _languages(facts: Sequence[RowFacts]) -> Counter[str]:
    return Counter(row.answer_language for row in facts if row.answer_language)


def _too_long(examples: Sequence[Example], tokens: TokenLengths) -> Iterator[Sighting]:
    for example in examples:
        length = tokens.prompts[example.index] + tokens.answers[example.index]
        if length > tokens.most:
            yield Sighting(
                index=example.index,
                field="instruction",
                excerpt=example.instruction[:80],
                note=f"{length} tokens, {tokens.most} fit",
            )


def _lengths(examples: Sequence[Example], tokens: TokenLengths | None) -> Iterator[Lengths]:
    yield _measured("question", "characters", [len(question_of(example)) for example in examples])
    yield _measured("answer", "characters", [len(example.output) for example in examples])
    if tokens is not None:
        prompts, answers = ([by[example.index] for example in examples] for by in (tokens.prompts, tokens.answers))
        yield _measured("prompt", "tokens", prompts)
        yield _measured("answer", "tokens", answers)
        yield _measured("row", "tokens", [sum(pair) for pair in zip(prompts, answers, strict=True)])


def _measured(what: str, unit: str, values: Sequence[int]) -> Lengths:
    import numpy as np

    median, p95 = np.percentile(values, [50, 95])
    return Lengths(
        what=what,
        unit=unit,
        total=sum(values),
        least=min(values),
        median=float(median),
        p95=float(p95),
        most=max(values),
        bins=tuple(histogram(values)),
    )


def histogram(values: Sequence[int]) -> Iterator[Bin]:
    """Bars from the least to the most value; each is twice as wide as the one before.

    >>> [(bar.low, bar.high, bar.num_rows) for bar in histogram([0, 1, 2, 3, 3, 9])]
    [(0, 1, 1), (1, 2, 1), (2, 4, 3), (4, 8, 0), (8, 16, 1)]
    """
    counts = Counter(value.bit_length() for value in values)
    for size in range(min(counts), max(counts) + 1):
        yield Bin(low=1 << (size - 1) if size else 0, high=1 << size, num_rows=counts[size])


def _ratio(examples: Sequence[Example], tokens: TokenLengths | None) -> float:
    import statistics

    if tokens is not None:
        return statistics.median(
            tokens.answers[example.index] / max(1, tokens.prompts[example.index]) for example in examples
        )
    return statistics.median(len(example.output) / max(1, len(question_of(example))) for example in examples)


def advice(ratio: float) -> str:
    """What published work says for data with this ratio of answer to prompt."""
    if ratio < 1:
        return (
            "answers are shorter than their prompts: compare masks before you choose one. Counting the prompt a little "
            "(prompt-weight, 0.01 to 0.5) helped on such data (arXiv 2401.13586); counting instructions helped most "
            "with long instructions, short answers and few examples (arXiv 2405.14394)"
        )
    return (
        "answers are as long as their prompts or longer: in published work the weight of the prompt hardly mattered on "
        "such data (arXiv 2401.13586)"
    )
