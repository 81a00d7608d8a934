"""A plugin for tests of judging: its judge fails, dies or changes its mind on request, and logs what it is asked."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sftframe import Judge, JudgeItem, JudgePair, Preference, Verdict, hookimpl, option


@dataclass(frozen=True, kw_only=True)
class FickleOptions:
    log: str = option("", "file that gets a line per question")
    failing: int = option(0, "how many of the first items time out")
    killed_at: int = option(0, "the question, counted from 1, at which its process is killed")
    likes: str = option("long", "long or first: which of two answers it prefers")


class FickleJudge(Judge):
    """Scores an answer by its length, 1 more every time that it is asked in one process."""

    name = "fickle"
    summary = "a point per character"
    Options = FickleOptions
    identity = "fickle#1"  # type: ignore[assignment]  # whatever the options: none of them changes a verdict

    num_calls = 0

    def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        extra, self.num_calls = self.num_calls, self.num_calls + 1
        for number, item in enumerate(items, start=1):
            self.write_down(item.instruction, number)
            if number <= self.options.failing:
                yield Verdict(index=item.index, status="timeout", score=None, reason="asleep", judge=self.identity)
            else:
                score = min(100.0, len(item.answer) + extra)
                yield Verdict(index=item.index, status="ok", score=score, reason="its length", judge=self.identity)

    def prefer(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        for number, pair in enumerate(pairs, start=1):
            self.write_down(f"{pair.instruction} {pair.first} | {pair.second}", number)
            if number <= self.options.failing:
                yield Preference(index=pair.index, status="timeout", winner=None, reason="asleep", judge=self.identity)
            elif self.options.likes == "first" or len(pair.first) >= len(pair.second):
                yield Preference(index=pair.index, status="ok", winner="first", reason="so be it", judge=self.identity)
            else:
                yield Preference(index=pair.index, status="ok", winner="second", reason="so be it", judge=self.identity)

    def write_down(self, text: str, number: int) -> None:
        if self.options.log:
            with Path(self.options.log).open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")
        if number == self.options.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)


@hookimpl
def sftframe_judges() -> list[type[Judge]]:
    return [FickleJudge]
