"""Files of people's labels: read, matched with answers, and drawn for people to fill in.

A label belongs to an answer, not to an arm: its id is a hash of question, reference and answer. So people need not know
which arm an answer is of, and equal answers of two arms or seeds need one label.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from sftframe.analysis.labels import LEAST_LABELS, Design
from sftframe.errors import ConfigError, DataError, brief, suggestion
from sftframe.files import read_named_text
from sftframe.records import JudgeItem

AnsweredArms = Mapping[str, Mapping[int, Sequence[JudgeItem]]]
"""Arm to seed to its answered items."""


def answer_ids(items: Sequence[JudgeItem]) -> list[str]:
    """The id of each answer; a question that comes twice gives two ids.

    >>> def answered(*answers):
    ...     return [JudgeItem(index=9, instruction="2 + 2?", input="", reference="4", answer=a) for a in answers]
    >>> answer_ids(answered("4", "4")) == answer_ids(answered("4"))
    False
    >>> answer_ids(answered("4", "5"))[0] == answer_ids(answered("4"))[0]
    True
    """
    seen: dict[tuple[str, ...], int] = {}
    found = []
    for item in items:
        before = [text for text in (item.system, item.tools) if text]
        before += [text for turn in item.turns for text in (turn.instruction, turn.input, turn.output)]
        question = (*before, item.instruction, item.input, *item.accepted)
        seen[question] = seen.get(question, 0) + 1
        parts = (*question, item.answer, str(seen[question]))
        digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "replace"))
        found.append(f"a{digest.hexdigest()[:15]}")  # a letter first, else a spreadsheet may read it as a number
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which answer a line is about, by position; used where a file has no ids."""

    index: int
    arm: str | None = None
    seed: int | None = None


