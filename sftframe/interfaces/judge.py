"""The base class of judges: how good are these answers?"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sftframe.errors import JudgeError
from sftframe.interfaces.component import Component
from sftframe.records import JudgeItem, JudgePair, Preference, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A server that a judge sends questions and answers to.

    >>> Contact(url="https://api.example.com/v1", key_variable="EXAMPLE_API_KEY").url
    'https://api.example.com/v1'
    """

    url: str
    """Its address, with scheme, host and port."""
    key_variable: str = ""
    """The environment variable whose value goes to this server as the key; empty where there is none."""


class Judge(Component):
    """Grades answers from 0 (useless) to 100 (perfect). Some judges also say which of two answers is better.

    A complete judge:

        class LengthJudge(Judge):
            name = "length"
            summary = "100 for an answer of the reference's length"

            def score(self, items):
                for item in items:
                    gap = abs(len(item.answer) - len(item.reference))
                    yield Verdict(index=item.index, status="ok", score=max(0.0, 100.0 - gap), judge=self.identity)
    """

    is_deterministic: ClassVar[bool] = False
    """The same item always gets the same verdict; so the noise of this judge is never measured by asking twice."""
    is_cacheable: ClassVar[bool] = True
    """Verdicts are cached and reused; False where asking again costs nothing."""

    @property
    def identity(self) -> str:
        """Which judge exactly, for the record: name, model and digest, and a hash over the options that matter.

        Two judges with the same identity share cached verdicts, so they must give the same ones. By default every
        option counts: the identity is `NAME`, or `NAME#HASH` if an option differs from its default.
        """
        options = repr(self.options)
        if options == repr(self.Options()):
            return self.name
        return f"{self.name}#{hashlib.sha256(options.encode(errors='backslashreplace')).hexdigest()[:8]}"

    @property
    def contacts(self) -> Sequence[Contact] | None:
        """The servers that the judge sends requests to; empty = none, it works on this machine alone.

        Somebody else's run or configuration may name a judge. sftframe asks the user before such a judge sends anything
        to a server that the user has not named. It does not ask about a judge without servers. None (the default) means
        that the servers are not known: then the user is asked about the judge and all its text options.
        """
        return None

    @property
    def can_prefer(self) -> bool:
        """Whether it compares pairs: it has its own `prefer`."""
        return type(self).prefer is not Judge.prefer

    def check(self) -> None:
        """Check that the judge can do its work, before training starts.

        Raises:
            JudgeError: it cannot; the message says what to do.
        """
        return

    @abstractmethod
    def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """One verdict per item, in the items' order, as they become available.

        An item that could not be judged gets a verdict of another status than `ok`, without a score.
        """

    def score_as_ready(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """The same verdicts as `score`, one per item, each as soon as it is ready, in any order.

        Runs call this and write down every verdict when it comes, so that a slow item delays no other. A judge that
        asks about several items at once overrides it.
        """
        return self.score(items)

    def prefer(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        """Which answer of each pair is better: one preference per pair, in order, as they become available.

        Each pair is judged in the given order. The caller also asks with the two answers swapped, and combines both
        results. A pair that could not be judged gets another status than `ok`, without a winner.

        Raises:
            JudgeError: this judge grades single answers only.
        """
        raise JudgeError(
            f"judge {self.name!r} grades single answers only: compare scores instead, or choose one that compares pairs"
        )

    def prefer_as_ready(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        """The same preferences as `prefer`, each as soon as it is ready, in any order."""
        return self.prefer(pairs)
