"""Known answers through the whole comparison: tables, axes, flips, documents."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from sftframe.analysis import ComparedArm, compare, group_into_arms
from sftframe.analysis.compare import axis_levels
from sftframe.errors import ConfigError
from sftframe.report import comparison_csv, comparison_document, comparison_markdown
from sftframe.runs import LoadedRun

from .conftest import item

Runs = Callable[..., LoadedRun]

LOW = [10.0, 20, 30, 40, 50, 60, 70, 80]
HIGH = [14.0, 27, 31, 49, 52, 68, 75, 86]  # better by 4, 7, 1, 9, 2, 8, 5, 6: mean 5.25


@pytest.fixture
def two(run: Runs) -> Any:
    """Two arms, one seed, eight items."""
    return group_into_arms([run("a", scores=LOW), run("b", scores=HIGH, collate="mask-instruction")])


def judged(result: Any) -> Any:
    return result.main.table.comparisons[0]


def test_the_difference_is_the_mean_of_the_paired_differences(two: Any) -> None:
    found = judged(compare(two))
    assert (found.baseline, found.candidate) == ("mask-pad", "mask-instruction")
    assert found.difference == pytest.approx(5.25)
    assert (found.num_better, found.num_worse, found.num_tied) == (8, 0, 0)


def test_with_one_seed_the_p_value_is_that_of_the_paired_t_test(two: Any) -> None:
    assert judged(compare(two)).p_value == pytest.approx(stats.ttest_rel(HIGH, LOW).pvalue, rel=0.2)


def test_a_sure_difference_is_better_and_the_same_the_other_way_round_is_worse(two: Any) -> None:
    assert judged(compare(two)).verdict == "better"
    assert judged(compare(two, baseline="mask-instruction")).verdict == "worse"


def test_a_wide_margin_makes_the_same_arms_equivalent(two: Any) -> None:
    assert judged(compare(two, margin=20)).verdict == "equivalent"


def test_every_yardstick_is_reported_and_a_lower_nll_is_better(run: Runs) -> None:
    worse = [item(i, 50, response_nll=3.0 + 0.1 * i) for i in range(8)]
    better = [item(i, 50, response_nll=2.0 + 0.1 * i + 0.01 * (i % 2)) for i in range(8)]
    result = compare(group_into_arms([run("a", items=worse), run("b", items=better, collate="pad-only")]))
    tables = {table.yardstick.key: table for table in result.tables}
    assert set(tables) == {"judge", "exact_match", "response_nll_per_byte", "stop_rate", "length_ratio"}
    nll = tables["response_nll_per_byte"]
    assert nll.table.comparisons[0].verdict == "better"
    assert nll.table.arms[0].mean == pytest.approx(sum(3.0 + 0.1 * i for i in range(8)) / 40)  # 5 bytes each
    assert nll.margin == pytest.approx(0.02 * nll.table.arms[0].mean)


def test_items_without_a_score_are_left_out_of_both_arms_and_counted(run: Runs) -> None:
    arms = group_into_arms([run("a", scores=[None, *LOW[1:]]), run("b", scores=HIGH, collate="pad-only")])
    table = compare(arms).main
    assert table.table.items == (1, 2, 3, 4, 5, 6, 7)
    assert table.num_unscored == {"mask-pad": 1, "pad-only": 0}


def test_a_reference_that_one_arm_alone_had_to_cut_is_left_out_of_the_nll(run: Runs) -> None:
    whole = [item(index, 50) for index in range(4)]
    cut = [*whole[:3], item(3, 50, num_response_bytes=2)]
    result = compare(group_into_arms([run("a", items=whole), run("b", items=cut, collate="pad-only")]))
    tables = {table.yardstick.key: table.table for table in result.tables}
    assert tables["response_nll_per_byte"].items == (0, 1, 2)
    assert tables["judge"].items == (0, 1, 2, 3)


def test_judges_that_differ_do_not_compare(run: Runs) -> None:
    arms = group_into_arms([run("a"), run("b", collate="pad-only", judge="other")])
    with pytest.raises(ConfigError, match=r"judged by toy, .* by other: scores of different judges"):
        compare(arms)


def test_runs_that_nobody_judged_are_compared_by_another_yardstick(run: Runs) -> None:
    unjudged = [item(i, None, verdict=None) for i in range(4)]
    arms = group_into_arms([run("a", items=unjudged), run("b", items=unjudged, collate="pad-only")])
    with pytest.raises(ConfigError, match="no arm has measurements of 'judge'"):
        compare(arms)
    assert compare(arms, yardstick="exact_match").main.yardstick.key == "exact_match"


def test_flipped_items_come_largest_first_with_both_answers(run: Runs) -> None:
    arms = group_into_arms([run("a", scores=[100, 50, 0]), run("b", scores=[100, 40, 100], collate="pad-only")])
    flips = compare(arms).flips["pad-only"]
    assert [(flip.index, flip.difference) for flip in flips] == [(2, 100.0), (1, -10.0)]
    assert (flips[0].baseline.answer, flips[0].candidate.answer, flips[0].baseline.reference) == (
        "wrong!!",
        "right",
        "right",
    )


def test_an_axis_is_compared_with_the_others_averaged_out(run: Runs) -> None:
    shift = {"alpaca": 0, "phi3": 3}
    runs = [
        run(f"{p}{c}", scores=[s + shift[p] for s in scores], collate=c, prompt={"name": p})
        for p in shift
        for c, scores in (("mask-pad", LOW), ("mask-instruction", HIGH))
    ]
    arms = group_into_arms(runs)
    settings = {arm.name: {"prompt": arm.name.split(" · ")[1], "collate": arm.name.split(" · ")[0]} for arm in arms}
    by_axis = {axis.axis: axis.table.comparisons[0].difference for axis in compare(arms, settings=settings).axes}
    assert by_axis == {"prompt": pytest.approx(3.0), "collate": pytest.approx(5.25)}


def test_values_of_a_setting_are_told_with_its_name(run: Runs) -> None:
    arms, settings = [], {}
    for rate in (0.004, 0.008):
        for collate in ("mask-pad", "pad-only"):
            name = f"{collate} · lr {rate}"
            arms.append(ComparedArm(name=name, runs={1: run(name, scores=LOW, collate=collate)}))
            settings[name] = {"collate.name": collate, "train.lr": rate}
    said = {axis.axis: axis.table.comparisons[0] for axis in compare(arms, settings=settings).axes}
    assert "lr 0.008" in said["train.lr"].explanation
    assert "lr 0.004" in said["train.lr"].explanation
    assert "name" not in said["collate.name"].explanation
    assert (said["train.lr"].baseline, said["train.lr"].candidate) == ("0.004", "0.008")


def test_what_holds_for_all_arms_is_said_once(run: Runs) -> None:
    scores = {"mask-pad": LOW, "mask-instruction": HIGH, "pad-only": HIGH[::-1]}
    arms = group_into_arms([run(name, scores=own, collate=name) for name, own in scores.items()])
    assert compare(arms).sentence.count("training again with another seed could change this") == 1


def test_an_axis_that_some_arms_lack_is_not_averaged() -> None:
    arms = {"a": {"collate": "mask-pad"}, "b": {"collate": "prompt-weight", "weight": 0.1}}
    assert axis_levels(arms) == []


def test_the_document_has_every_number_of_the_tables(two: Any) -> None:
    document = comparison_document(compare(two))
    judge = next(table for table in document["yardsticks"] if table["key"] == "judge")
    (found,) = judge["comparisons"]
    assert found["difference"] == pytest.approx(5.25)
    assert found["interval"]["low"] < 5.25 < found["interval"]["high"]
    assert document["arms"][0]["counted_share"] == {"response": 1.0}
    assert document["flipped"]["mask-instruction"][0]["index"] == 3  # the largest: 9 points


def test_markdown_has_the_verdict_first_and_keeps_a_tables_columns(run: Runs) -> None:
    arms = group_into_arms([run("a", scores=LOW), run("b", scores=HIGH, collate="x|y`z")])
    text = comparison_markdown(compare(arms))
    assert text.startswith(
        "By the scores of the judge toy, the answers with collate x|y`z are better than those with collate mask-pad ("
    )
    assert "| `x\\|y'z` | 50.2 | +5.2 | " in text


def test_markdown_shows_what_turns_the_direction_of_text(run: Runs) -> None:
    arms = group_into_arms([run("a", scores=LOW), run("b", scores=HIGH, collate="mask\u2067\n\x1b[2J")])
    text = comparison_markdown(compare(arms))
    assert "| `mask<U+2067> ␛[2J` | 50.2 | +5.2 | " in text
    assert not {"\u2067", "\x1b"} & set(text)


def test_csv_has_a_line_per_yardstick_and_pair(two: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(comparison_csv(compare(two)))))
    assert [row["yardstick"] for row in rows] == [
        "judge",
        "exact_match",
        "response_nll_per_byte",
        "stop_rate",
        "length_ratio",
    ]
    assert float(rows[0]["difference"]) == pytest.approx(5.25)
    assert rows[0]["effect"] == "5.2 points of 100 more: a mean of 50.2 instead of 45.0"
    assert (rows[0]["seed_differences"], rows[0]["share_of_items"], rows[0]["train_steps"]) == ("5.25", "1.0", "")


def test_the_document_has_effects_worth_and_the_cost_of_every_run(run: Runs) -> None:
    trained = {"steps": 4, "examples_seen": 8, "tokens_seen": 100, "seconds": 2.5}
    arms = [
        ComparedArm(name=name, runs={seed: replace(run(f"{name}{seed}", scores=LOW, seed=seed), summary=summary)})
        for name, seed, summary in (("a", 1, {"train": trained}), ("b", 1, {}))
    ]
    document = comparison_document(compare(arms))
    first, second = document["cost"]["arms"]
    assert first["runs"]["1"] == {
        "num_runs": 1,
        "seconds": 2.5,
        "steps": 4,
        "examples": 8,
        "tokens": 100,
        "judged": 8,
    }
    assert (second["seconds"], document["cost"]["total"]["seconds"], document["cost"]["total"]["judged"]) == (
        None,
        None,
        16,
    )
    assert document["effects"] == ["With b the same mean score. Of 8 items, 0 are better, 0 worse and 8 the same."]


def square(run: Runs, extra: float = 6.0) -> tuple[list[ComparedArm], dict[str, dict[str, str]]]:
    """Two styles by two masks with two seeds; the second mask adds about `extra` points, the style nothing."""
    arms, settings = [], {}
    for style in ("alpaca", "phi3"):
        for collate in ("mask-pad", "pad-only"):
            name = f"{style} · {collate}"
            runs = {}
            for seed in (1, 2):
                scores = [
                    10.0 * i
                    + (extra + i % 3 if collate == "pad-only" else 0.0)
                    + (seed + i) % 2
                    + (style == "phi3") * (i % 2)
                    for i in range(8)
                ]
                runs[seed] = run(
                    f"{style}-{collate}-{seed}", scores=scores, seed=seed, collate=collate, prompt={"name": style}
                )
            arms.append(ComparedArm(name=name, runs=runs))
            settings[name] = {"prompt": style, "collate": collate}
    return arms, settings


def test_an_axis_is_compared_with_the_baselines_own_value(run: Runs) -> None:
    arms, settings = square(run)
    for baseline, expected in ((None, ("alpaca", "mask-pad")), ("phi3 · pad-only", ("phi3", "pad-only"))):
        axes = compare(arms, settings=settings, baseline=baseline).axes
        assert tuple(axis.table.comparisons[0].baseline for axis in axes) == expected


def test_p_values_of_axes_are_adjusted_for_all_axes_together(run: Runs) -> None:
    arms, settings = square(run, extra=3.0)
    style, mask = (axis.table.comparisons[0] for axis in compare(arms, settings=settings).axes)
    assert style.p_value is not None
    assert mask.p_value is not None
    assert mask.p_value < style.p_value
    assert mask.p_holm == pytest.approx(2 * mask.p_value)
    assert style.p_holm == pytest.approx(max(style.p_value, 2 * mask.p_value))


def test_an_averaged_score_has_less_of_the_judges_noise(run: Runs) -> None:
    arms, settings = square(run)
    found = compare(arms, settings=settings, judge_variance=8.0).axes[0].table.comparisons[0]
    assert found.components.judge == pytest.approx(2 * 8.0 / 2)


def test_arms_with_the_same_answers_and_scores_are_identical(run: Runs) -> None:
    arms = group_into_arms([run("a", scores=LOW), run("b", scores=LOW, collate="pad-only")])
    result = compare(arms)
    assert judged(result).verdict == "identical"
    assert result.sentence == (
        "By the scores of the judge toy, collate pad-only and collate mask-pad are identical (the same answers to "
        "every item), with one training seed and 8 test items; training again with another seed could change this; "
        "other models, data and judges were not tested."
    )


def test_items_without_a_score_are_in_the_sentence_and_in_the_table(run: Runs) -> None:
    arms = group_into_arms([run("a", scores=LOW), run("b", scores=[*HIGH[:5], None, None, None], collate="pad-only")])
    result = compare(arms)
    assert judged(result).verdict == "cannot tell"
    assert "3 of 8 items without a score could turn this round" in result.sentence
    assert result.details[0].startswith("Of 8 items some have no score and are left out: 3 in pad-only")
    assert "3 in pad-only" in comparison_markdown(result)
    (row, *_) = csv.DictReader(io.StringIO(comparison_csv(result)))
    assert (row["num_items"], row["missing_in_baseline"], row["missing_in_candidate"]) == ("5", "0", "3")
    assert float(row["lowest_if_missing"]) < 0 < float(row["highest_if_missing"])
