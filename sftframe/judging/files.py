"""Judging and comparing the answers of files and of finished runs, outside of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sftframe.confidence import groups_note, merged_groups
from sftframe.config import RunConfig
from sftframe.data import likely_families, load_answered
from sftframe.errors import ConfigError, DataError, Interrupted, SftframeError
from sftframe.files import plain
from sftframe.interrupts import interruptible
from sftframe.judging.asking import Judgement, Judging
from sftframe.judging.pairs import PairOutcome, PairSummary, combine, make_pairs, summarise_pairs
from sftframe.judging.scoring import (
    ScoreDifference,
    check_failures,
    failure_counts,
    judge_item,
    match_items,
    paired_difference,
    summarise,
)
from sftframe.plugins import Judge
from sftframe.progress import Observer
from sftframe.records import AnsweredItem, JudgeItem, Preference, Verdict
from sftframe.registry import Registry, load_registry
from sftframe.runs import RunStore, read_object


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredItems:
    """Questions with a model's answers."""

    label: str
    """The path, as it was given."""
    items: tuple[JudgeItem, ...]
    data_sha256: str | None = None
    """SHA-256 of the run's data; None for a file of answers."""
    verdicts: Mapping[str, Mapping[int, Verdict]] = field(default_factory=dict)
    """Verdicts that exist already: by `Judge.identity`, then by index."""
    groups: Mapping[int, str] = field(default_factory=dict)
    """By index the item's group, for items that have one."""


def is_answer_file(path: Path) -> bool:
    """Whether a path means a file of answers and not a run's folder; it need not exist."""
    return path.is_file() or (path.suffix.lower() in _ENDINGS and not path.is_dir())


_ENDINGS = (".json", ".jsonl", ".ndjson")


def read_answered_file(path: Path, config: RunConfig, *, needs_group: bool = True) -> AnsweredItems:
    """The items of a file in the chapter's format. `data.fields` maps other names; `data.limit` takes the first ones.

    Args:
        needs_group: a file without the field `data.group` is an error; else its items have no groups.

    Raises:
        DataError: it cannot be read, or an entry cannot be used.
    """
    found = load_answered(config.data.model_copy(update={"source": str(path)}), needs_group=needs_group)
    answered = zip(found.dataset.examples, found.answers, strict=True)
    return AnsweredItems(
        label=str(path),
        items=tuple(judge_item(example, answer) for example, answer in answered),
        groups={example.index: example.group for example in found.dataset.examples if example.group},
    )


def read_answered_run(path: Path) -> AnsweredItems:
    """The test items of a run with the fine-tuned model's answers, in the order of the data.

    Raises:
        ConfigError: the folder is not a run, or the run is not finished.
    """
    run = RunStore.open(path)
    if not (run.items_path.exists() and run.responses_path.exists()):
        raise ConfigError(f"{path} is not finished: continue it with sftframe run --resume {path}")
    files = run.answers("after")
    answers = {response.index: response.text for response in files.known_responses()}
    verdicts: dict[str, dict[int, Verdict]] = {}
    for verdict in files.all_verdicts():
        verdicts.setdefault(verdict.judge, {})[verdict.index] = verdict
    return AnsweredItems(
        label=str(path),
        items=tuple(_as_it_is_now(item, answers, path) for item in run.items()),
        data_sha256=_data_sha256(run.manifest_path),
        verdicts=verdicts,
        groups={item.index: item.group for item in run.items() if item.group},
    )


def _as_it_is_now(item: AnsweredItem, answers: Mapping[int, str], path: Path) -> JudgeItem:
    """The question of the last report, with the answer of the last `sftframe generate`."""
    if item.index not in answers:
        raise ConfigError(f"{path} has no answer to test item {item.index}: sftframe generate {path} writes it")
    return item.for_judge(answers[item.index])


def _data_sha256(path: Path) -> str:
    data = read_object(path).get("data")
    if not isinstance(data, dict) or not isinstance(data.get("sha256"), str):
        raise ConfigError(f"{path} does not record the data of the run: it is damaged or was changed")
    return str(data["sha256"])