Key = str | Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleLabels:
    """The content of a file of labels."""

    path: str
    labels: Mapping[Key, float]
    """By answer, 0-100; where several people labelled it, their mean."""
    probability: Mapping[Key, float]
    """By answer the chance with which its item was drawn, for those that have one; answers without a label too."""
    stratum: Mapping[Key, str]
    num_unlabelled: int
    """Lines without a label."""
    num_people: int
    num_twice: int
    """Answers with two labels or more."""
    alpha: float | None
    """Krippendorff's alpha (interval) of the answers with two labels or more: 1 = people agree, 0 = as by chance. None
    = no such answers, or their labels are all the same.
    """

    @property
    def is_by_position(self) -> bool:
        """Whether a line names its answer by index, arm and seed and not by an id."""
        return any(isinstance(key, Place) for key in self.labels)

    @property
    def is_binary(self) -> bool:
        """Whether all labels are 0 or 100."""
        return all(label in (0.0, 100.0) for label in self.labels.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedLabels:
    """Labels of the answers of runs."""

    labels: PeopleLabels
    scores: Mapping[str, Mapping[int, Mapping[int, float]]]
    """Arm to seed to item index to label."""
    design: Design
    num_unknown: int
    """Labels of answers that the runs do not have."""

    def both(self, baseline: str, candidate: str) -> dict[int, dict[int, float]]:
        """Candidate minus baseline by seed and item, where both answers have a label."""
        one, other = self.scores[baseline], self.scores[candidate]
        return {
            seed: {item: other[seed][item] - one[seed][item] for item in one[seed] if item in other[seed]}
            for seed in one
            if seed in other
        }

    @property
    def notes(self) -> list[str]:
        """What was left out, one line each."""
        found = []
        if self.num_unknown:
            found.append(
                f"labels of {self.num_unknown} answers in {self.labels.path} are left out: these runs do not have the "
                "answers"
            )
        if self.labels.num_unlabelled:
            found.append(
                f"answers without a label in {self.labels.path}: {self.labels.num_unlabelled}; they are left out as if "
                "at random, so leave out none because it is hard"
            )
        if not self.labels.probability:
            found.append(
                f"the labelled items count as drawn at random from all, since {self.labels.path} has no column "
                "'probability'"
            )
        return found


def match_labels(labels: PeopleLabels, arms: AnsweredArms) -> MatchedLabels:
    """The labels of these answers.

    Raises:
        DataError: no label is of these answers, an arm or seed does not exist or is not named where there are several,
        or the answers of one item have different chances to be drawn.
    """
    places: dict[Key, list[tuple[str, int, int]]] = {}
    for arm, runs in arms.items():
        for seed, items in runs.items():
            for item, name in zip(items, answer_ids(items), strict=True):
                places.setdefault(name, []).append((arm, seed, item.index))
    known = {key: places.get(key, []) if isinstance(key, str) else _at(key, labels, arms) for key in _keys(labels)}
    if not any(known[key] for key in labels.labels):
        raise DataError(
            f"{labels.path}: none of its {len(labels.labels)} labels is of an answer of {', '.join(arms)}: the answers "
            "have changed since the labels were drawn, or they are of other runs"
        )
    scores: dict[str, dict[int, dict[int, float]]] = {arm: {seed: {} for seed in runs} for arm, runs in arms.items()}
    for key, label in labels.labels.items():
        for arm, seed, index in known[key]:
            scores[arm][seed][index] = label
    return MatchedLabels(
        labels=labels,
        scores=scores,
        design=_design(labels, known),
        num_unknown=sum(not known[key] for key in labels.labels),
    )


def _keys(labels: PeopleLabels) -> set[Key]:
    return {*labels.labels, *labels.probability}


def _at(place: Place, labels: PeopleLabels, arms: AnsweredArms) -> list[tuple[str, int, int]]:
    """The answer at a position; none if it is not there."""
    if place.arm is None and len(arms) > 1:
        raise DataError(
            f"{labels.path}: item {place.index} has neither 'id' nor 'arm', but there are {len(arms)} arms: add a "
            f"column 'arm' with {' or '.join(repr(name) for name in arms)}"
        )
    arm = next(iter(arms)) if place.arm is None else place.arm
    if arm not in arms:
        raise DataError(f"{labels.path}: no arm {brief(arm)}{suggestion(arm, arms)}")
    if place.seed is None and len(arms[arm]) > 1:
        raise DataError(
            f"{labels.path}: item {place.index} has neither 'id' nor 'seed', but {arm} has {len(arms[arm])} seeds: add "
            "a column 'seed'"
        )
    seed = next(iter(arms[arm])) if place.seed is None else place.seed
    if seed not in arms[arm]:
        raise DataError(f"{labels.path}: {arm} has no seed {seed}; it has {', '.join(map(str, arms[arm]))}")
    return [(arm, seed, place.index)] if any(item.index == place.index for item in arms[arm][seed]) else []


def _design(labels: PeopleLabels, known: Mapping[Key, Sequence[tuple[str, int, int]]]) -> Design:
    probability: dict[int, float] = {}
    stratum: dict[int, str] = {}
    for key, chance in labels.probability.items():
        for _, _, index in known[key]:
            if probability.setdefault(index, chance) != chance:
                raise DataError(
                    f"{labels.path}: the answers to item {index} have the probabilities {probability[index]:g} and "
                    f"{chance:g}, expected one: items are drawn, with all their answers"
                )
            stratum[index] = labels.stratum.get(key, "")
    return Design(probability=probability, stratum=stratum)


_WORDS = {
    **dict.fromkeys(("yes", "y", "true", "right", "correct", "good"), 1.0),
    **dict.fromkeys(("no", "n", "false", "wrong", "incorrect", "bad"), 0.0),
}
_NOTHING = ("", "-", "–", "?", "na", "n/a")
"""Labels that mean: not labelled."""
_COLUMNS = ("id", "index", "arm", "seed", "label", "person", "probability", "stratum")
_SMALL_SCALE = 10
"""If the largest label is between 1 and this, it may be 3 of 5 as well as 3 of 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    key: Key
    label: float | None
    is_word: bool
    person: str
    probability: float | None
    stratum: str


def read_labels(path: Path, *, scale: tuple[float, float] | None = None) -> PeopleLabels:
    """The labels in a CSV file.

    It has a column `label`, and `id` or `index` (with `arm` and `seed` where there are several). `person`,
    `probability` and `stratum` may be there; other columns are not read. The delimiter is a comma, semicolon or tab.

    Args:
        scale: lowest and highest label. None = 0 to 1, 0 to 100, or words such as yes and no, as the file shows.

    Raises:
        ConfigError: there is no such file.
        DataError: the file cannot be read, or a line is wrong; the message has its number.
    """
    lines, labels = _read(path, scale)
    by_key: dict[Key, dict[str, tuple[float, int]]] = {}
    for line, label in zip(lines, labels, strict=True):
        if label is not None:
            _keep(by_key.setdefault(line.key, {}), line, label, path)
    groups = {key: [label for label, _ in people.values()] for key, people in by_key.items()}
    probability, stratum = _drawn(lines, path)
    return PeopleLabels(
        path=str(path),
        labels={key: fmean(values) for key, values in groups.items()},
        probability=probability,
        stratum=stratum,
        num_unlabelled=len({line.key for line in lines} - set(groups)),
        num_people=max(len({line.person for line in lines if line.label is not None}), max(map(len, groups.values()))),
        num_twice=sum(len(values) > 1 for values in groups.values()),
        alpha=krippendorff_alpha(groups.values()),
    )


def rescaled_csv(path: Path, *, scale: tuple[float, float] | None = None) -> str:
    """The lines of a file of labels with the columns that are read, and labels from 0 to 100.

    Raises as `read_labels`.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line, label in zip(*_read(path, scale), strict=True):
        place = line.key if isinstance(line.key, Place) else None
        name = "" if place else line.key
        index, arm, seed = (place.index, place.arm, place.seed) if place else (None, None, None)
        writer.writerow([name, index, arm, seed, label, line.person, line.probability, line.stratum])
    return out.getvalue()


def _read(path: Path, scale: tuple[float, float] | None) -> tuple[list[_Line], list[float | None]]:
    """The lines, and the label of each from 0 to 100."""
    try:
        text = read_named_text(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}): save it as CSV UTF-8") from error
    except OSError as error:
        kind = DataError if path.is_file() else ConfigError
        raise kind(f"cannot read the labels in {path}: {error.strerror or error}") from error
    lines = list(_lines(text, path))
    if not any(line.label is not None for line in lines):
        raise DataError(f"{path} has no labels yet: fill in the column 'label'")
    lowest, highest = _scale_of(lines, path) if scale is None else scale
    return lines, [None if line.label is None else _on_scale(line, lowest, highest, path) for line in lines]


