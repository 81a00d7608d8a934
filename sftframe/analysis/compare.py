"""The comparison of arms: tables of every yardstick, answers that changed, and the result that commands show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from statistics import fmean
from typing import Any

from sftframe.analysis.agreement import Agreement
from sftframe.analysis.families import families_note
from sftframe.analysis.intervals import holm
from sftframe.analysis.labels import Corrected
from sftframe.analysis.looks import LookedAt, Looks, TakenLook
from sftframe.analysis.pairs import Comparison, ComparisonTable, Scores
from sftframe.analysis.runs import (
    ComparedArm,
    check_comparable,
    check_identity,
    differing_settings,
    groups_of,
    note_on_groups,
)
from sftframe.analysis.sentence import Claim, Design, details, effect, in_words, sentence, worth
from sftframe.analysis.verdicts import Adjust, compare_arms
from sftframe.analysis.yardsticks import COMPARED, Yardstick, find_yardstick, scored
from sftframe.config import settings_in_words
from sftframe.errors import ConfigError, DataError, PluginError, suggestion
from sftframe.formatting import duration, groups_text
from sftframe.judging import HeadToHead, caution_of
from sftframe.plugins import Judge
from sftframe.records import AnsweredItem, JudgeItem, Verdict
from sftframe.runs import LoadedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedItem:
    """An item on which candidate and baseline differ."""

    baseline: AnsweredItem
    """Both arms' items of the seed at which the two differ most."""
    candidate: AnsweredItem
    seed: int
    """That seed."""
    baseline_scores: tuple[float | None, ...]
    """One per common seed."""
    candidate_scores: tuple[float | None, ...]
    difference: float
    """Candidate minus baseline, averaged over the seeds at which both have a score."""

    @property
    def index(self) -> int:
        """Of the item in the data."""
        return self.baseline.index


def flipped_items(baseline: ComparedArm, candidate: ComparedArm, yardstick: Yardstick) -> list[FlippedItem]:
    """Items whose score differs in at least one seed, largest mean difference first, then by index."""
    seeds = sorted(set(baseline.runs) & set(candidate.runs))
    both = [(seed, _by_index(baseline, seed), _by_index(candidate, seed)) for seed in seeds]
    found = []
    for index in both[0][1] if both else ():
        pairs = {seed: (one[index], other[index]) for seed, one, other in both if index in one and index in other}
        flip = _flip(pairs, yardstick)
        if flip is not None:
            found.append(flip)
    return sorted(found, key=lambda flip: (-abs(flip.difference), flip.index))


def _by_index(arm: ComparedArm, seed: int) -> dict[int, AnsweredItem]:
    return {item.index: item for item in arm.runs[seed].items}


def _flip(pairs: Mapping[int, tuple[AnsweredItem, AnsweredItem]], yardstick: Yardstick) -> FlippedItem | None:
    """From baseline's and candidate's item by seed."""
    scores = {seed: (_score(yardstick, one), _score(yardstick, other)) for seed, (one, other) in pairs.items()}
    differences = {
        seed: second - first for seed, (first, second) in scores.items() if first is not None and second is not None
    }
    if not any(differences.values()):
        return None
    seed = max(differences, key=lambda seed: abs(differences[seed]))
    one, other = pairs[seed]
    return FlippedItem(
        baseline=one,
        candidate=other,
        seed=seed,
        baseline_scores=tuple(first for first, _ in scores.values()),
        candidate_scores=tuple(second for _, second in scores.values()),
        difference=fmean(differences.values()),
    )


def _score(yardstick: Yardstick, item: AnsweredItem) -> float | None:
    return scored(yardstick, [item]).get(item.index)


_ONLY_SEED = 0


def arms_of_answers(head_to_head: HeadToHead) -> list[ComparedArm]:
    """Both sides on their common questions; likelihoods and stop reasons are not known.

    Args:
        head_to_head: with scores of single answers.
    """
    sides = zip((head_to_head.a, head_to_head.b), zip(*head_to_head.matches, strict=True), strict=True)
    verdicts = list(zip(*head_to_head.verdicts, strict=True))
    names = _names(head_to_head)
    arms = []
    for number, (side, items) in enumerate(sides):
        groups = [side.groups.get(item.index, "") for item in items]
        results = tuple(
            _result(*parts) for parts in zip(range(len(items)), items, verdicts[number], groups, strict=True)
        )
        run = LoadedRun(
            path=Path(side.label),
            seed=_ONLY_SEED,
            settings={},
            pairing_hashes={},
            judge=head_to_head.judge,
            items=results,
            summary={},
            manifest={},
        )
        arms.append(ComparedArm(name=names[number], runs={_ONLY_SEED: run}))
    return arms


