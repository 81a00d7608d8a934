"""`sftframe ablate` as a command: the grid, the verdict, and what mistakes get."""

import json
import shutil
from pathlib import Path

import pytest

from sftframe.formatting import duration

pytestmark = pytest.mark.usefixtures("plain_drawings")

SMALL = ("--max-steps", "2", "--set", "generate.max_new_tokens=4", "--set", "train.eval_examples=2", "--threads", "1")


@pytest.fixture
def grid(finished_grid, tmp_path):
    """A finished ablation of two masks with one seed, in `grid`."""
    return shutil.copytree(finished_grid.path, tmp_path / "grid")


def masks(data_file: Path, *more: str) -> list[str]:
    return ["ablate", "--collate", "mask-pad,mask-instruction", "--data", str(data_file), *SMALL, *more]


def test_a_grid_ends_with_a_verdict_and_its_files(cli, data_file, tmp_path):
    outcome = cli(*masks(data_file, "--seeds", "2", "--out", "grid"))
    assert outcome.code == 0, outcome.err
    assert "2 arms by 2 seeds = 4 runs" in outcome.err
    assert "[4/4] mask-instruction · seed 124:" in outcome.err
    assert "mask-instruction" in outcome.out
    assert (tmp_path / "grid" / "ablation.json").is_file()
    assert (tmp_path / "grid" / "runs" / "mask-pad" / "seed-123" / "report.html").is_file()


def test_cells_in_processes_give_the_same_answers_as_one_after_the_other(cli, data_file, tmp_path, finished_grid):
    outcome = cli(*masks(data_file, "--seeds", "1", "--jobs", "2", "--out", "grid"))
    assert outcome.code == 0, outcome.err
    answers = [sorted(folder.rglob("responses.jsonl")) for folder in (finished_grid.path, tmp_path / "grid")]
    assert [path.read_bytes() for path in answers[0]] == [path.read_bytes() for path in answers[1]]
    assert len(answers[0]) == 2


def test_the_result_as_json_is_all_of_stdout(finished_grid):
    outcome = finished_grid.outcome
    document = outcome.json
    assert [cell["arm"] for cell in document["cells"]] == ["mask-pad", "mask-instruction"]
    assert document["comparison"]["baseline"] == "mask-pad"
    assert "one seed" in outcome.err


@pytest.fixture(scope="module")
def half_failed(make_cli, tmp_path_factory):
    """What an ablation says of which one arm fails, on data with a column that nobody reads."""
    folder = tmp_path_factory.mktemp("half-failed")
    rows = [{"instruction": f"Say {n}.", "output": f"It is {n}.", "difficulty": "low"} for n in range(20)]
    (folder / "data.json").write_text(json.dumps(rows), encoding="utf-8")
    arms = ("--collate", "prompt-weight", "--set", "train.lr=1e-3,1e30", "--set", "collate.weight=0.5")
    return make_cli(folder)("ablate", *arms, "--data", "data.json", *SMALL, "--seeds", "1")


def test_what_is_wrong_with_the_data_is_told_once_for_all_cells(half_failed):
    assert "2 arms by 1 seed = 2 runs" in half_failed.err
    assert half_failed.err.count("unused columns: 'difficulty'") == 1


def test_a_failed_cell_is_named_and_the_exit_code_says_partial(half_failed):
    outcome = half_failed
    assert outcome.code == 8
    assert "1 of 2 cells failed: lr 1e+30 · seed 123:" in outcome.last_line
    assert "sftframe ablate --resume ablations/1" in outcome.last_line


def test_another_yardstick_and_margin_need_no_new_runs(cli, grid):
    again = cli("ablate", "--resume", "grid", "--yardstick", "response_nll_per_byte", "--margin", "100", "--json")
    assert again.code == 0, again.err
    assert again.json["comparison"]["yardstick"] == "response_nll_per_byte"
    (table,) = [one for one in again.json["comparison"]["yardsticks"] if one["key"] == "response_nll_per_byte"]
    assert table["comparisons"][0]["verdict"] == "equivalent"


def test_a_resume_adds_seeds_and_arms_and_refuses_what_would_change_the_cells(cli, grid):
    kept = (grid / "runs" / "mask-pad" / "seed-123" / "summary.json").read_bytes()
    more = cli("ablate", "--resume", "grid", "--seeds", "123,321", "--collate", "mask-pad,pad-only", "--json")
    assert more.code == 0, more.err
    assert "3 arms by 2 seeds = 6 runs" in more.err
    assert [(cell["arm"], cell["seed"]) for cell in more.json["cells"]][2:4] == [("pad-only", 123), ("mask-pad", 321)]
    assert (grid / "runs" / "mask-pad" / "seed-123" / "summary.json").read_bytes() == kept
    refused = cli("ablate", "--resume", "grid", "--batch-size", "3")
    assert (refused.code, "train.batch_size is None in all cells of grid" in refused.last_line) == (2, True)