def judge_file(
    path: Path | str,
    config: RunConfig | None = None,
    *,
    registry: Registry | None = None,
    observer: Observer | None = None,
    num_repeats: int = 1,
) -> Judgement:
    """Judge the answers in a JSON or JSON Lines file, as `sftframe judge FILE` does.

    Args:
        config: its `judge`, `max_failures` and `data.fields` count.
        num_repeats: how often every answer is judged, to measure the judge's own noise.

    Returns:
        One verdict per entry, in the file's order, failures too. `Judgement.check` says whether enough of them have a
        score.

    Raises:
        SftframeError: the file or the judge cannot be used.
    """
    config, observer = config or RunConfig(), observer or Observer()
    answered = read_answered_file(Path(path), config)
    judging = choose_judge(config, registry or load_registry(), observer)
    return judge_items(judging, answered.items, num_repeats=num_repeats, groups=answered.groups)


def choose_judge(config: RunConfig, registry: Registry, observer: Observer) -> Judging:
    """The judge that a configuration names, ready to be asked.

    Raises:
        ConfigError: the judge or an option does not exist.
        JudgeError: it cannot work here.
    """
    judge = registry.judge(config.judge.name, config.judge.options)
    judge.check()
    return Judging.of(config, judge, registry, observer)


def judge_behind(identity: str, registry: Registry) -> Judge | None:
    """The judge that gave verdicts, with default options; None if it is not installed.

    Args:
        identity: `Judge.identity`: a name, and after `:`, `@` or `#` what else decides.
    """
    with suppress(SftframeError):
        return registry.judge(re.split("[:@#]", identity)[0])
    return None


def judge_items(
    judging: Judging, items: Sequence[JudgeItem], *, num_repeats: int = 1, groups: Mapping[int, str] | None = None
) -> Judgement:
    """Verdicts on items that belong to no run.

    Args:
        groups: by index the item's group; items of one group are one unit in the interval.

    Raises:
        Interrupted: the user or the system stopped it.
        JudgeError: the judge cannot continue.
    """
    with explained_interrupt(judging):
        judgement = judging.judge_answers(items, stage="judge", num_repeats=num_repeats)
    return replace(judgement, groups=groups or {})


@contextmanager
def explained_interrupt(judging: Judging) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a message that says what is kept."""
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        kept = "the verdicts so far are in the cache: the same command continues" if judging.is_caching else ""
        raise Interrupted(f"stopped; {kept or 'no verdict is kept: the same command starts again'}") from None


By = Literal["pairs", "scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadToHead:
    """What a judge says about b's answers against a's, on the questions that both answered."""

    judge: str
    """`Judge.identity`."""
    a: AnsweredItems
    b: AnsweredItems
    matches: tuple[tuple[JudgeItem, JudgeItem], ...]
    """a's and b's item of every common question, in a's order."""
    scores: ScoreDifference | None = None
    """Present if single answers were scored."""
    verdicts: tuple[tuple[Verdict, Verdict], ...] = ()
    """On a's and b's answer, one pair per match, if single answers were scored."""
    pairs: PairSummary | None = None
    """Present if pairs were compared."""
    outcomes: tuple[PairOutcome, ...] = ()
    """One per match, if pairs were compared."""
    preferences: tuple[Preference, ...] = ()
    """All that the judge of pairs said, in the order of the questions to it."""

    @property
    def groups(self) -> dict[int, str]:
        """By a's index the item's group, for items that have one on either side."""
        return merged_groups(_groups(self.a, self.b, self.matches).values())

    @property
    def note(self) -> str:
        """A line if the two sides do not have the same groups; empty if they do."""
        return groups_note(_groups(self.a, self.b, self.matches))

    def families_note(self) -> str:
        """For pairs a line if no group is named and questions look like families; else empty."""
        asked = [one for one, _ in self.matches]
        families = None if self.groups else likely_families(asked, [one.reference for one in asked])
        if families is None or self.pairs is None:
            return ""
        names = {one.index: f"family {number}" for one, number in zip(asked, families.groups, strict=False)}
        found = summarise_pairs(self.outcomes, (), (), names)
        would = ""
        if found.ci95:
            low, high = (100 * end for end in found.ci95)
            would = f"; with them as groups the interval of the win rate would be {low:.1f} to {high:.1f} %"
        return f"{families.told}, and no group is named{would}: {families.setting}"

    def check(self, max_failures: float) -> None:
        """Check that the judge answered enough questions.

        Raises:
            JudgeError: a share of more than `max_failures` (0-1) has no answer.
        """
        for side in zip(*self.verdicts, strict=True):
            check_failures(side, max_failures)
        check_failures(self.preferences, max_failures)


