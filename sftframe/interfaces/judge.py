"""The seam of judges: how good are these answers?"""

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
    """Grades answers from 0 (useless) to 100 (as good as it gets), and says which of two is better if it can.

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
    """The same item always gets the same verdict: it is never asked twice to learn how sure it is."""
    is_cacheable: ClassVar[bool] = True
    """Verdicts are kept and not asked for again; False where asking again costs nothing."""

    @property
    def identity(self) -> str:
        """Which judge exactly, for the record: name, model and digest, and a hash over the options that matter.

        Two judges of one identity are taken to give the same verdicts: what is kept of one serves the other. By default
        every option matters: `NAME`, or `NAME#HASH` where an option is not at its default.
        """
        options = repr(self.options)
        if options == repr(self.Options()):
            return self.name
        return f"{self.name}#{hashlib.sha256(options.encode(errors='backslashreplace')).hexdigest()[:8]}"

    @property
    def contacts(self) -> Sequence[Contact] | None:
        """The servers that would be asked; empty = none, it works on this machine alone.

        A run or a configuration of somebody else's may name a judge. The user is asked before it sends anything to a
        server that he has not named himself, and never for a judge without servers. None, the default, says nothing:
        the user is then asked about the judge and all its options that are texts.
        """
        return None

    @property
    def can_prefer(self) -> bool:
        """Whether it compares pairs, that is, has a `prefer` of its own."""
        return type(self).prefer is not Judge.prefer

    def check(self) -> None:
        """See that the judge can do its work, before anything is spent on training.

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
        """The same verdicts as `score`, one per item, each as soon as it is there, in any order.

        This is what runs call: every verdict is written down when it comes, so that a slow item does not keep the
        others from being kept. A judge that asks about several items at a time has a body of its own.
        """
        return self.score(items)

    def prefer(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        """Which answer of each pair is better: one preference per pair, in order, as they become available.

        Each pair is judged in the order in which it stands; whoever asks shows it in the other order too and puts the
        two together. A pair that could not be judged gets another status than `ok`, without a winner.

        Raises:
            JudgeError: this judge grades single answers only.
        """
        raise JudgeError(
            f"judge {self.name!r} grades single answers only: compare scores instead, or name a judge of pairs"
        )

    def prefer_as_ready(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        """The same preferences as `prefer`, each as soon as it is there, in any order."""
        return self.prefer(pairs)