def test_a_dry_run_tells_the_cost_and_leaves_nothing(cli, data_file, tmp_path):
    outcome = cli(*masks(data_file, "--until-decided", "--looks", "2,5", "--out", "grid", "--dry-run", "--json"))
    assert outcome.code == 0, outcome.err
    assert (outcome.json["num_seeds"], outcome.json["num_runs"]) == ([2, 5], [4, 10])
    assert "looks at 2, 5 seeds" in outcome.err
    assert not (tmp_path / "grid").exists()


def test_looks_are_not_added_to_an_ablation_that_was_started_without_them(cli, grid):
    for flags in (("--until-decided",), ("--until-decided", "--looks", "2,3")):
        refused = cli("ablate", "--resume", "grid", *flags)
        assert refused.code == 2
    assert "the looks of an ablation are planned before its first one" in refused.last_line


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("--collate", "mask-pad,mask-instructon"), 2, "no collate strategy 'mask-instructon'; did you mean"),
        (("--collate", "mask-pad"), 2, "nothing to compare: give a setting at least two values"),
        (("--set", "train.lrr=1,2"), 2, "no configuration key 'train.lrr'; did you mean 'lr'?"),
        (
            ("--collate", "mask-pad,pad-only", "--seeds", "many"),
            2,
            "--seeds: expected a number of seeds, or seeds with commas between, found 'many'",
        ),
        (
            ("--collate", "mask-pad,pad-only", "--baseline", "mask-pat"),
            2,
            "no arm 'mask-pat'; did you mean 'mask-pad'?",
        ),
        (("--epochs", "1,two"), 2, "--epochs: expected a number, or several with commas between, found 'two'"),
        (("--batch-size", "4,4.5"), 2, "--batch-size: expected a whole number, or several"),
        (
            ("--seed", "7,8"),
            2,
            "--seed: expected a whole number, found '7,8'; several seeds are for sftframe ablate --se",
        ),
        (("--seeds", "0"), 2, "--seeds: expected a number of seeds (1 or more)"),
        (("--set", "collate.weight=0.2,0.7"), 2, "no arm's --collate has such an option; prompt-weight has it"),
        (
            ("--collate", "mask-pad,pad-only", "--seeds", "4", "--until-decided"),
            2,
            "--seeds and --until-decided contradict each other",
        ),
        (("--collate", "mask-pad,pad-only", "--looks", "3,x"), 2, "--looks: expected numbers of seeds (2 or more)"),
        (("--collate", "mask-pad,pad-only", "--looks", "1,3"), 2, "--looks: expected numbers of seeds (2 or more)"),
        (("--collate", "mask-pad,pad-only", "--max-seeds", "9"), 2, "--max-seeds says when seeds are added"),
        (("--collate", "mask-pad,pad-only", "--tune", "train.lr=1"), 2, "--tune train.lr=1: expected several values"),
        (("--collate", "mask-pad,pad-only", "--tune-seeds", "1"), 2, "give --tune too"),
        (("--collate", "mask-pad,pad-only", "--tune", "data.limit=5,6"), 2, "data.limit cannot be tuned"),
        (("--resume", "nowhere", "--tune", "train.lr=1,2"), 2, "what arms choose among stays as it is"),
        (("--resume", "nowhere"), 2, "no ablation in nowhere"),
        (("--resume", "nowhere", "--out", "there"), 2, "do not give --config or --out"),
        (("--collate", "mask-pad,pad-only", "--sd", "-3"), 2, "expected a positive standard deviation"),
        (("--collate", "mask-pad,pad-only", "--data", "nothing.json"), 4, "nothing.json"),
    ],
)
def test_mistakes_are_one_line(cli, args, code, message):
    outcome = cli("ablate", *args)
    assert (outcome.code, message in outcome.last_line) == (code, True), outcome.err


def test_a_huge_grid_is_counted_and_estimated_before_it_is_begun(cli, data_file, tmp_path):
    outcome = cli(*masks(data_file, "--seeds", "40"))
    assert outcome.code == 2
    assert "this grid has 80 cells (2 arms by 40 seeds); training alone would take about" in outcome.last_line
    assert "--yes" in outcome.last_line
    assert not (tmp_path / "ablations").exists()


def test_what_the_grid_can_detect_is_said_before_it_runs(finished_grid):
    said = finished_grid.outcome.err
    assert said.index("with 2 items and 1 seed the smallest difference found with 80 % power is") < said.index("[1/2]")


def test_durations_are_said_in_the_unit_that_fits():
    assert duration(59) == "59 s"
