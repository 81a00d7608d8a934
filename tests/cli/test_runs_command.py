"""`sftframe runs`: the list in its orders, and questions before anything is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..runs.test_listing import make_run


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Three runs under `runs/`: b is the best, c was interrupted."""
    for name, mean in (("a", 10.0), ("b", 90.0)):
        make_run(tmp_path / "runs" / name, mean=mean)
    make_run(tmp_path / "runs" / "c", is_trained=False)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        (("--sort", "name"), ["a", "b", "c"]),
        (("--sort", "name", "--reverse"), ["c", "b", "a"]),
        (("--sort", "judge"), ["b", "a", "c"]),
        (("list", "--sort", "judge", "runs"), ["b", "a", "c"]),
        (("runs", "--sort", "judge"), ["b", "a", "c"]),
    ],
)
def test_the_list_is_sorted_as_asked(cli, three: Path, arguments: tuple[str, ...], order: list[str]) -> None:
    found = cli("runs", *arguments, "--json").json["runs"]
    assert [Path(run["path"]).name for run in found] == order


@pytest.mark.parametrize("columns", ["60", "160"])
def test_people_see_the_same(cli, three: Path, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outcome = cli("runs")
    assert "toy · phi3 · prompt-weight" in outcome.out
    assert "interrupted" in outcome.out
    assert "3 runs, " in outcome.err
    assert "are checkpoints of finished runs: sftframe runs free RUN" in outcome.err


def test_nothing_is_deleted_unasked(cli, three: Path) -> None:
    outcome = cli("runs", "rm", "runs/a")
    assert (outcome.code, "say so with --yes" in outcome.last_line) == (2, True)
    outcome = cli("runs", "free", "runs/c")
    assert (outcome.code, "without checkpoints the training starts again" in outcome.last_line) == (2, True)
    assert len(cli("runs", "--json").json["runs"]) == 3


def test_deleting_and_freeing_on_request(cli, three: Path) -> None:
    assert cli("runs", "free", "runs/a", "--json").json == {"freed": ["runs/a"], "bytes": 3000}
    assert cli("runs", "rm", "runs/a", "runs/c", "--yes").out.startswith("deleted runs/a, runs/c: ")
    assert [run["path"] for run in cli("runs", "--json").json["runs"]] == ["runs/b"]


def test_one_wrong_name_deletes_nothing(cli, three: Path) -> None:
    outcome = cli("runs", "rm", "runs/a", "runs", "--yes")
    assert (outcome.code, outcome.last_line.startswith("error: runs is not a run")) == (2, True)
    assert (three / "runs/a").exists()


def test_without_any_run_it_says_so(cli) -> None:
    assert "no runs here; sftframe run makes one" in cli("runs").err
    assert cli("runs", "nowhere").code == 2