def _names(head_to_head: HeadToHead) -> tuple[str, str]:
    a, b = head_to_head.a.label, head_to_head.b.label
    return (a, b) if a != b else (f"{a} (A)", f"{b} (B)")


def _result(index: int, item: JudgeItem, verdict: Verdict, group: str) -> AnsweredItem:
    return AnsweredItem(
        index=index,
        instruction=item.instruction,
        input=item.input,
        reference=item.reference,
        answer=item.answer,
        references=item.references,
        system=item.system,
        turns=item.turns,
        speaker=item.speaker,
        tools=item.tools,
        stop_reason=None,
        response_nll=None,
        num_response_bytes=len(item.reference.encode()),
        score=verdict.score,
        verdict=verdict.status,
        reason=verdict.reason,
        group=group,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class YardstickTable:
    """One yardstick: every arm against the baseline."""

    yardstick: Yardstick
    margin: float
    """In the yardstick's unit."""
    table: ComparisonTable
    num_unscored: Mapping[str, int]
    """Per arm: items without a score, summed over its seeds; they are left out in all arms."""

    @property
    def in_groups(self) -> str:
        """In how many groups the items are, to follow their number, and what this costs; empty without groups."""
        found = [one.grouping for one in self.table.comparisons if one.grouping is not None]
        return f" in {groups_text(found[0].num_groups, *(one.effective_items for one in found))}" if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisTable:
    """One axis on the main yardstick: its values compared, averaged over all other choices."""

    axis: str
    table: ComparisonTable
    num_arms: Mapping[str, int]
    """How many arms were averaged per value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisLevels:
    """The arms of each value of an axis, each group with the same other choices."""

    axis: str
    arms: Mapping[str, Sequence[str]]
    """Names of the arms by value."""


def compare_on_all_yardsticks(
    arms: Sequence[ComparedArm],
    *,
    baseline: str | None = None,
    margins: Mapping[str, float] | None = None,
    judge_variance: float | None = None,
    looks: Looks | None = None,
    groups: Mapping[int, str] | None = None,
    yardsticks: Sequence[Yardstick] = COMPARED,
) -> list[YardstickTable]:
    """A table for every yardstick for which all arms have scores.

    Args:
        baseline: the first arm unless named.
        margins: by yardstick key, instead of the yardstick's own margin.
        judge_variance: of one score of the judge, if it was measured.
        looks: as for `compare_arms`.
        groups: by item its group; by default those that the runs know.
        yardsticks: those that are tried.

    Raises:
        DataError: no common item or seed.
    """
    tables, equal = [], _equal_answers(arms, baseline)
    groups = groups_of(arms) if groups is None else groups
    for yardstick in yardsticks:
        scores = _scores(arms, yardstick)
        if not any(value is not None for arm in scores.values() for seed in arm.values() for value in seed.values()):
            continue  # never judged
        margin = (margins or {}).get(yardstick.key) or yardstick.margin_at(_baseline_mean(arms, yardstick, baseline))
        table = compare_arms(
            scores,
            baseline=baseline,
            direction=yardstick.direction,
            margin=margin or None,
            weights=_weights(arms, yardstick),
            score_range=yardstick.score_range,
            judge_variance=judge_variance if yardstick.key == "judge" else None,
            unit=yardstick.unit,
            equal_answers=equal,
            is_about_answers=yardstick.is_about_answers,
            groups=groups,
            looks=looks,
        )
        missing = {
            name: sum(value is None for seed in arm.values() for value in seed.values()) for name, arm in scores.items()
        }
        tables.append(YardstickTable(yardstick=yardstick, margin=margin, table=table, num_unscored=missing))
    if not tables:
        raise DataError("no arm has an answer with a measurement")
    return tables


def _equal_answers(arms: Sequence[ComparedArm], baseline: str | None) -> dict[str, float]:
    """By arm the share of its answers, over items and seeds, that are the baseline's to the letter."""
    first = next((arm for arm in arms if arm.name == baseline), arms[0])
    shares = {}
    for arm in arms:
        seeds = set(first.runs) & set(arm.runs)
        answers = [(_answers(first, seed), _answers(arm, seed)) for seed in seeds]
        equal = [one.get(index) == other.get(index) for one, other in answers for index in {*one, *other}]
        shares[arm.name] = sum(equal) / len(equal) if equal else 0.0
    return shares


def _answers(arm: ComparedArm, seed: int) -> dict[int, str]:
    return {item.index: item.answer for item in arm.runs[seed].items}


def compare_levels(
    arms: Sequence[ComparedArm],
    levels: Sequence[AxisLevels],
    yardstick: Yardstick,
    margin: float,
    *,
    baselines: Mapping[str, str] | None = None,
    judge_variance: float | None = None,
    looks: Looks | None = None,
) -> list[AxisTable]:
    """The values of each axis, averaged over all other choices: the general effect of the axis.

    p values are adjusted for the comparisons of all axes together.

    Args:
        baselines: by axis the value that the others are compared with; by default the first.
        judge_variance: of one score of the judge, if it was measured; an average over arms has less.
        looks: as for `compare_arms`.
    """

    def tables(adjust: Adjust) -> list[AxisTable]:
        return [
            _axis_table(arms, axis, yardstick, margin, (baselines or {}).get(axis.axis), judge_variance, adjust, looks)
            for axis in levels
        ]

    alone = [axis.table.comparisons for axis in tables(lambda found: found)]
    found = [
        iter(holm([getattr(one, kind) for comparisons in alone for one in comparisons]))
        for kind in ("p_value", "p_equivalence")
    ]
    turns = itertools.cycle(found)  # every table asks for its p values first, then for those of equivalence
    return tables(lambda values: list(itertools.islice(next(turns), len(values))))


def _axis_table(
    arms: Sequence[ComparedArm],
    axis: AxisLevels,
    yardstick: Yardstick,
    margin: float,
    baseline: str | None,
    judge_variance: float | None,
    adjust: Adjust,
    looks: Looks | None,
) -> AxisTable:
    scores = _scores(arms, yardstick)
    num_arms = {value: len(names) for value, names in axis.arms.items()}
    table = compare_arms(
        {value: _averaged([scores[name] for name in names]) for value, names in axis.arms.items()},
        baseline=baseline,
        direction=yardstick.direction,
        margin=margin or None,
        weights=_weights(arms, yardstick),
        score_range=yardstick.score_range,
        judge_variance=None if judge_variance is None else judge_variance / min(num_arms.values()),
        unit=yardstick.unit,
        labels={value: settings_in_words({axis.axis: value}) for value in axis.arms},
        adjust=adjust,
        groups=groups_of(arms),
        is_about_answers=yardstick.is_about_answers,
        looks=looks,
    )
    return AxisTable(axis=axis.axis, table=table, num_arms=num_arms)


def axis_levels(settings: Mapping[str, Mapping[str, Any]]) -> list[AxisLevels]:
    """The axes over which arms can be averaged: every value occurs with the same other choices.

    Args:
        settings: per arm its value by axis.

    >>> grid = {"a·x": {"p": "a", "c": "x"}, "a·y": {"p": "a", "c": "y"},
    ...         "b·x": {"p": "b", "c": "x"}, "b·y": {"p": "b", "c": "y"}}
    >>> [(axis.axis, dict(axis.arms)) for axis in axis_levels(grid)][0]
    ('p', {'a': ['a·x', 'a·y'], 'b': ['b·x', 'b·y']})
    """
    found = []
    for axis in dict.fromkeys(axis for own in settings.values() for axis in own):
        groups: dict[str, list[str]] = {}
        others: dict[str, set[str]] = {}
        for name, own in settings.items():
            value = str(own.get(axis, "–"))
            groups.setdefault(value, []).append(name)
            others.setdefault(value, set()).add(str({key: own[key] for key in own if key != axis}))
        is_balanced = len({frozenset(choices) for choices in others.values()}) == 1
        if len(groups) > 1 and is_balanced and len(settings) > len(groups):
            found.append(AxisLevels(axis=axis, arms=groups))
    return found


def _scores(arms: Sequence[ComparedArm], yardstick: Yardstick) -> Scores:
    """Score by arm, seed and item; an item without the same denominator everywhere has none."""
    uneven = _uneven(arms, yardstick)
    return {
        arm.name: {
            seed: {index: None if index in uneven else score for index, score in scored(yardstick, run.items).items()}
            for seed, run in arm.runs.items()
        }
        for arm in arms
    }


def _uneven(arms: Sequence[ComparedArm], yardstick: Yardstick) -> set[int]:
    """Items whose denominator differs between runs, because only one template had to cut the reference."""
    if yardstick.weight is None:
        return set()
    known: dict[int, float] = {}
    return {
        item.index
        for arm in arms
        for run in arm.runs.values()
        for item in run.items
        if known.setdefault(item.index, yardstick.weight(item)) != yardstick.weight(item)
    }


def _weights(arms: Sequence[ComparedArm], yardstick: Yardstick) -> dict[int, float] | None:
    if yardstick.weight is None:
        return None
    return {item.index: yardstick.weight(item) for item in arms[0].any_run().items}


def _baseline_mean(arms: Sequence[ComparedArm], yardstick: Yardstick, baseline: str | None) -> float:
    arm = next((arm for arm in arms if arm.name == baseline), arms[0])
    items = [item for run in arm.runs.values() for item in run.items]
    assert yardstick.score is not None
    values = [(yardstick.score(item), yardstick.weight(item) if yardstick.weight else 1.0) for item in items]
    total = sum(weight for value, weight in values if value is not None)
    return sum(value for value, _ in values if value is not None) / total if total else 0.0


def _averaged(arms: Sequence[Mapping[int, Mapping[int, float | None]]]) -> dict[int, dict[int, float | None]]:
    """Mean over arms per seed and item; None where one of them has no score."""
    seeds = set.intersection(*(set(arm) for arm in arms))
    return {seed: {item: _mean([arm[seed].get(item) for arm in arms]) for item in arms[0][seed]} for seed in seeds}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleFindings:
    """What people's labels say of the judge in a comparison."""

    agreement: Agreement
    pairs: Mapping[str, Corrected]
    """By candidate its corrected difference to the baseline, beside what judge and labels say alone."""
    judged: ComparisonTable
    """The comparison by the judge's scores alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """The result of comparing arms."""

    arms: tuple[ComparedArm, ...]
    baseline: str
    main: YardstickTable
    """The yardstick that the verdict is about."""
    tables: tuple[YardstickTable, ...]
    """All yardsticks, with the main one."""
    axes: tuple[AxisTable, ...]
    """On the main yardstick, for grids in which every value of an axis occurs with the same other choices."""
    flips: Mapping[str, tuple[FlippedItem, ...]]
    """On the main yardstick: per candidate the items that changed, largest first."""
    notes: tuple[str, ...]
    """What the arms do not share, one line each."""
    looks: Looks | None = None
    """The looks so far; None = this is the only one."""
    path: tuple[TakenLook, ...] = ()
    """What every look so far found, the present one last; empty if there is no other."""
    remedy: str = ""
    """The command that may settle open comparisons, in a sentence; empty if none is known."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By arm the settings in which arms differ; empty for arms that are known by their names alone."""
    cautions: Mapping[str, str] = field(default_factory=dict)
    """By arm what the judge says against its use for this arm and the baseline; in `notes` too."""
    is_judge_noise_unknown: bool = False
    """The judge may grade the same answer differently, and nobody measured how much."""
    people: PeopleFindings | None = None
    """If people's labels correct the judge; the main yardstick is then the corrected one."""

    @property
    def sentence(self) -> str:
        """The verdict in one sentence that can be quoted alone: what was compared, on what, and the main limits."""
        return sentence(self._claims, self._design)

    @property
    def details(self) -> tuple[str, ...]:
        """What the sentence leaves out, a line each: missing scores, and what would settle an open comparison."""
        return details(self._claims, self._design)

    @property
    def effects(self) -> tuple[str, ...]:
        """How large each difference is, in words."""
        return tuple(effect(claim, self._design) for claim in self._claims)

    @property
    def worths(self) -> tuple[str, ...]:
        """Where the uncertainty comes from, and what more seeds and items would do to it."""
        claims = self._claims
        lines = [(claim.candidate, worth(claim, self._design, self._cost_of_seeds(claim))) for claim in claims]
        return tuple(f"{name}: {line}" if len(claims) > 1 else line for name, line in lines if line)

    def _cost_of_seeds(self, claim: Claim) -> str:
        found = claim.comparison.worth
        seconds = self.seed_training_s
        return f"about {duration(found.seeds * seconds)} of training" if found and seconds else ""

    @property
    def seed_training_s(self) -> float | None:
        """Training time of one seed in all arms, judging by the runs there are; None if it is not known of an arm."""
        per_arm = [
            [train["seconds"] for run in arm.runs.values() if (train := run.summary.get("train") or {}).get("seconds")]
            for arm in self.arms
        ]
        return sum(map(fmean, per_arm)) if all(per_arm) else None

    @property
    def _claims(self) -> list[Claim]:
        by_axis = [
            Claim(
                comparison=found,
                baseline=in_words({axis.axis: found.baseline}),
                candidate=in_words({axis.axis: found.candidate}),
                means=axis.table.means_of(found),
            )
            for axis in self.axes
            for found in axis.table.comparisons
        ]
        return by_axis or [
            Claim(
                comparison=found,
                baseline=self.in_words(found.baseline),
                candidate=self.in_words(found.candidate),
                means=self.main.table.means_of(found),
            )
            for found in self.main.table.comparisons
        ]

    def in_words(self, arm: str) -> str:
        """An arm with the names of its settings: `collate mask-pad`; the arm's name if no settings are known."""
        return in_words(self.settings.get(arm, {})) or arm

    @property
    def _design(self) -> Design:
        run, table = self.arms[0].any_run(), self.main.table
        groups = table.comparisons[0].grouping
        is_varied = any("model.name" in own for own in self.settings.values())
        is_judged = self.main.yardstick.key == "judge"
        source = (run.manifest.get("data") or {}).get("source", run.settings.get("data.source", ""))
        return Design(
            yardstick=self.main.yardstick,
            judge=run.judge if is_judged else "",
            model="" if is_varied else str(run.settings.get("model.name", "")),
            data=PurePath(str(source)).name,
            num_items=len(table.items) + table.num_dropped_items,
            num_groups=None if groups is None else groups.num_groups,
            num_seeds=len(table.seeds),
            is_trained=bool(run.settings),
            is_model_varied=is_varied,
            is_averaged=bool(self.axes),
            doubtful=[self.in_words(name) for name in self.cautions] if is_judged else (),
            is_judge_noise_unknown=is_judged and self.is_judge_noise_unknown,
            looks=self.looks,
        )

    @property
    def told(self) -> list[Comparison]:
        """The comparisons in the verdict: axis by axis if there are axes, else arm by arm."""
        by_axis = [comparison for axis in self.axes for comparison in axis.table.comparisons]
        return by_axis or list(self.main.table.comparisons)

    @property
    def look(self) -> TakenLook:
        """What this look found."""
        return TakenLook(
            seeds=self.main.table.seeds,
            yardstick=self.main.yardstick.key,
            margin=self.main.margin,
            is_corrected=self.looks is not None and self.looks.is_corrected,
            comparisons=tuple(map(_looked_at, self.told)),
        )


def _looked_at(found: Comparison) -> LookedAt:
    return LookedAt(
        baseline=found.baseline,
        candidate=found.candidate,
        difference=found.difference,
        low=found.interval.low if found.interval else None,
        high=found.interval.high if found.interval else None,
        z=found.look.z if found.look else None,
        bound=found.look.bound if found.look else None,
        verdict=found.verdict,
    )


def compare(
    arms: Sequence[ComparedArm],
    *,
    yardstick: str = "judge",
    margin: float | None = None,
    baseline: str | None = None,
    by_design: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    judge_variance: float | None = None,
    judge: Judge | None = None,
    looks: Looks | None = None,
    looks_for_families: bool = True,
) -> ComparisonResult:
    """Compare arms on all yardsticks; the verdict is about one of them.

    Args:
        yardstick: the key of the one that the verdict is about.
        margin: differences of it up to this count as none; by default the yardstick's own.
        baseline: the first arm unless named.
        by_design: as for `check_comparable`.
        settings: per arm its value by axis, if the arms are a grid.
        judge_variance: of one score, if it was measured.
        judge: the one whose scores the arms have; its cautions become notes.
        looks: as for `compare_arms`.
        looks_for_families: note where items look like families and no group is named.

    Raises:
        ConfigError: an unknown baseline or yardstick, a yardstick without measurements, or different judges.
        DataError: the arms cannot be compared, or cells of one arm are not made of the same pieces.
    """
    notes = check_comparable(arms, by_design=by_design) + check_identity(arms, is_grid=by_design is not None)
    names = [arm.name for arm in arms]
    if baseline is not None and baseline not in names:
        raise ConfigError(f"no arm {baseline!r} to compare with{suggestion(baseline, names)}")
    wanted = find_yardstick(yardstick)
    _check_one_judge(arms)
    tables = compare_on_all_yardsticks(
        arms,
        baseline=baseline,
        margins={wanted.key: margin} if margin else {},
        judge_variance=judge_variance,
        looks=looks,
    )
    main = next((table for table in tables if table.yardstick == wanted), None)
    if main is None:
        raise ConfigError(
            f"no arm has measurements of {yardstick!r}: judge the runs first, or choose another --yardstick"
        )
    first = baseline or names[0]
    base_arm = arms[names.index(first)]
    cautions, doubt = _cautions(judge, base_arm, arms)
    warnings = [f"{first} and {name}: {caution}" for name, caution in cautions.items()] + ([doubt] if doubt else [])

    def grouped(groups: Mapping[int, str]) -> Sequence[Comparison]:
        margins = {wanted.key: main.margin}
        again = compare_on_all_yardsticks(
            arms,
            baseline=baseline,
            margins=margins,
            judge_variance=judge_variance,
            looks=looks,
            groups=groups,
            yardsticks=(wanted,),
        )
        return again[0].table.comparisons

    found = (note_on_groups(arms), families_note(arms, main.table.comparisons, grouped) if looks_for_families else "")
    return ComparisonResult(
        arms=tuple(arms),
        baseline=first,
        main=main,
        tables=tuple(tables),
        axes=tuple(
            compare_levels(
                arms,
                axis_levels(settings or {}),
                wanted,
                main.margin,
                baselines={axis: str(value) for axis, value in (settings or {}).get(first, {}).items()},
                judge_variance=judge_variance if wanted.key == "judge" else None,
                looks=looks,
            )
        ),
        flips={arm.name: tuple(flipped_items(base_arm, arm, wanted)) for arm in arms if arm.name != first},
        notes=(*notes, *(note for note in found if note), *warnings),
        settings=settings or differing_settings(arms),
        cautions=cautions,
        is_judge_noise_unknown=judge is not None and not judge.is_deterministic and judge_variance is None,
        looks=looks,
    )


def _cautions(judge: Judge | None, baseline: ComparedArm, arms: Sequence[ComparedArm]) -> tuple[dict[str, str], str]:
    """What the judge says against its use, by arm; and if it fails at that, a line that says so."""
    found: dict[str, str] = {}
    if judge is None or not baseline.any_run().judge:
        return found, ""
    for arm in arms:
        seeds = sorted(baseline.runs.keys() & arm.runs.keys()) if arm is not baseline else ()
        both = [(_by_index(baseline, seed), _by_index(arm, seed)) for seed in seeds]
        pairs = [(one[index], other[index]) for one, other in both for index in one if index in other]
        try:
            caution = caution_of(judge, [one for one, _ in pairs], [other for _, other in pairs])
        except PluginError as error:  # the scores are there, and stay what they are
            return found, f"it is not known whether this judge should decide here: {error}"
        if caution:
            found[arm.name] = caution
    return found, ""


def _check_one_judge(arms: Sequence[ComparedArm]) -> None:
    runs = [run for arm in arms for run in arm.runs.values()]
    other = next((run for run in runs if run.judge != runs[0].judge), None)
    if other is not None:
        raise ConfigError(
            f"{runs[0].path} was judged by {runs[0].judge}, {other.path} by {other.judge}: scores of different judges "
            f"cannot be compared; judge all runs with one judge, for instance sftframe judge {other.path} --judge "
            "reference"
        )
