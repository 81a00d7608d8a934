"""People's labels correct a judge: expected values by hand, from ppi-python, and from simulations of a known truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from sftframe.analysis.labels import Corrected, Design, corrected, estimate, labelled_scores, power_tuning
from sftframe.errors import DataError

Floats = NDArray[np.float64]
JUDGE = [80, 20, 55, 90, 10, 65, 40, 75, 30, 95, 60, 15, 85, 50, 25, 70, 45, 5, 100, 35, 62, 48, 77, 12]
PEOPLE = [80, 30, 80, 80, 30, 55, 30, 80, 55, 80, 55, 30]
"""Of the first twelve items."""


def one_seed(judge: list[float], people: dict[int, float], **more: object) -> Corrected:
    scores = labelled_scores({1: dict(enumerate(judge))}, {1: people}, **more)  # type: ignore[arg-type]
    return corrected(scores)


def test_the_estimate_is_that_of_ppi_python():
    """ppi-python 0.2.3: `ppi_mean_pointestimate(Y, F, U)` of the labels, the judge's scores of the labelled items and
    those of the others is 56.51516202, its 95 % interval by the normal distribution 46.99514976 to 66.03517428.
    """
    found = one_seed([float(score) for score in JUDGE], {i: float(label) for i, label in enumerate(PEOPLE)})
    assert found.value == pytest.approx(56.51516202, abs=1e-7)
    assert found.power_tuning == pytest.approx(2 * 0.3246693, abs=1e-6)  # 1 + n / N times that of the paper
    assert found.labels_alone == pytest.approx(np.mean(PEOPLE))
    assert found.judge_alone == pytest.approx(np.mean(JUDGE))
    assert found.interval is not None
    assert found.interval.low < 46.99514976 < 66.03517428 < found.interval.high  # Student's t with so few labels


def test_with_many_labels_the_interval_is_that_of_the_normal_distribution():
    """The same numbers a hundred times: ppi-python's half width is a tenth of 9.52 in the limit."""
    judge = [float(score) for score in JUDGE * 100]
    labelled = [i for i in range(len(judge)) if i % 24 < 12]
    found = one_seed(judge, {i: float(PEOPLE[i % 24]) for i in labelled})
    assert found.interval is not None
    assert (found.interval.high - found.interval.low) / 2 == pytest.approx(0.952, rel=0.04)


def test_a_judge_that_is_never_wrong_makes_the_interval_that_of_all_labels():
    judge = [0.0, 100.0] * 100
    found = one_seed(judge, {i: judge[i] for i in range(40)})
    assert found.value == pytest.approx(50)
    assert found.power_tuning == pytest.approx(1, abs=0.05)
    assert found.interval is not None
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(1.972 * 50 / np.sqrt(200), rel=0.05)
    assert half == pytest.approx(found.half_width_of_all, rel=0.05)


def test_a_judge_whose_scores_say_nothing_is_not_used():
    judge = [10.0, 90.0] * 50
    people = {i: [0.0, 0.0, 100.0, 100.0][i % 4] for i in range(40)}  # the same for 10 and for 90
    found = one_seed(judge, people)
    assert found.power_tuning == pytest.approx(0, abs=1e-9)
    assert found.value == pytest.approx(50)


def test_a_judge_that_says_the_opposite_is_not_used_either():
    judge = [float(score) for score in range(100)]
    assert one_seed(judge, {i: 100.0 - i for i in range(0, 100, 4)}).power_tuning == 0


def test_a_constant_judge_changes_nothing():
    found = one_seed([70.0] * 60, {i: 100.0 * (i % 2) for i in range(20)})
    assert (found.power_tuning, found.value) == (0, 50)


@pytest.mark.parametrize("number", [0, 1, 9])
def test_fewer_than_ten_labels_are_an_error_that_says_how_many_there_are(number):
    with pytest.raises(DataError, match=rf"{number} of 24 items have labels of both, expected at least 10"):
        labelled_scores(
            {1: dict.fromkeys(range(24), 1.0)}, {1: dict.fromkeys(range(number), 1.0)}, what="labels of both"
        )