def compare_answers(
    a: Path | str,
    b: Path | str,
    config: RunConfig | None = None,
    *,
    by: By | None = None,
    registry: Registry | None = None,
    observer: Observer | None = None,
) -> HeadToHead:
    """Compare the answers in two run folders or files, as `sftframe compare` does.

    Args:
        config: its `judge`, `max_failures` and `data.fields` count.
        by: ask for the better of two answers, or score each one; by default pairs, if the judge can compare them.

    Returns:
        What the judge said about every common question. `HeadToHead.check` says whether enough was answered.

    Raises:
        SftframeError: a side or the judge cannot be used, or the sides have nothing in common.
    """
    config, observer = config or RunConfig(), observer or Observer()
    sides = read_sides(Path(a), Path(b), config)
    matched = matches(*sides)
    judging = choose_judge(config, registry or load_registry(), observer)
    return compare_items(judging, *sides, matched, by=by)


def _groups(
    a: AnsweredItems, b: AnsweredItems, matched: Sequence[tuple[JudgeItem, JudgeItem]]
) -> dict[str, dict[int, str]]:
    """Groups by a's index, of side A and side B."""
    return {
        f"A ({a.label})": {one.index: a.groups[one.index] for one, _ in matched if one.index in a.groups},
        f"B ({b.label})": {one.index: b.groups[other.index] for one, other in matched if other.index in b.groups},
    }


def read_sides(a: Path, b: Path, config: RunConfig) -> tuple[AnsweredItems, AnsweredItems]:
    """The answers of two folders of runs, or files. It is enough that one of them has the field `data.group`.

    Raises:
        SftframeError: there are none, or they cannot be read.
    """
    files = [path for path in (a, b) if is_answer_file(path)]
    one, other = (
        read_answered_file(path, config, needs_group=False) if path in files else read_answered_run(path)
        for path in (a, b)
    )
    if files and not one.groups and not other.groups:
        read_answered_file(files[0], config)  # a field that no file has is an error
    return one, other


def matches(a: AnsweredItems, b: AnsweredItems) -> tuple[tuple[JudgeItem, JudgeItem], ...]:
    """The items that both sides have.

    Raises:
        ConfigError: two runs of different data.
        DataError: no item is on both sides.
    """
    if None not in (a.data_sha256, b.data_sha256) and a.data_sha256 != b.data_sha256:
        raise ConfigError(
            f"{a.label} and {b.label} were made with different data (SHA-256 {a.data_sha256 or '':.12}… and "
            f"{b.data_sha256 or '':.12}…): compare runs of the same data; if the questions are meant to be the same, "
            f"compare the files {a.label}/responses.json and {b.label}/responses.json"
        )
    found = tuple(match_items(a.items, b.items))
    if found:
        return found
    questions = {(item.instruction, item.input) for item in a.items}
    same = sum((item.instruction, item.input) in questions for item in b.items)
    hint = f"; {same} questions of {b.label} are in {a.label} with another reference" if same else ""
    raise DataError(
        f"{a.label} and {b.label} have no item in common ({len(a.items)} and {len(b.items)} items){hint}: "
        "expected answers to the same questions, with the same instruction, input and output"
    )


def compare_items(
    judging: Judging,
    a: AnsweredItems,
    b: AnsweredItems,
    matched: Sequence[tuple[JudgeItem, JudgeItem]],
    *,
    by: By | None = None,
) -> HeadToHead:
    """What a judge says of matched items.

    Raises:
        JudgeError: the judge cannot continue, or pairs were asked for and it grades single answers only.
        Interrupted: the user or the system stopped it.
    """
    by_pairs = judging.judge.can_prefer if by is None else by == "pairs"
    with explained_interrupt(judging):
        return (_by_pairs if by_pairs else _by_scores)(judging, a, b, tuple(matched))


def _by_scores(
    judging: Judging, a: AnsweredItems, b: AnsweredItems, matched: tuple[tuple[JudgeItem, JudgeItem], ...]
) -> HeadToHead:
    sides = []
    for name, side, items in (("a", a, [one for one, _ in matched]), ("b", b, [other for _, other in matched])):
        known = side.verdicts.get(judging.judge.identity, {})
        sides.append(judging.judge_answers(items, stage=f"judge {name}", known=known).verdicts)
    return HeadToHead(
        judge=judging.judge.identity,
        a=a,
        b=b,
        matches=matched,
        scores=paired_difference(sides[0], sides[1], merged_groups(_groups(a, b, matched).values())),
        verdicts=tuple(zip(*sides, strict=True)),
    )


