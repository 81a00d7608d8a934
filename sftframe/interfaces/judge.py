"""The seam of judges: how good are these answers?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from sftframe.interfaces.component import Component
from sftframe.records import JudgeItem, Verdict


class Judge(Component):
    """Grades answers from 0 (useless) to 100 (as good as it gets).

    A complete judge:

        class LengthJudge(Judge):
            name = "length"
            summary = "100 for an answer of the reference's length"

            def score(self, items):
                for item in items:
                    gap = abs(len(item.answer) - len(item.reference))
                    yield Verdict(index=item.index, status="ok", score=max(0.0, 100.0 - gap), judge=self.identity)
    """

    @property
    def identity(self) -> str:
        """Which judge exactly, for the record: name, and model and digest where it has one."""
        return self.name

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