def _lines(text: str, path: Path) -> Iterator[_Line]:
    header, _, _ = text.partition("\n")
    if not header.strip():
        raise DataError(f"{path} is empty, expected a table with the columns id and label")
    delimiter = max(",;\t", key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().casefold() for name in next(rows)]
        _check_names(names, path)
        number = rows.line_num + 1
        for row in rows:
            if any(cell.strip() for cell in row):
                if len(row) != len(names):
                    raise DataError(
                        f"{path}: line {number} has {len(row)} fields, expected {len(names)} as in the header: put a "
                        'text with the delimiter or a line break in "quotes"'
                    )
                yield _line(dict(zip(names, (cell.strip() for cell in row), strict=True)), number, path)
            number = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}: {error}: save the table as CSV again") from error


def _check_names(names: Sequence[str], path: Path) -> None:
    twice = next((name for name in _COLUMNS if names.count(name) > 1), None)
    if twice:
        raise DataError(f"{path} has two columns {twice!r}: rename or remove one")
    if "label" not in names:
        raise DataError(f"{path} has no column 'label', only {', '.join(map(brief, names))}: expected id and label")
    if "id" not in names and "index" not in names:
        raise DataError(
            f"{path} has neither a column 'id' nor 'index': expected the ids that --write-labels wrote, or the index "
            "of each item in the data"
        )