def test_labels_that_are_all_alike_leave_room_for_others():
    """Thirty right answers: three of thirty may be wrong (the rule of three)."""
    found = one_seed([100.0] * 30, dict.fromkeys(range(30), 100.0))
    assert found.value == 100
    assert found.interval is not None
    assert found.interval.low == pytest.approx(90, abs=2)
    assert found.interval.high == 100  # not beyond the scale


def test_differences_that_are_all_ties_leave_room_for_others():
    found = one_seed([0.0] * 60, dict.fromkeys(range(30), 0.0), is_difference=True)
    assert found.interval is not None
    assert found.interval.high == -found.interval.low == pytest.approx(10, abs=2)


def test_strata_count_by_their_size_and_not_by_their_labels():
    """Ninety items of which 10 are labelled, ten of which all are: by hand (9 * 20 + 1 * 80) / 10 = 26."""
    people = {i: 20.0 + (i % 2) for i in range(10)} | {i: 80.0 + (i % 2) for i in range(90, 100)}
    probability = dict.fromkeys(range(10), 1 / 9) | dict.fromkeys(range(90, 100), 1.0)
    stratum = {i: "1" if i < 90 else "2" for i in probability}
    found = one_seed([50.0] * 100, people, design=Design(probability=probability, stratum=stratum))
    assert found.value == pytest.approx(26.5)
    unweighted = one_seed([50.0] * 100, people)
    assert unweighted.value == pytest.approx(50.5)
    weights_alone = one_seed([50.0] * 100, people, design=Design(probability=probability, stratum={}))
    assert weights_alone.value == pytest.approx(26.5)


def test_a_stratum_with_one_label_joins_its_neighbour():
    people = {i: 100.0 * (i % 2) for i in range(20)} | {99: 100.0}
    design = Design(
        probability={**dict.fromkeys(range(20), 0.2), 99: 0.2}, stratum={**dict.fromkeys(range(20), "1"), 99: "2"}
    )
    scores = labelled_scores({1: dict.fromkeys(range(100), 50.0)}, {1: people}, design=design)
    assert scores.sizes.tolist() == [1.0]
    assert corrected(scores).value == pytest.approx(100 * 11 / 21)


def test_drawn_items_without_a_label_still_count_for_the_size_of_their_stratum():
    people = {i: 0.0 + i % 2 for i in range(10)} | {i: 99.0 + i % 2 for i in range(50, 60)}
    drawn = [*range(20), *range(50, 60)]  # of the first stratum ten have no label yet
    design = Design(probability=dict.fromkeys(drawn, 0.5), stratum={i: "1" if i < 50 else "2" for i in drawn})
    found = one_seed([50.0] * 60, people, design=design)
    assert found.value == pytest.approx((2 * 0.5 + 99.5) / 3)


def test_an_item_labelled_in_one_seed_counts_as_one_of_the_mean_over_seeds():
    judge = {seed: dict.fromkeys(range(30), 40.0 + 10 * seed) for seed in (1, 2)}
    people = {1: dict.fromkeys(range(0, 20, 2), 100.0), 2: dict.fromkeys(range(1, 20, 2), 0.0)}
    scores = labelled_scores(judge, people)
    found = estimate(scores, 1.0)
    # labels minus scores: +50 in seed 1, -60 in seed 2, on average -5; the judge's mean is 55
    assert found.value == pytest.approx(50)
    assert found.seed_values == pytest.approx((45, 55))


def simulated(
    draw: Callable[[np.random.Generator], tuple[Corrected, float]], number: int
) -> tuple[float, float, float]:
    """Coverage, mean half width with the judge and without."""
    generator = np.random.default_rng(3)
    found = [draw(generator) for _ in range(number)]
    inside, halves, alone = [], [], []
    for one, truth in found:
        assert one.interval is not None
        assert one.labels_alone_interval is not None
        inside.append(one.interval.low <= truth <= one.interval.high)
        halves.append((one.interval.high - one.interval.low) / 2)
        alone.append((one.labels_alone_interval.high - one.labels_alone_interval.low) / 2)
    return float(np.mean(inside)), float(np.mean(halves)), float(np.mean(alone))


