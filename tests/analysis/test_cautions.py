"""What a judge says against its use becomes a note of the comparison."""

from typing import Any

from sftframe import Judge
from sftframe.analysis import ComparedArm, compare


class Wary(Judge):
    name = "wary"
    summary = "never trusts itself where answers differ"

    def score(self, items: Any) -> Any:
        return iter(())

    def caution(self, first: Any, second: Any) -> str:
        gap = sum(one.answer != other.answer for one, other in zip(first, second, strict=True))
        return f"{gap} answers differ" if gap else ""


def test_a_caution_is_a_note_of_its_arm(run: Any) -> None:
    arms = [
        ComparedArm(
            name=name,
            runs={seed: run(f"{name}{seed}", scores=scores, seed=seed, collate=name) for seed in (1, 2)},
        )
        for name, scores in (("base", (100, 0, 50)), ("alike", (100, 0, 50)), ("new", (0, 100, 50)))
    ]
    assert compare(arms, judge=Wary()).notes == ("base and new: 4 answers differ",)  # 2 with each seed
    assert compare(arms).notes == ()
    warning = "; this judge warns that it should not decide on collate new; "
    assert warning in compare(arms, judge=Wary()).sentence
    assert warning not in compare(arms, judge=Wary(), yardstick="exact_match").sentence


def test_a_judges_noise_that_nobody_measured_is_in_the_sentence(run: Any) -> None:
    arms = [
        ComparedArm(name=name, runs={1: run(name, scores=scores, collate=name)})
        for name, scores in (("base", (100, 0, 50)), ("new", (0, 100, 50)))
    ]
    noise = "the judge's own noise was not measured"
    assert noise in compare(arms, judge=Wary()).sentence
    assert noise not in compare(arms, judge=Wary(), judge_variance=4.0).sentence
    assert noise not in compare(arms, judge=Steady()).sentence
    assert noise not in compare(arms, judge=Wary(), yardstick="exact_match").sentence
    assert noise not in compare(arms).sentence  # which judge it was, is not known


class Steady(Wary):
    is_deterministic = True


class Broken(Wary):
    def caution(self, first: Any, second: Any) -> str:
        raise ZeroDivisionError("no words")


def test_a_judge_whose_caution_fails_leaves_the_comparison_as_it_is(run: Any) -> None:
    arms = [
        ComparedArm(name=name, runs={seed: run(f"{name}{seed}", scores=scores, seed=seed, collate=name)})
        for seed, name, scores in ((1, "base", (100, 0, 50)), (1, "one", (100, 0, 50)), (1, "two", (0, 100, 50)))
    ]
    result, plain = compare(arms, judge=Broken()), compare(arms)
    (note,) = result.notes  # one, not one for each arm
    assert note.startswith(
        "it is not known whether this judge should decide here: judge 'wary' failed in caution: Zero"
    )
    assert result.tables == plain.tables
