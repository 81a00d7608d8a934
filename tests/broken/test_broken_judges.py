"""One bad judge per promise of the contract, and the words that its author is told."""

import itertools
import sys

import pytest

from sftframe import Judge, JudgeError, JudgeItem, Preference, Verdict
from sftframe.testing import inspect
from sftframe.testing.contract import ContractError
from sftframe.testing.judge import check_judge


class Good(Judge):
    """Keeps every promise; the judges below spoil one each."""

    name = "specimen"
    summary = "100 for the reference, 10 for other words, 0 for none"

    def grade(self, item: JudgeItem) -> float:
        return 100.0 if item.answer == item.reference else 10.0 * bool(item.answer)

    def verdict(self, item: JudgeItem) -> Verdict:
        return Verdict(index=item.index, status="ok", score=self.grade(item), judge=self.identity)

    def score(self, items):
        return (self.verdict(item) for item in items)


class PlainNumbers(Good):
    says = "score() gave 100.0; expected a Verdict"

    def verdict(self, item):
        return self.grade(item)


class DropsWhatItCannotJudge(Good):
    says = "verdicts came for the items [40, 23, 11]; expected [40, 7, 23, 11]"

    def score(self, items):
        return (self.verdict(item) for item in items if item.answer)


class SortsItems(Good):
    says = "verdicts came for the items [7, 11, 23, 40]; expected [40, 7, 23, 11]"

    def score(self, items):
        return super().score(sorted(items, key=lambda item: item.index))


class CountsFromZero(Good):
    says = "verdicts came for the items [0, 1, 2, 3]"

    def score(self, items):
        for number, item in enumerate(items):
            yield Verdict(index=number, status="ok", score=self.grade(item), judge="specimen")


class Raises(Good):
    says = "raised an exception: ValueError: could not convert string to float"

    def grade(self, item):
        return float(item.answer)


class InventsAStatus(Good):
    says = "the status 'refused' is none of ok, unparsable, timeout, error"

    def verdict(self, item):
        return Verdict(index=item.index, status="refused", score=None, judge="specimen")


class ZeroForFailure(Good):
    says = "a verdict has the status 'unparsable' and the score 0.0; expected None"

    def verdict(self, item):
        return Verdict(index=item.index, status="unparsable", score=0.0, judge="specimen")


class OkWithoutScore(Good):
    says = "a verdict has the status 'ok' and the score None"

    def grade(self, item):
        return None


class OutOfRange(Good):
    says = "a verdict has the status 'ok' and the score 110.0; expected a number from 0 to 100"

    def grade(self, item):
        return super().grade(item) + 10.0


class NotANumber(Good):
    says = "the status 'ok' and the score nan"

    def grade(self, item):
        return float("nan")


class Anonymous(Good):
    says = "a verdict does not say who judged; pass judge=self.identity"

    def verdict(self, item):
        return Verdict(index=item.index, status="ok", score=self.grade(item))


class EmptyIdentity(Good):
    says = "identity is empty"
    identity = ""

    def verdict(self, item):
        return Verdict(index=item.index, status="ok", score=self.grade(item), judge="somebody")


class AlwaysOneMore(Good):
    says = "for no items it gave"

    def score(self, items):
        if not items:
            yield Verdict(index=0, status="error", score=None, judge="specimen")
        yield from super().score(items)


class UpsideDown(Good):
    says = "the reference as an answer scores 0.0 and an empty answer 100.0"

    def grade(self, item):
        return 100.0 - super().grade(item)


class CautionsWithAFlag(Good):
    says = "caution() gave bool; expected a str"

    def caution(self, first, second):
        return len(first) > 2


class CautionsOnlyWhereThereIsSomething(Good):
    says = "failed in caution: ZeroDivisionError"

    def caution(self, first, second):
        return f"the answers have {sum(len(item.answer) for item in first) / len(first)} characters"


class PrintsItsCaution(Good):
    says = "judging prints 'careful"

    def caution(self, first, second):
        sys.stdout.write("careful!")
        return ""


BROKEN = [
    PlainNumbers,
    DropsWhatItCannotJudge,
    SortsItems,
    CountsFromZero,
    Raises,
    InventsAStatus,
    ZeroForFailure,
    OkWithoutScore,
    OutOfRange,
    NotANumber,
    Anonymous,
    EmptyIdentity,
    AlwaysOneMore,
    UpsideDown,
    CautionsWithAFlag,
    CautionsOnlyWhereThereIsSomething,
    PrintsItsCaution,
]


class Moody(Good):
    """Never gives the same score twice to an answer that is not the reference."""

    counter = itertools.count(1)

    def grade(self, item):
        return 100.0 if item.answer == item.reference else 1.0 / next(self.counter)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("judge", BROKEN)
