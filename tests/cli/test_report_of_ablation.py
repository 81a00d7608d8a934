"""`sftframe report` on an ablation's folder."""

import csv
import io
import shutil

import pytest


@pytest.fixture
def grid(finished_grid, tmp_path):
    """A finished ablation of two masks."""
    return shutil.copytree(finished_grid.path, tmp_path / "grid")


def test_the_report_is_written_again_or_goes_to_standard_output(cli, grid):
    before = (grid / "report.html").read_text("utf-8")
    (grid / "report.html").unlink()
    again = cli("report", "grid")
    assert (again.code, (grid / "report.html").read_text("utf-8")) == (0, before)
    assert "grid/report.html" in again.out

    markdown = cli("report", "grid", "--format", "md")
    assert "| `mask-pad` |" in markdown.out
    assert markdown.out.startswith(cli("report", "grid", "--json").json["comparison"]["sentence"])

    rows = list(csv.DictReader(io.StringIO(cli("report", "grid", "--format", "csv").out)))
    assert {row["candidate"] for row in rows} == {"mask-instruction"}
    assert "judge" in {row["yardstick"] for row in rows}


def test_what_a_report_of_an_ablation_cannot_do_is_refused(cli, grid):
    settings = cli("report", "grid", "--set", "train.lr=1")
    assert (settings.code, "takes no settings" in settings.last_line) == (2, True)
    run = cli("report", "grid/runs/mask-pad/seed-123", "--format", "md")
    assert (run.code, "--format md is for an ablation's folder" in run.last_line) == (2, True)
    shutil.rmtree(grid / "runs" / "mask-pad")
    lone = cli("report", "grid")
    assert (lone.code, "fewer than two arms with a complete run" in lone.last_line) == (2, True)