def _by_pairs(
    judging: Judging, a: AnsweredItems, b: AnsweredItems, matched: tuple[tuple[JudgeItem, JudgeItem], ...]
) -> HeadToHead:
    pairs = make_pairs(matched)
    forward, backward = judging.prefer_both_ways(pairs)
    outcomes = combine(pairs, forward, backward)
    return HeadToHead(
        judge=judging.judge.identity,
        a=a,
        b=b,
        matches=matched,
        pairs=summarise_pairs(outcomes, forward, backward, merged_groups(_groups(a, b, matched).values())),
        outcomes=tuple(outcomes),
        preferences=(*forward, *backward),
    )


Document = dict[str, Any]


def families_note(judgement: Judgement, items: Sequence[JudgeItem]) -> str:
    """A line if no group is named and the questions look like families, with the interval that these would give.

    Empty if there is nothing to say.
    """
    families = None if judgement.groups else likely_families(items, [item.reference for item in items])
    if families is None:
        return ""
    names = {item.index: f"family {number}" for item, number in zip(items, families.groups, strict=False)}
    interval = summarise(judgement.verdicts, judgement.judge, names).ci95
    would = ""
    if interval is not None:
        would = f"; with them as groups the 95 % interval of the mean would be {interval[0]:.1f} to {interval[1]:.1f}"
    return f"{families.told}, and no group is named{would}: {families.setting}"


def judgement_document(judgement: Judgement) -> Document:
    """The judge, the mean with its interval, and every verdict in the items' order."""
    summary = judgement.summary
    document = {
        "judge": summary.name,
        "num_items": summary.num_items,
        "num_scored": summary.num_scored,
        "mean": summary.mean,
        "ci95": summary.ci95,
        "num_groups": summary.num_groups,
        "effective_items": summary.effective_items,
        "failures": failure_counts(judgement.verdicts),
        "repeats": judgement.noise,
        "verdicts": [_verdict(verdicts) for verdicts in zip(judgement.verdicts, *judgement.repeats, strict=True)],
    }
    made: Document = plain(document)
    return made


def comparison_document(comparison: HeadToHead) -> Document:
    """The judge, both sides, the totals, and every common item in a's order."""
    sides = {
        name: {"path": side.label, "num_items": len(side.items)}
        for name, side in (("a", comparison.a), ("b", comparison.b))
    }
    scored = [verdict for both in comparison.verdicts for verdict in both]
    document = {
        "judge": comparison.judge,
        "by": "pairs" if comparison.pairs else "scores",
        **sides,
        "num_common": len(comparison.matches),
        "failures": failure_counts([*scored, *comparison.preferences]),
        "scores": comparison.scores,
        "pairs": comparison.pairs,
        "items": _scored(comparison) if comparison.scores else _compared(comparison),
    }
    made: Document = plain(document)
    return made


def _verdict(verdicts: Sequence[Verdict]) -> Document:
    first = verdicts[0]
    row: Document = {"index": first.index, "status": first.status, "score": first.score, "reason": first.reason}
    if len(verdicts) > 1:
        row["scores"] = [verdict.score for verdict in verdicts]
    return row


def _scored(comparison: HeadToHead) -> list[Document]:
    return [
        {
            "index": a.index,
            "index_b": b.index,
            "score_a": one.score,
            "score_b": other.score,
            "difference": None if one.score is None or other.score is None else other.score - one.score,
            "status_a": one.status,
            "status_b": other.status,
        }
        for (a, b), (one, other) in zip(comparison.matches, comparison.verdicts, strict=True)
    ]


def _compared(comparison: HeadToHead) -> list[Document]:
    return [
        {
            "index": a.index,
            "index_b": b.index,
            "status": outcome.status,
            "winner": outcome.winner,
            "points": outcome.points,
            "is_consistent": outcome.is_consistent,
            "reason": outcome.reason,
        }
        for (a, b), outcome in zip(comparison.matches, comparison.outcomes, strict=True)
    ]
