"""Preferences in both orders, and what they sum up to."""

import math

import numpy as np
import pytest

from sftframe import Judge, JudgeError, JudgeItem, JudgePair, PluginError, Preference
from sftframe.judging.pairs import combine, differing, make_pairs, mirrored, summarise_pairs
from sftframe.judging.scoring import judge_pairs


def pair(index, first="one", second="two"):
    return JudgePair(index=index, instruction="Name it.", input="", reference="Paris.", first=first, second=second)


def prefers(index, winner, status="ok", reason="because"):
    return Preference(index=index, status=status, winner=winner, reason=reason, judge="scripted")


class Scripted(Judge):
    """Gives the preferences of a list, whatever it is asked."""

    name = "scripted"
    summary = "for tests"

    def __init__(self, *script):
        super().__init__()
        self.script = script

    def score(self, items):
        return iter(())

    def prefer(self, pairs):
        yield from self.script


def outcomes(*winners, lengths=None):
    """Outcomes of (forward, backward) winners, and the preferences behind them."""
    lengths = lengths or [(3, 3)] * len(winners)
    pairs = [pair(index, "x" * a, "y" * b) for index, (a, b) in enumerate(lengths)]
    forward = [prefers(index, one) for index, (one, _) in enumerate(winners)]
    backward = [prefers(index, other) for index, (_, other) in enumerate(winners)]
    return combine(pairs, forward, backward), forward, backward


A_WINS, B_WINS, TIE = ("first", "second"), ("second", "first"), ("tie", "tie")


def test_matched_items_become_pairs_with_the_first_sides_answer_first():
    items = [
        JudgeItem(index=index, instruction="Name it.", input="in", reference="Paris.", answer=answer)
        for index, answer in ((7, "Lyon."), (3, "Rome."))
    ]
    made = make_pairs([(items[0], items[1])])
    assert made == [
        JudgePair(index=7, instruction="Name it.", input="in", reference="Paris.", first="Lyon.", second="Rome.")
    ]
    assert (mirrored(made)[0].first, mirrored(made)[0].second) == ("Rome.", "Lyon.")


@pytest.mark.parametrize(
    ("winners", "winner", "is_consistent"),
    [
        (A_WINS, "a", True),
        (B_WINS, "b", True),
        (TIE, "tie", True),
        (("first", "first"), "tie", False),
        (("second", "second"), "tie", False),
        (("first", "tie"), "tie", False),
        (("tie", "first"), "tie", False),
    ],
)
def test_only_an_answer_named_in_both_orders_wins(winners, winner, is_consistent):
    (outcome,), _, _ = outcomes(winners)
    assert (outcome.status, outcome.winner, outcome.is_consistent) == ("ok", winner, is_consistent)


@pytest.mark.parametrize(
    ("winners", "points"),
    [(A_WINS, 0.0), (B_WINS, 1.0), (("first", "first"), 0.5), (("second", "tie"), 0.75), (("tie", "second"), 0.25)],
)
def test_each_order_gives_half_a_point(winners, points):
    (outcome,), _, _ = outcomes(winners)
    assert outcome.points == points


def test_a_pair_that_failed_in_one_order_has_the_points_of_the_other():
    lost = prefers(0, None, status="timeout", reason="silent")
    (outcome,) = combine([pair(0)], [prefers(0, "second")], [lost])
    assert (outcome.status, outcome.winner, outcome.is_consistent, outcome.reason) == ("timeout", None, None, "silent")
    assert outcome.points == 1.0
    summary = summarise_pairs([outcome], [prefers(0, "second")], [lost])
    assert (summary.num_judged, summary.num_b, summary.win_rate, summary.position_consistency) == (1, 0, 1.0, None)


def test_a_pair_that_failed_in_both_orders_has_none():
    lost = prefers(0, None, status="error")
    (outcome,) = combine([pair(0)], [lost], [lost])
    assert outcome.points is None
    assert summarise_pairs([outcome], [lost], [lost]).num_judged == 0