def _line(cells: Mapping[str, str], number: int, path: Path) -> _Line:
    where = f"{path}: line {number}"
    label, is_word = _label(cells["label"], where)
    chance = _number(cells.get("probability", ""))
    if cells.get("probability") and not (chance is not None and 0 < chance <= 1):
        raise DataError(
            f"{where}: the probability is {brief(cells['probability'])}, expected more than 0 and at most 1"
        )
    return _Line(
        number=number,
        key=_key(cells, where),
        label=label,
        is_word=is_word,
        person=cells.get("person", ""),
        probability=chance,
        stratum=cells.get("stratum", ""),
    )


def _key(cells: Mapping[str, str], where: str) -> Key:
    if cells.get("id"):
        return cells["id"]
    if not cells.get("index"):
        raise DataError(f"{where} has no id: expected the id of an answer, as --write-labels wrote it")
    numbers = {name: _number(cells.get(name, "")) for name in ("index", "seed")}
    for name, found in numbers.items():
        if cells.get(name) and (found is None or found != int(found)):
            raise DataError(f"{where}: the {name} is {brief(cells[name])}, expected a whole number")
    index, seed = numbers["index"], numbers["seed"]
    return Place(index=int(index or 0), arm=cells.get("arm") or None, seed=None if seed is None else int(seed))


def _label(text: str, where: str) -> tuple[float | None, bool]:
    """A label as it stands, and whether it is a word."""
    word = text.casefold()
    if word in _NOTHING:
        return None, False
    if word in _WORDS:
        return _WORDS[word], True
    found = _number(text.removesuffix("%"))
    if found is None:
        raise DataError(f"{where}: the label is {brief(text)}, expected a number, yes or no, or nothing")
    return found, False


def _number(text: str) -> float | None:
    """A finite number, with a decimal point or comma."""
    try:
        found = float(text.replace(",", "."))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _scale_of(lines: Iterable[_Line], path: Path) -> tuple[float, float]:
    """The lowest and highest label that the file means."""
    numbers = [(line.label, line.number) for line in lines if line.label is not None and not line.is_word]
    largest, number = max(numbers, default=(0.0, 0))
    if largest <= 1:
        return 0.0, 1.0
    if any(line.is_word for line in lines):
        raise DataError(f"{path}: line {number}: the label is {largest:g}, but others are words: use one of the two")
    if largest <= _SMALL_SCALE:
        raise DataError(
            f"{path}: the largest label is {largest:g}, so the scale is not clear: say it with --label-scale, for "
            f"instance --label-scale 1-{max(5, math.ceil(largest))} or 0-100"
        )
    return 0.0, 100.0


def _on_scale(line: _Line, lowest: float, highest: float, path: Path) -> float:
    """The label from 0 to 100."""
    assert line.label is not None
    if line.is_word:
        return 100.0 * line.label
    if not lowest <= line.label <= highest:
        raise DataError(
            f"{path}: line {line.number}: the label is {line.label:g}, expected {lowest:g} to {highest:g}; say another "
            "scale with --label-scale LOWEST-HIGHEST"
        )
    return 100.0 * (line.label - lowest) / (highest - lowest)


def _keep(people: dict[str, tuple[float, int]], line: _Line, label: float, path: Path) -> None:
    """Add one person's label of an answer; without names every line is another person."""
    person = line.person or f"line {line.number}"
    if person in people and people[person][0] != label:
        raise DataError(
            f"{path}: lines {people[person][1]} and {line.number} have two labels of {brief(line.person)} for the same "
            "answer: keep one of them"
        )
    people.setdefault(person, (label, line.number))