def test_a_broken_judge_is_caught_and_its_author_told_why(judge):
    with pytest.raises(ContractError) as caught:
        check_judge(judge())
    assert judge.says in str(caught.value)
    assert str(caught.value).startswith("specimen: ")


class GoodOfPairs(Good):
    """Keeps every promise about pairs; the judges below spoil one each."""

    is_deterministic = True

    def winner(self, pair):
        first, second = (100 * (answer == pair.reference) + bool(answer) for answer in (pair.first, pair.second))
        return "tie" if first == second else "first" if first > second else "second"

    def preference(self, pair):
        return Preference(index=pair.index, status="ok", winner=self.winner(pair), judge=self.identity)

    def prefer(self, pairs):
        return (self.preference(pair) for pair in pairs)


class GivesNames(GoodOfPairs):
    says = "prefer() gave 'first'; expected a Preference"

    def prefer(self, pairs):
        return (self.winner(pair) for pair in pairs)


class DropsTies(GoodOfPairs):
    says = "preferences came for the pairs [40, 7, 11]; expected [40, 7, 23, 11]"

    def prefer(self, pairs):
        return (self.preference(pair) for pair in pairs if self.winner(pair) != "tie")


class SortsPairs(GoodOfPairs):
    says = "preferences came for the pairs [7, 11, 23, 40]; expected [40, 7, 23, 11]"

    def prefer(self, pairs):
        return super().prefer(sorted(pairs, key=lambda pair: pair.index))


class NamesSides(GoodOfPairs):
    says = "the winner 'a' is none of first, second, tie"

    def winner(self, pair):
        return {"first": "a", "second": "b"}.get(super().winner(pair), "tie")


class TieForFailure(GoodOfPairs):
    says = "a preference has the status 'timeout' and the winner 'tie'; expected None"

    def preference(self, pair):
        return Preference(index=pair.index, status="timeout", winner="tie", judge="specimen")


class AnonymousOfPairs(GoodOfPairs):
    says = "a preference does not say who judged"

    def preference(self, pair):
        return Preference(index=pair.index, status="ok", winner=self.winner(pair))


class PrefersTheWorse(GoodOfPairs):
    says = "the reference loses to an empty answer in both orders"

    def winner(self, pair):
        return {"first": "second", "second": "first"}.get(super().winner(pair), "tie")


class LikesTheFirst(GoodOfPairs):
    says = "it names the first in either order"

    def winner(self, pair):
        return "first"


class SeesOnePlaceOnly(GoodOfPairs):
    says = "in one order and"

    def winner(self, pair):
        winner = super().winner(pair)
        return "first" if winner == "tie" else winner


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "judge",
    [
        GivesNames,
        DropsTies,
        SortsPairs,
        NamesSides,
        TieForFailure,
        AnonymousOfPairs,
        PrefersTheWorse,
        LikesTheFirst,
        SeesOnePlaceOnly,
    ],
)
def test_a_broken_judge_of_pairs_is_caught_and_its_author_told_why(judge):
    with pytest.raises(ContractError) as caught:
        check_judge(judge())
    assert judge.says in str(caught.value)


def test_a_judge_of_pairs_that_keeps_its_promises_passes():
    check_judge(GoodOfPairs())


def test_a_judge_may_give_no_preference_at_all():
    class Asleep(GoodOfPairs):
        is_deterministic = False

        def preference(self, pair):
            return Preference(index=pair.index, status="timeout", winner=None, judge="specimen")

    check_judge(Asleep())


def test_a_judge_that_says_itself_that_it_is_deterministic_is_held_to_it():
    class Claims(Moody):
        is_deterministic = True

    with pytest.raises(ContractError, match="the same items scored"):
        check_judge(Claims())


def test_a_report_has_the_checks_of_pairs_for_judges_of_pairs_alone():
    alone, pairs = ([finding.promise for finding in inspect(judge)] for judge in (Good(), GoodOfPairs()))
    assert set(alone) < set(pairs)
    assert all(finding.is_kept for finding in inspect(GoodOfPairs()))


def test_a_judge_that_keeps_its_promises_passes():
    check_judge(Good(), is_deterministic=True)


def test_only_a_judge_that_claims_to_be_deterministic_is_held_to_it():
    check_judge(Moody())
    with pytest.raises(ContractError, match="the same items scored"):
        check_judge(Moody(), is_deterministic=True)


def test_a_judge_that_cannot_work_here_is_not_called_broken():
    class Unreachable(Good):
        def check(self):
            raise JudgeError("no server at localhost:1")

    with pytest.raises(JudgeError, match="no server"):
        check_judge(Unreachable())
