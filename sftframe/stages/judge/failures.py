"""Failed verdicts: they are counted, and too many of them stop a stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sftframe.errors import JudgeError
from sftframe.records import Preference, Verdict

NOT_ASKED = "not asked: "
"""Beginning of the reason of an item that was not sent to the judge."""


def failure_share(verdicts: Sequence[Verdict | Preference]) -> float:
    """Share of verdicts without a score, 0-1; 0 for none at all."""
    return sum(verdict.status != "ok" for verdict in verdicts) / max(len(verdicts), 1)


def check_failures(verdicts: Sequence[Verdict | Preference], max_failures: float) -> None:
    """Check that enough verdicts have a score for a mean.

    Args:
        max_failures: the largest accepted share of failed items, 0-1.

    Raises:
        JudgeError: more have failed; the message has the number per status, and the first one's reason.
    """
    failed = [verdict for verdict in verdicts if verdict.status != "ok"]
    if len(failed) <= max_failures * len(verdicts):
        return
    ways = ", ".join(f"{count} {way}" for way, count in failure_counts(failed).items())
    judge = f"judge {failed[0].judge!r}" if failed[0].judge else "the judge"
    what = "preference" if isinstance(failed[0], Preference) else "score"
    raise JudgeError(
        f"{judge} gave no {what} for {len(failed)} of {len(verdicts)} items ({ways}; the first is item "
        f"{failed[0].index}: {failed[0].reason or 'no reason given'}), and at most {max_failures:.0%} may fail: "
        f"remove the cause and judge again; the {what}s so far are kept"
    )


def failure_counts(verdicts: Sequence[Verdict | Preference]) -> dict[str, int]:
    """Number of missing verdicts by status, the most frequent first.

    >>> lost = Verdict(index=3, status="timeout", score=None)
    >>> failure_counts([lost, Verdict(index=4, status="error", score=None, reason="not asked: it is gone"), lost])
    {'timeout': 2, 'not asked': 1}
    """
    failed = [verdict for verdict in verdicts if verdict.status != "ok"]
    ways = ("not asked" if verdict.reason.startswith(NOT_ASKED) else verdict.status for verdict in failed)
    return dict(Counter(ways).most_common())