def test_half_a_preference_is_not_thrown_away():
    # b is preferred in one order and tied in the other, nine times of ten: 0.9 * 0.75 + 0.1 * 0.5
    summary = summarise_pairs(*outcomes(*[("second", "tie")] * 36, *[TIE] * 4))
    assert summary.win_rate == pytest.approx(0.725)
    assert summary.ci95[0] > 0.6


def test_the_win_rate_at_equal_length_is_where_the_line_crosses_it():
    # log2 ratios 0, 1, 2 with points 0.5, 0.75, 1: a straight line that is 0.5 at 0, while the mean is 0.75
    half = ("second", "tie")
    summary = summarise_pairs(*outcomes(TIE, half, B_WINS, lengths=[(3, 3), (3, 7), (3, 15)]))
    assert summary.win_rate == pytest.approx(0.75)
    assert summary.equal_length_win_rate == pytest.approx(0.5)
    assert summary.equal_length_ci95 == pytest.approx((0.5, 0.5), abs=1e-6)


def test_ties_are_half_a_win_in_the_win_rate():
    summary = summarise_pairs(*outcomes(B_WINS, B_WINS, TIE, A_WINS))
    assert (summary.num_a, summary.num_b, summary.num_ties, summary.win_rate) == (1, 2, 1, 0.625)


def test_the_interval_is_near_the_binomial_one_where_there_are_no_ties():
    # 80 of 100: Jeffreys' interval of a share is 0.7137 to 0.8692, quantiles of the beta distribution of 80.5 and 20.5
    summary = summarise_pairs(*outcomes(*[B_WINS] * 80, *[A_WINS] * 20))
    assert summary.ci95 == pytest.approx((0.7137, 0.8692), abs=0.006)


def test_swapped_sides_have_the_mirrored_interval():
    one = summarise_pairs(*outcomes(*[B_WINS] * 6, *[A_WINS] * 2, TIE)).ci95
    other = summarise_pairs(*outcomes(*[B_WINS] * 2, *[A_WINS] * 6, TIE)).ci95
    assert one == pytest.approx((1 - other[1], 1 - other[0]), abs=0.01)


def test_ties_do_not_hide_wins_that_are_all_on_one_side():
    # 9 of 9 pairs that are no tie: the sign test has p = 2 / 2 ** 9 = 0.004
    summary = summarise_pairs(*outcomes(*[B_WINS] * 9, *[TIE] * 81))
    assert 0.5 < summary.ci95[0] < summary.win_rate < summary.ci95[1] < 0.6


@pytest.mark.parametrize("winners", [A_WINS, B_WINS, TIE])
def test_an_unbroken_series_still_has_an_interval_with_width(winners):
    low, high = summarise_pairs(*outcomes(*[winners] * 5)).ci95
    assert 0.15 < high - low < 0.45


@pytest.mark.parametrize("shares", [(0.45, 0.1, 0.45), (0.1, 0.8, 0.1), (0.02, 0.18, 0.8)])
def test_the_interval_covers_about_95_times_in_100(shares):
    covered = 0
    for num_a, num_ties, num_b in np.random.default_rng(7).multinomial(30, shares, size=200):
        low, high = summarise_pairs(*outcomes(*[A_WINS] * num_a, *[TIE] * num_ties, *[B_WINS] * num_b)).ci95
        covered += low <= shares[2] + shares[1] / 2 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_a_judge_that_always_names_the_first_shown_is_told_by_its_inconsistency():
    summary = summarise_pairs(*outcomes(*[("first", "first")] * 4))
    assert (summary.num_ties, summary.position_consistency, summary.first_share) == (4, 0.0, 1.0)


def test_a_judge_that_does_not_mind_the_order_names_the_first_half_of_the_time():
    summary = summarise_pairs(*outcomes(A_WINS, B_WINS, A_WINS))
    assert (summary.position_consistency, summary.first_share) == (1.0, 0.5)


