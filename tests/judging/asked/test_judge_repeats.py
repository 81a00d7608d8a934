"""How far repeated judging of the same answers comes apart."""

import pytest

from sftframe import Verdict
from sftframe.judging.scoring import measure_noise


def judged(*scores):
    return [
        Verdict(index=index, status="timeout" if score is None else "ok", score=score)
        for index, score in enumerate(scores)
    ]


def test_a_judge_that_repeats_itself_has_no_noise():
    noise = measure_noise([judged(10, 90)] * 3)
    assert (noise.num_repeats, noise.item_sd, noise.mean_sd, noise.means) == (3, 0.0, 0.0, (50, 50, 50))


def test_opposite_movements_are_noise_of_the_items_and_not_of_the_mean():
    # each item moves by 10, a standard deviation of sqrt(50); the mean stays where it is
    noise = measure_noise([judged(40, 60), judged(50, 50)])
    assert noise.item_sd == pytest.approx(50**0.5)
    assert noise.mean_sd == 0.0


def test_an_item_that_was_not_scored_every_time_is_left_out_and_the_others_counted():
    noise = measure_noise([judged(40, 60), judged(None, 64)])
    assert (noise.num_items, noise.means) == (1, (60, 64))
    assert noise.item_sd == pytest.approx(8**0.5)


@pytest.mark.parametrize("repeats", [[judged(1, 2)], [judged(None), judged(3)]])
def test_without_two_scores_of_one_item_nothing_is_known(repeats):
    noise = measure_noise(repeats)
    assert (noise.item_sd, noise.mean_sd) == (None, None)
