"""What a comparison says of how it was made."""

from collections.abc import Callable

from sftframe.analysis import compare, group_into_arms
from sftframe.report import PageInput, comparison_document, comparison_markdown, comparison_page
from sftframe.runs import LoadedRun

Runs = Callable[..., LoadedRun]


def made(run: Runs) -> dict[str, LoadedRun]:
    manifest = {
        "versions": {"sftframe": "0.3.9"},
        "data": {"source": "qa.json", "sha256": "c" * 64, "train": 90, "test": 3, "validation": 7},
    }
    settings = {"train": {"lr": 0.25, "epochs": 2, "batch_size": 6}, "model": {"name": "m"}}
    arms = (("mask-pad", (100, 0, 50)), ("pad-only", (0, 10, 40)))
    return {
        f"{collate}-{seed}": run(
            f"{collate}-{seed}", seed=seed, collate=collate, scores=scores, manifest=manifest, **settings
        )
        for seed in (4, 6)
        for collate, scores in arms
    }


def test_every_form_of_a_comparison_has_the_set_up_and_the_methods(run: Runs) -> None:
    result = compare(group_into_arms([*made(run).values()]), margin=1.5)
    methods = comparison_document(result)["methods"]
    for part in (
        "We fine-tuned m on 90 examples of qa.json (SHA-256 cccccccccccccccc), with 3 more for testing",
        "sftframe 0.3.9",
        "in 2 arms: mask-pad; pad-only",
        "the seeds 4 and 6; within a seed all arms had the same split, initial weights and order of batches.",
        "Training ran for 2 epochs in batches of 6, with AdamW, learning rate 0.25.",
        "over the 3 test items and 2 seeds",
        "crossed random effects",
        "differences within ±1.5 count as none (two one-sided tests)",
        "mask-pad reached 50.0. pad-only reached 16.7 (difference -33.3, 95 % interval",
    ):
        assert part in methods
    markdown, page = comparison_markdown(result), comparison_page(PageInput(result=result))
    assert methods in markdown
    assert "| Split | 90 train, 3 test, 7 validation, in file order |" in markdown
    assert 'id="methods"' in page
    assert "90 train, 3 test, 7 validation" in page


def test_runs_that_are_not_paired_are_not_said_to_be(run: Runs) -> None:
    one = run("a", seed=1)
    other = run("b", seed=1, collate="pad-only", pairing={"order": "other", "initial_weights": "other"})
    methods = comparison_document(compare(group_into_arms([one, other])))["methods"]
    assert "trained with the seed 1; within a seed all arms had the same split." in methods
    assert "they do not speak of other seeds" in methods
