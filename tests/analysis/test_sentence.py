"""The sentence that can be quoted alone, whole and for every kind of verdict; every expectation is written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sftframe.analysis import Comparison, Interval, VarianceComponents, find_yardstick
from sftframe.analysis.pairs import Missing, SignFlip
from sftframe.analysis.sentence import Claim, Design, details, sentence

JUDGED = Design(
    yardstick=find_yardstick("judge"),
    judge="reference@2",
    model="gpt2-nano",
    data="starter",
    num_items=193,
    num_seeds=5,
)
UNJUDGED = replace(JUDGED, judge="")


def interval(low: float, high: float, level: float = 0.95) -> Interval:
    return Interval(low=low, high=high, level=level, covers="items and seeds")


def found(
    verdict: Any,
    difference: float,
    bounds: tuple[float, float] | None = None,
    *,
    within: tuple[float, float] | None = None,
    **changes: Any,
) -> Comparison:
    """A comparison of which the sentence reads only what is given here."""
    plain = Comparison(
        baseline="b",
        candidate="c",
        difference=difference,
        interval=interval(*bounds) if bounds else None,
        p_value=None,
        p_holm=None,
        sign_flip=SignFlip(items=1.0, seeds=None),
        margin=2.0,
        p_equivalence=None,
        equivalence_interval=interval(*within, level=0.9) if within else None,
        verdict=verdict,
        explanation="",
        needed=None,
        minimum_detectable=None,
        components=VarianceComponents(seed=None, item=0.0, residual=0.0),
        num_better=0,
        num_worse=0,
        num_tied=0,
        num_items=193,
        num_seeds=5,
        missing=None,
    )
    return replace(plain, **changes)


def claim(
    comparison: Comparison, candidate: str = "collate mask-instruction", baseline: str = "collate mask-pad"
) -> Claim:
    return Claim(comparison=comparison, baseline=baseline, candidate=candidate)


def missing(count: int, *, turns: bool) -> Missing:
    return Missing(in_baseline=0, in_candidate=count, num_items=193, low=None, high=None, changes_verdict=turns)


BETTER = found("better", 9.24, (4.16, 14.3))
WORSE = found("worse", -5.82, (-8.82, -2.82))
OPEN = found("cannot tell", 15.3, (-3.6, 34.2))

ONE_PAIR = {
    "better": (
        BETTER,
        JUDGED,
        "By the scores of the judge reference@2, collate mask-instruction is better than collate mask-pad (+9.2 "
        "points of 100, 95 % interval +4.2 to +14.3), with the model gpt2-nano, 5 training seeds and 193 test items "
        "of starter; other models, data and judges were not tested.",
    ),
    "worse": (
        WORSE,
        JUDGED,
        "By the scores of the judge reference@2, collate mask-instruction is worse than collate mask-pad (-5.8 points "
        "of 100, 95 % interval -8.8 to -2.8), with the model gpt2-nano, 5 training seeds and 193 test items of "
        "starter; other models, data and judges were not tested.",
    ),
    "equivalent, with the interval that decided": (
        found("equivalent", 0.31, (-1.3, 1.9), within=(-1.04, 1.66)),
        JUDGED,
        "By the scores of the judge reference@2, collate mask-instruction and collate mask-pad are equivalent within "
        "±2 (+0.3 points of 100, 90 % interval -1.0 to +1.7), with the model gpt2-nano, 5 training seeds and 193 test "
        "items of starter; other models, data and judges were not tested.",
    ),
    "cannot tell": (
        OPEN,
        JUDGED,
        "By the scores of the judge reference@2, it cannot be told whether collate mask-instruction is better or "
        "worse than collate mask-pad (+15.3 points of 100, 95 % interval -3.6 to +34.2), with the model gpt2-nano, 5 "
        "training seeds and 193 test items of starter; this does not show that they are equal; other models, data and "
        "judges were not tested.",
    ),
    "identical": (
        found("identical", 0.0, (0.0, 0.0)),
        JUDGED,
        "By the scores of the judge reference@2, collate mask-instruction and collate mask-pad are identical (the "
        "same answers to every item), with the model gpt2-nano, 5 training seeds and 193 test items of starter; other "
        "models, data and judges were not tested.",
    ),
    "one seed speaks of the answers": (
        BETTER,
        replace(JUDGED, num_seeds=1),
        "By the scores of the judge reference@2, the answers with collate mask-instruction are better than those with "
        "collate mask-pad (+9.2 points of 100, 95 % interval +4.2 to +14.3), with the model gpt2-nano, one training "
        "seed and 193 test items of starter; training again with another seed could change this; other models, data "
        "and judges were not tested.",
    ),
    "one seed that cannot tell": (
        OPEN,
        replace(JUDGED, num_seeds=1),
        "By the scores of the judge reference@2, it cannot be told whether the answers with collate mask-instruction "
        "are better or worse than those with collate mask-pad (+15.3 points of 100, 95 % interval -3.6 to +34.2), "
        "with the model gpt2-nano, one training seed and 193 test items of starter; this does not show that they are "
        "equal; training again with another seed could change this; other models, data and judges were not tested.",
    ),
    "one seed and a likelihood, which is of no answer": (
        found("better", -0.0681, (-0.0912, -0.045)),
        replace(UNJUDGED, yardstick=find_yardstick("response_nll_per_byte"), num_seeds=1),
        "By the likelihood of the reference answers (NLL, where less is better), the one run with collate "
        "mask-instruction is better than the one with collate mask-pad (-0.0681 nats per byte, 95 % interval -0.0912 "
        "to -0.0450), with the model gpt2-nano, one training seed and 193 test items of starter; training again with "
        "another seed could change this; other models and data were not tested.",
    ),
    "one item and one seed": (
        found("cannot tell", 40.0),
        replace(JUDGED, num_items=1, num_seeds=1),
        "By the scores of the judge reference@2, it cannot be told whether the answers with collate mask-instruction "
        "are better or worse than those with collate mask-pad (+40.0 points of 100), with the model gpt2-nano, one "
        "training seed and 1 test item of starter; nothing can be said about chance; training again with another seed "
        "could change this; this speaks of no other items; other models, data and judges were not tested.",
    ),
    "missing items that could overturn": (
        found("cannot tell", 12.0, (5.0, 19.0), num_items=153, missing=missing(40, turns=True)),
        JUDGED,
        "By the scores of the judge reference@2, it cannot be told whether collate mask-instruction is better or "
        "worse than collate mask-pad (+12.0 points of 100, 95 % interval +5.0 to +19.0; 40 of 193 items without a "
        "score could turn this round), with the model gpt2-nano, 5 training seeds and 193 test items of starter; this "
        "does not show that they are equal; other models, data and judges were not tested.",
    ),
    "missing items that do not matter": (
        found("better", 12.0, (5.0, 19.0), num_items=192, missing=missing(1, turns=False)),
        JUDGED,
        "By the scores of the judge reference@2, collate mask-instruction is better than collate mask-pad (+12.0 "
        "points of 100, 95 % interval +5.0 to +19.0; 1 of 193 items without a score is left out), with the model "
        "gpt2-nano, 5 training seeds and 193 test items of starter; other models, data and judges were not tested.",
    ),
    "a judge that warns": (
        BETTER,
        replace(JUDGED, doubtful=["collate mask-instruction"]),
        "By the scores of the judge reference@2, collate mask-instruction is better than collate mask-pad (+9.2 "
        "points of 100, 95 % interval +4.2 to +14.3), with the model gpt2-nano, 5 training seeds and 193 test items "
        "of starter; this judge warns that it should not decide on collate mask-instruction; other models, data and "
        "judges were not tested.",
    ),
    "a judge whose noise nobody measured": (
        OPEN,
        replace(JUDGED, judge="ollama:llama3", is_judge_noise_unknown=True),
        "By the scores of the judge ollama:llama3, it cannot be told whether collate mask-instruction is better or "
        "worse than collate mask-pad (+15.3 points of 100, 95 % interval -3.6 to +34.2), with the model gpt2-nano, 5 "
        "training seeds and 193 test items of starter; this does not show that they are equal; the judge's own noise "
        "was not measured; other models, data and judges were not tested.",
    ),
    "groups": (
        BETTER,
        replace(JUDGED, num_groups=60),
        "By the scores of the judge reference@2, collate mask-instruction is better than collate mask-pad (+9.2 "
        "points of 100, 95 % interval +4.2 to +14.3), with the model gpt2-nano, 5 training seeds and 193 test items "
        "of starter (in 60 groups); other models, data and judges were not tested.",
    ),
    "one group": (
        found("cannot tell", 3.0, (-2.0, 8.0)),
        replace(JUDGED, num_groups=1),
        "By the scores of the judge reference@2, it cannot be told whether collate mask-instruction is better or "
        "worse than collate mask-pad (+3.0 points of 100, 95 % interval -2.0 to +8.0), with the model gpt2-nano, 5 "
        "training seeds and 193 test items of starter (all in one group); this does not show that they are equal; "
        "this speaks of no other items; other models, data and judges were not tested.",
    ),
    "exact matches are answers": (
        found("better", 14.16, (7.49, 20.8)),
        replace(UNJUDGED, yardstick=find_yardstick("exact_match")),
        "By exact matches with the reference answers, collate mask-instruction is better than collate mask-pad (+14.2 "
        "of 100 answers, 95 % interval +7.5 to +20.8), with the model gpt2-nano, 5 training seeds and 193 test items "
        "of starter; other models and data were not tested.",
    ),
    "a length has no better side": (
        found("different", -0.165, (-0.24, -0.09)),
        replace(UNJUDGED, yardstick=find_yardstick("length_ratio")),
        "By the length of the answers against the references, collate mask-instruction differs from collate mask-pad "
        "(-0.165 characters per character, 95 % interval -0.240 to -0.090), with the model gpt2-nano, 5 training "
        "seeds and 193 test items of starter; other models and data were not tested.",
    ),
    "models that are compared are not the one model": (
        claim(BETTER, "model gpt2-small", "model gpt2-nano"),
        replace(JUDGED, model="", is_model_varied=True),
        "By the scores of the judge reference@2, model gpt2-small is better than model gpt2-nano (+9.2 points of 100, "
        "95 % interval +4.2 to +14.3), with 5 training seeds and 193 test items of starter; other data and judges "
        "were not tested.",
    ),
    "a small difference is not rounded to none": (
        found("better", 0.21, (0.012, 0.41)),
        JUDGED,
        "By the scores of the judge reference@2, collate mask-instruction is better than collate mask-pad (+0.2 "
        "points of 100, 95 % interval +0.01 to +0.4), with the model gpt2-nano, 5 training seeds and 193 test items "
        "of starter; other models, data and judges were not tested.",
    ),
    "answers in files": (
        claim(OPEN, "new.json", "old.json"),
        Design(yardstick=find_yardstick("judge"), judge="reference@2", num_items=40, num_seeds=1, is_trained=False),
        "By the scores of the judge reference@2, it cannot be told whether the answers of new.json are better or "
        "worse than those of old.json (+15.3 points of 100, 95 % interval -3.6 to +34.2), with one set of answers "
        "each and 40 test items; this does not show that they are equal; another set of answers could change this; "
        "other models, data and judges were not tested.",
    ),
}


@pytest.mark.parametrize("kind", ONE_PAIR)
def test_the_sentence_of_one_pair(kind: str) -> None:
    pair, design, expected = ONE_PAIR[kind]
    assert sentence([pair if isinstance(pair, Claim) else claim(pair)], design) == expected


STYLE = claim(found("cannot tell", 1.5, (-1.26, 4.27)), "prompt phi3", "prompt alpaca")
MASK = claim(found("better", 5.34, (2.88, 7.8)))
PADDING = claim(found("cannot tell", 0.48, (0.02, 0.94)), "collate pad-only", "collate mask-pad")
TABLES = {
    "two arms and a correction": (
        [MASK, PADDING],
        JUDGED,
        "By the scores of the judge reference@2, collate mask-instruction is better than collate mask-pad (+5.3 "
        "points of 100, 95 % interval +2.9 to +7.8) and it cannot be told whether collate pad-only is better or worse "
        "than collate mask-pad (+0.5 points of 100, 95 % interval +0.02 to +0.9; not enough among so many "
        "comparisons), with the model gpt2-nano, 5 training seeds and 193 test items of starter; verdicts are "
        "corrected for 2 comparisons, intervals are not; other models, data and judges were not tested.",
    ),
    "axes": (
        [STYLE, MASK],
        replace(JUDGED, is_averaged=True),
        "By the scores of the judge reference@2, it cannot be told whether prompt phi3 is better or worse than prompt "
        "alpaca (+1.5 points of 100, 95 % interval -1.3 to +4.3) and collate mask-instruction is better than collate "
        "mask-pad (+5.3 points of 100, 95 % interval +2.9 to +7.8), averaged over the other settings, with the model "
        "gpt2-nano, 5 training seeds and 193 test items of starter; verdicts are corrected for 2 comparisons, "
        "intervals are not; other models, data and judges were not tested.",
    ),
    "five arms by verdict": (
        [
            claim(found("better", 5.8, (2.8, 8.8)), "weight 0.1", "weight 1"),
            claim(found("worse", -6.0, (-9.0, -3.0)), "weight 2", "weight 1"),
            claim(found("cannot tell", 1.0, (-2.0, 4.0)), "weight 3", "weight 1"),
            claim(found("cannot tell", 1.5, (-2.0, 5.0)), "weight 4", "weight 1"),
            claim(found("equivalent", 0.2, (-1.2, 1.6), within=(-1.0, 1.4)), "weight 5", "weight 1"),
        ],
        JUDGED,
        "By the scores of the judge reference@2, of 5 arms compared with weight 1, 1 is better (weight 0.1: +5.8 "
        "points of 100, 95 % interval +2.8 to +8.8), 1 is worse (weight 2: -6.0 points of 100, 95 % interval -9.0 to "
        "-3.0), 1 is equivalent within ±2 (weight 5) and 2 cannot be told from it (weight 3; weight 4), with the "
        "model gpt2-nano, 5 training seeds and 193 test items of starter; verdicts are corrected for 5 comparisons, "
        "intervals are not; other models, data and judges were not tested.",
    ),
    "many arms with one seed, and items that nobody scored": (
        [
            claim(found("cannot tell", 1.0, (-2.0, 4.0), missing=missing(9, turns=number == 0)), f"lr {number}", "lr 9")
            for number in range(6)
        ],
        replace(JUDGED, num_seeds=1, doubtful=["lr 1", "lr 2"]),
        "By the scores of the judge reference@2, of the answers of 6 arms compared with those of lr 9, 6 cannot be "
        "told from it, with the model gpt2-nano, one training seed and 193 test items of starter; this judge warns "
        "that it should not decide on lr 1 and lr 2; training again with another seed could change this; items "
        "without a score could turn 1 of the verdicts round; verdicts are corrected for 6 comparisons, intervals are "
        "not; other models, data and judges were not tested.",
    ),
    "four choices of two axes": (
        [STYLE, MASK, PADDING, claim(found("worse", -3.0, (-5.0, -1.0)), "lr 0.1", "lr 0.01")],
        replace(JUDGED, is_averaged=True),
        "By the scores of the judge reference@2, of 4 choices, each compared with the baseline's, averaged over the "
        "other settings, 1 is better (collate mask-instruction: +5.3 points of 100, 95 % interval +2.9 to +7.8), 1 is "
        "worse (lr 0.1: -3.0 points of 100, 95 % interval -5.0 to -1.0) and 2 cannot be told from it (prompt phi3; "
        "collate pad-only), with the model gpt2-nano, 5 training seeds and 193 test items of starter; verdicts are "
        "corrected for 4 comparisons, intervals are not; other models, data and judges were not tested.",
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_the_sentence_of_several_comparisons(kind: str) -> None:
    claims, design, expected = TABLES[kind]
    assert sentence(claims, design) == expected


def test_the_details_are_what_the_sentence_leaves_out() -> None:
    plan = "About 3 more seeds would settle it."
    style = replace(STYLE, comparison=replace(STYLE.comparison, comments=(plan,)))
    assert details([style], JUDGED) == (plan,)
    assert details([style, MASK], JUDGED) == (f"prompt phi3: {plan}",)
    assert details([style, MASK, PADDING, MASK], JUDGED)[:2] == (
        "It cannot be told whether prompt phi3 is better or worse than prompt alpaca (+1.5 points of 100, 95 % "
        "interval "
        f"-1.3 to +4.3). {plan}",
        "collate mask-instruction is better than collate mask-pad (+5.3 points of 100, 95 % interval +2.9 to +7.8).",
    )
