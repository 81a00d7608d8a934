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