def test_the_length_slope_is_what_a_doubling_brings():
    # log2 ratios -1, 0, 1 with values 0, 0.5, 1: a straight line of slope 0.5
    summary = summarise_pairs(*outcomes(A_WINS, TIE, B_WINS, lengths=[(3, 1), (3, 3), (1, 3)]))
    assert summary.length_slope == pytest.approx(0.5)
    assert summary.length_slope_ci95 == pytest.approx((0.5, 0.5), abs=1e-6)


def test_the_slopes_interval_is_students():
    # x -1, 0, 1, y 0, 1, 1: slope 0.5, residual sum of squares 1/6, its error sqrt(1/6 / 1 / 2), t(1) = 12.7062
    summary = summarise_pairs(*outcomes(A_WINS, B_WINS, B_WINS, lengths=[(3, 1), (3, 3), (1, 3)]))
    half = 12.7062 * math.sqrt(1 / 12)
    assert summary.length_slope_ci95 == pytest.approx((0.5 - half, 0.5 + half), abs=1e-3)


def test_answers_of_equal_lengths_have_no_slope():
    summary = summarise_pairs(*outcomes(A_WINS, B_WINS, TIE))
    assert (summary.length_slope, summary.length_slope_ci95) == (None, None)


def test_a_judge_that_always_says_the_same_has_no_slope():
    summary = summarise_pairs(*outcomes(TIE, TIE, TIE, lengths=[(3, 1), (3, 3), (1, 3)]))
    assert (summary.length_slope, summary.length_slope_ci95) == (None, None)


def test_pairs_without_a_preference_are_counted_and_left_out():
    lost = prefers(1, None, status="error")
    forward, backward = [prefers(0, "second"), lost], [prefers(0, "first"), lost]
    summary = summarise_pairs(combine([pair(0), pair(1)], forward, backward), forward, backward)
    assert (summary.num_pairs, summary.num_judged, summary.win_rate) == (2, 1, 1.0)


def test_no_preference_at_all_has_no_win_rate():
    summary = summarise_pairs([], [], [])
    assert (summary.win_rate, summary.ci95, summary.position_consistency, summary.first_share) == (None,) * 4


def test_equal_answers_are_a_tie_that_nobody_is_asked_about():
    pairs = [pair(0, "same", "same\n"), pair(1)]
    assert differing(pairs) == [pair(1)]
    forward, backward = [prefers(1, "second")], [prefers(1, "second")]
    found = combine(pairs, forward, backward)
    assert [(outcome.winner, outcome.is_consistent) for outcome in found] == [("tie", None), ("tie", False)]
    summary = summarise_pairs(found, forward, backward)
    assert (summary.num_judged, summary.num_equal, summary.num_ties, summary.win_rate) == (2, 1, 2, 0.5)
    assert summary.position_consistency == 0.0


def test_preferences_line_up_with_their_pairs():
    seen = []
    found = judge_pairs(Scripted(prefers(7, "first"), prefers(3, "tie")), [pair(7), pair(3)], on_preference=seen.append)
    assert found == (prefers(7, "first"), prefers(3, "tie"))
    assert seen == list(found)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (prefers(3, "first"), "a preference on item 3"),
        (prefers(7, "a"), "winner 'a': expected one of first, second, tie"),
        (prefers(7, None), "winner None"),
        (prefers(7, "tie", status="timeout"), "winner 'tie' with status 'timeout'"),
        (prefers(7, None, status="lost"), "status 'lost': expected one of ok, unparsable, timeout, error"),
        ("first", "str instead of a Preference"),
    ],
)
def test_a_preference_that_breaks_the_contract_names_judge_and_item(given, what):
    with pytest.raises(PluginError, match=f"judge 'scripted' broke its contract on item 7: it gave .*{what}"):
        judge_pairs(Scripted(given), [pair(7)], on_preference=lambda preference: None)


def test_a_judge_of_single_answers_says_that_it_is_one():
    class Single(Judge):
        name = "single"
        summary = "grades"

        def score(self, items):
            return iter(())

    assert not Single().can_prefer
    with pytest.raises(JudgeError, match="judge 'single' grades single answers only"):
        judge_pairs(Single(), [pair(0)], on_preference=lambda preference: None)
    assert Scripted().can_prefer