def _drawn(lines: Iterable[_Line], path: Path) -> tuple[dict[Key, float], dict[Key, str]]:
    probability: dict[Key, float] = {}
    stratum: dict[Key, str] = {}
    without = None
    for line in lines:
        if line.probability is None:
            without = line.number if without is None else without
        elif probability.setdefault(line.key, line.probability) != line.probability:
            raise DataError(f"{path}: line {line.number} has another probability than the same answer's first line")
        else:
            stratum.setdefault(line.key, line.stratum)
    if probability and without is not None:
        raise DataError(f"{path}: line {without} has no probability, but others have one: expected all or none")
    return probability, stratum


def read_scale(text: str) -> tuple[float, float]:
    """Lowest and highest label of `--label-scale`.

    Raises:
        ConfigError: it is not two numbers, the first one lower.

    >>> read_scale("1-5")
    (1.0, 5.0)
    """
    low, separator, high = text.strip().rpartition("-")
    lowest, highest = _number(low), _number(high)
    if not separator or lowest is None or highest is None or lowest >= highest:
        raise ConfigError(f"--label-scale {brief(text)}: expected the lowest and the highest label, for instance 1-5")
    return lowest, highest


def krippendorff_alpha(groups: Iterable[Sequence[float]]) -> float | None:
    """Agreement of labels, each group those of one answer; groups of one are left out (Krippendorff 2011, interval).

    >>> krippendorff_alpha([[0, 0], [100, 100]])
    1.0
    >>> round(krippendorff_alpha([[0, 0], [100, 0], [100, 100]]), 4)
    0.4444
    """
    units = [[float(value) for value in group] for group in groups if len(group) > 1]
    values = [value for unit in units for value in unit]
    if len(set(values)) < 2:
        return None
    number = len(values)
    mean = fmean(values)
    expected = 2 * math.fsum((value - mean) ** 2 for value in values) / (number - 1)
    observed = math.fsum(
        2 * len(unit) / (len(unit) - 1) * math.fsum((value - fmean(unit)) ** 2 for value in unit) for unit in units
    )
    return 1 - observed / number / expected


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnAnswer:
    """An answer to be labelled."""

    id: str
    before: tuple[tuple[str, str], ...] = ()
    """Who said what before the question, oldest first; empty for a single question."""
    question: str
    input: str
    reference: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnItem:
    """A drawn item with the answers of all arms in one seed, equal ones once, in random order."""

    index: int
    stratum: str
    probability: float
    answers: tuple[DrawnAnswer, ...]


NUM_STRATA = 3
"""Strata of items on which the judge sees a difference; those without one are another."""
LEAST_OF_STRATUM = 3


def draw_items(
    arms: AnsweredArms, scores: Mapping[str, Mapping[int, Mapping[int, float | None]]], number: int, *, seed: int = 0
) -> list[DrawnItem]:
    """Items for people to label, drawn at random within strata of the judge's disagreement.

    Disagreement is the largest difference of two arms' mean scores on the item; of a single arm the score itself makes
    the strata. Each stratum gives items in proportion to its size, at least three. Of every item one seed is drawn.

    Args:
        scores: of the judge, by arm, seed and item. Items that lack one are not drawn.
        number: of items; more than there are gives all.
        seed: of the draw; the same seed draws the same items, and of a larger number these and more.

    Raises:
        ConfigError: fewer items are wanted than can be used.
        DataError: the arms have too few items with scores in common.
    """
    if number < LEAST_LABELS:
        raise ConfigError(
            f"--write-labels {number}: expected at least {LEAST_LABELS} items; a hundred are a good start"
        )
    seeds = sorted(set.intersection(*(set(runs) for runs in arms.values())))
    complete = _complete(scores, seeds)
    if len(complete) < LEAST_LABELS:
        raise DataError(
            f"{len(complete)} items have a score of the judge everywhere, expected at least {LEAST_LABELS}: judge the "
            "answers first"
        )
    strata = _strata(complete)
    drawn = []
    for (name, items), wanted in zip(strata.items(), _allocation(list(map(len, strata.values())), number), strict=True):
        order = list(items)
        random.Random(f"{seed} {name}").shuffle(order)  # a larger number draws the same items and more
        drawn += [(index, name, wanted / len(items)) for index in order[:wanted]]
    random.Random(seed).shuffle(drawn)
    by_index = {
        (arm, one): {item.index: (item, name) for item, name in zip(items, answer_ids(items), strict=True)}
        for arm, runs in arms.items()
        for one, items in runs.items()
        if one in seeds
    }
    found = []
    for index, stratum, probability in drawn:
        generator = random.Random(f"{seed} item {index}")
        chosen = generator.choice(seeds)
        pairs = [by_index[arm, chosen][index] for arm in arms]
        answers = list({name: _drawn_answer(item, name) for item, name in pairs}.values())
        generator.shuffle(answers)
        found.append(DrawnItem(index=index, stratum=stratum, probability=probability, answers=tuple(answers)))
    return found