def two_arms(
    generator: np.random.Generator, num_items: int, num_seeds: int = 1, group: int = 1
) -> tuple[Floats, Floats]:
    """(S, I) differences of a judge that is unjust to the second arm, and of people: its truth is 0."""
    item = np.repeat(generator.normal(size=num_items // group), group)
    of_arm = np.repeat(generator.normal(size=(2, 1, num_items // group)), group, axis=2)
    latent = item + 0.7 * of_arm + 0.5 * generator.normal(size=(2, num_seeds, num_items))
    people = 100.0 * (latent > 0)
    judge = np.clip(50 + 20 * latent + 10 * generator.normal(size=latent.shape), 0, 100)
    judge[1] -= 12
    return judge[1] - judge[0], people[1] - people[0]


def test_the_interval_covers_although_the_judge_is_unjust_to_one_arm():
    def draw(generator: np.random.Generator) -> tuple[Corrected, float]:
        judge, people = two_arms(generator, 400)
        labelled = generator.permutation(400)[:80]
        return one_seed(judge[0].tolist(), {int(i): people[0, i] for i in labelled}, is_difference=True), 0.0

    coverage, half, alone = simulated(draw, 300)
    assert 0.92 <= coverage <= 0.985
    assert half < 0.85 * alone


def test_the_interval_covers_with_strata_of_unequal_chance():
    def draw(generator: np.random.Generator) -> tuple[Corrected, float]:
        judge, people = two_arms(generator, 400)
        by_disagreement = np.argsort(np.abs(judge[0]))
        parts = [generator.permutation(by_disagreement[:300])[:30], generator.permutation(by_disagreement[300:])[:50]]
        design = Design(
            probability={int(i): share for part, share in zip(parts, (0.1, 0.5), strict=True) for i in part},
            stratum={int(i): name for part, name in zip(parts, "12", strict=True) for i in part},
        )
        labels = {int(i): people[0, i] for part in parts for i in part}
        return one_seed(judge[0].tolist(), labels, design=design, is_difference=True), 0.0

    coverage, _, _ = simulated(draw, 300)
    assert 0.92 <= coverage <= 0.99


def test_the_interval_covers_with_groups_and_is_wider_than_without():
    def draw(generator: np.random.Generator, groups: bool = True) -> tuple[Corrected, float]:
        judge, people = two_arms(generator, 400, group=5)
        labelled = generator.permutation(400)[:150]
        names = {i: str(i // 5) for i in range(400)} if groups else None
        labels = {int(i): people[0, i] for i in labelled}
        return one_seed(judge[0].tolist(), labels, groups=names, is_difference=True), 0.0

    coverage, half, _ = simulated(draw, 300)
    assert 0.92 <= coverage <= 0.985
    assert half > 1.15 * simulated(lambda generator: draw(generator, groups=False), 50)[1]


@pytest.mark.parametrize("is_every_seed", [True, False], ids=["every seed", "one seed of each item"])
def test_the_interval_covers_over_seeds(is_every_seed):
    def draw(generator: np.random.Generator) -> tuple[Corrected, float]:
        judge, people = two_arms(generator, 200, num_seeds=4)
        labelled = generator.permutation(200)[:60]
        chosen = generator.integers(4, size=200)
        labels = {
            seed: {int(i): people[seed, i] for i in labelled if is_every_seed or chosen[i] == seed} for seed in range(4)
        }
        scores = {seed: dict(enumerate(judge[seed].tolist())) for seed in range(4)}
        found = corrected(labelled_scores(scores, labels, is_difference=True))
        assert found.interval is not None
        assert found.interval.covers == "items and seeds"
        return found, 0.0

    coverage, _, _ = simulated(draw, 200)
    assert coverage >= 0.92


def test_the_tuning_of_several_pairs_is_between_those_of_each():
    generator = np.random.default_rng(1)
    found = []
    for noise in (5.0, 60.0):
        people = 100.0 * generator.integers(2, size=100)
        judge = people + noise * generator.normal(size=100)
        found.append(labelled_scores({1: dict(enumerate(judge))}, {1: dict(enumerate(people[:50]))}))
    low, high = sorted(power_tuning([one]) for one in found)
    assert low < power_tuning(found) < high
