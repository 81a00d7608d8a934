"""Asks a judge about items or pairs: reuses known verdicts, keeps new ones at once, and reports progress.

Known verdicts come from the run's own file or from the verdict cache. `judging.scoring` checks the judge's replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sftframe.config import RunConfig
from sftframe.judging.cache import VerdictCache
from sftframe.judging.pairs import differing, mirrored
from sftframe.judging.scoring import JudgeNoise, check_failures, judge_pairs, judge_responses, measure_noise, summarise
from sftframe.plugins import Judge
from sftframe.progress import Observer
from sftframe.records import JudgeItem, JudgePair, JudgeSummary, Preference, Verdict
from sftframe.registry import Registry, Seam

Reply = TypeVar("Reply", Verdict, Preference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts of a judge on one list of answers."""

    judge: str
    """`Judge.identity`."""
    verdicts: tuple[Verdict, ...]
    """One per item, in the items' order."""
    repeats: tuple[tuple[Verdict, ...], ...] = ()
    """The verdicts of every repeat."""
    groups: Mapping[int, str] = field(default_factory=dict)
    """By item index its group; items of one group are one unit in the interval."""

    @property
    def summary(self) -> JudgeSummary:
        """Mean and interval of the first verdicts."""
        return summarise(self.verdicts, self.judge, self.groups)

    @property
    def noise(self) -> JudgeNoise | None:
        """How much the repeats differ; None without repeats."""
        return measure_noise([self.verdicts, *self.repeats]) if self.repeats else None

    def check(self, max_failures: float) -> None:
        """Check that enough items have a score, in every repeat.

        Raises:
            JudgeError: a share of more than `max_failures` (0-1) has none.
        """
        for verdicts in (self.verdicts, *self.repeats):
            check_failures(verdicts, max_failures)


class Judging:
    """A judge at work.

    Args:
        judge: checked, so that its identity is complete.
        version: of the plugin that it comes from.
    """

    def __init__(self, judge: Judge, *, version: str, use_cache: bool, max_failures: float, observer: Observer) -> None:
        self.judge = judge
        self._version = version
        self._use_cache = use_cache and judge.is_cacheable
        self._max_failures = max_failures
        self._observer = observer

    @classmethod
    def of(cls, config: RunConfig, judge: Judge, registry: Registry, observer: Observer) -> Judging:
        """The judge that a configuration names."""
        return cls(
            judge,
            version=registry.provider(Seam.JUDGE, config.judge.name).label,
            use_cache=config.judge.cache,
            max_failures=config.max_failures,
            observer=observer,
        )

    @property
    def is_caching(self) -> bool:
        """Whether verdicts are cached."""
        return self._use_cache

    @property
    def max_failures(self) -> float:
        """The share of items, 0-1, that it may fail on."""
        return self._max_failures

    def judge_answers(
        self,
        items: Sequence[JudgeItem],
        *,
        stage: str,
        num_repeats: int = 1,
        known: Mapping[int, Verdict] = {},
        on_verdict: Callable[[Verdict], None] = lambda verdict: None,
    ) -> Judgement:
        """One verdict per item, and one more for each repeat.

        Args:
            stage: the name that the progress shows.
            num_repeats: how often every item is judged; a deterministic judge is asked only once.
            known: verdicts that exist already, by index.
            on_verdict: gets every verdict of the first round that is not in `known`, also those from the cache.

        Raises:
            JudgeError: the judge cannot continue. `Judgement.check` raises if it failed on too many items.
        """
        first = self._score(items, stage, known, on_verdict, repeat=0)
        repeats = []
        for repeat in range(1, num_repeats):
            again = f"{stage}, {repeat + 1} of {num_repeats}"
            asked_once = self.judge.is_deterministic
            repeats.append(first if asked_once else self._score(items, again, {}, lambda verdict: None, repeat=repeat))
        return Judgement(judge=self.judge.identity, verdicts=first, repeats=tuple(repeats))

    def prefer_both_ways(self, pairs: Sequence[JudgePair]) -> tuple[tuple[Preference, ...], tuple[Preference, ...]]:
        """The preferences on all pairs that differ, in both orders: as given, and swapped.

        Raises:
            JudgeError: the judge grades single answers only, or cannot continue.
        """
        asked = differing(pairs)
        return self._prefer(asked, "pairs"), self._prefer(mirrored(asked), "pairs mirrored")

    def _score(
        self,
        items: Sequence[JudgeItem],
        stage: str,
        known: Mapping[int, Verdict],
        on_verdict: Callable[[Verdict], None],
        *,
        repeat: int,
    ) -> tuple[Verdict, ...]:
        by_index = {item.index: item for item in items}
        on_record = self._settled(known, by_index)
        with self._cache() as cache:
            cached = cache.find(items, Verdict, repeat=repeat) if cache else {}
            remembered = {index: verdict for index, verdict in cached.items() if index not in on_record}
            for verdict in remembered.values():
                on_verdict(verdict)

            def keep(verdict: Verdict) -> None:
                on_verdict(verdict)
                if cache:
                    cache.keep(by_index[verdict.index], verdict, repeat=repeat)
                self._observer.advance()

            with self._told(stage, len(items), "verdicts", num_on_record=len(on_record), num_cached=len(remembered)):
                return judge_responses(
                    self.judge,
                    items,
                    known={**on_record, **remembered},
                    on_verdict=keep,
                    max_failures=self._max_failures,
                )

    def _prefer(self, pairs: Sequence[JudgePair], stage: str) -> tuple[Preference, ...]:
        by_index = {pair.index: pair for pair in pairs}
        with self._cache() as cache:
            known = self._settled(cache.find(pairs, Preference) if cache else {}, by_index)

            def keep(preference: Preference) -> None:
                if cache:
                    cache.keep(by_index[preference.index], preference)
                self._observer.advance()

            with self._told(stage, len(pairs), "preferences", num_cached=len(known)):
                return judge_pairs(self.judge, pairs, known=known, on_preference=keep, max_failures=self._max_failures)

    def _settled(self, known: Mapping[int, Reply], asked: Mapping[int, object]) -> dict[int, Reply]:
        """Words that are known already."""
        identity = self.judge.identity
        return {
            index: word
            for index, word in known.items()
            if index in asked and word.status == "ok" and word.judge == identity
        }

    @contextmanager
    def _cache(self) -> Iterator[VerdictCache | None]:
        if not self._use_cache:
            yield None
            return
        with VerdictCache((self._version, self.judge.identity), warn=self._observer.warn) as cache:
            yield cache

    @contextmanager
    def _told(
        self, stage: str, total: int, unit: str, *, num_on_record: int = 0, num_cached: int = 0
    ) -> Iterator[None]:
        """Report progress, if there is something left to ask."""
        if num_cached:
            self._observer.note(
                f"{stage}: {num_cached} of {total} {unit} are in the cache (--no-cache asks the judge again)"
            )
        num_known = num_on_record + num_cached
        if num_known == total:
            yield
            return
        self._observer.begin(stage, total, unit)
        self._observer.advance(num_known)
        yield
        self._observer.end()