def _complete(scores: Mapping[str, Mapping[int, Mapping[int, float | None]]], seeds: Sequence[int]) -> dict[int, float]:
    """By item with all scores the disagreement of the arms, or the score of a single one."""
    cells = [runs[seed] for runs in scores.values() for seed in seeds]
    found = {}
    for index in sorted(set.intersection(*(set(cell) for cell in cells))):
        values = [[runs[seed][index] for seed in seeds] for runs in scores.values()]
        known = [[value for value in arm if value is not None] for arm in values]
        if all(len(arm) == len(seeds) for arm in known):
            means = [fmean(arm) for arm in known]
            found[index] = max(means) - min(means) if len(means) > 1 else means[0]
    return found


def _strata(values: Mapping[int, float]) -> dict[str, list[int]]:
    """Items without disagreement, then the others in parts of equal size, the smallest disagreement first."""
    tied = [index for index, value in values.items() if value == 0]
    others = sorted((index for index, value in values.items() if value != 0), key=lambda index: (values[index], index))
    parts = [others[len(others) * i // NUM_STRATA : len(others) * (i + 1) // NUM_STRATA] for i in range(NUM_STRATA)]
    return {str(number): part for number, part in enumerate([tied, *parts], start=1) if part}


def _allocation(sizes: Sequence[int], number: int) -> list[int]:
    """How many items each stratum gives: in proportion to its size, but at least three or all.

    >>> _allocation([60, 30, 9, 1], 20)
    [11, 5, 3, 1]
    """
    total = sum(sizes)
    wanted = [min(size, LEAST_OF_STRATUM) for size in sizes]
    while sum(wanted) < min(number, total):
        open_ones = [place for place, size in enumerate(sizes) if wanted[place] < size]
        wanted[max(open_ones, key=lambda place: number * sizes[place] / total - wanted[place])] += 1
    return wanted


def _drawn_answer(item: JudgeItem, name: str) -> DrawnAnswer:
    return DrawnAnswer(
        id=name,
        before=item.before,
        question=item.instruction,
        input=item.input,
        reference=" / ".join(item.accepted),
        answer=item.answer,
    )


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that starts so may be run as a formula by a spreadsheet."""


def labels_csv(items: Iterable[DrawnItem]) -> str:
    """The drawn answers as CSV with an empty column `label`, one line per answer."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("id", "label", "person", "before", "question", "input", "reference", "answer", "probability", "stratum")
    )
    for item in items:
        for one in item.answers:
            before = "\n".join(f"{speaker}: {text}" for speaker, text in one.before)
            texts = (before, one.question, one.input, one.reference, one.answer)
            shown = (f"'{text}" if text.startswith(_FORMULA) else text for text in texts)
            writer.writerow((one.id, "", "", *shown, repr(item.probability), item.stratum))
    return out.getvalue()
