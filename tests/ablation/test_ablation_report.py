"""The page that an ablation ends with."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import Ablation, CellResult, Plan, conclude

pytestmark = pytest.mark.usefixtures("plain_drawings")

Plans = Callable[..., Plan]


def text_of(ablation: Ablation) -> str:
    html = re.sub(r"<(style|script)\b.*?</\1>", "", ablation.folder.report_path.read_text("utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_report_lies_in_the_ablations_folder_with_its_verdict(ran: Callable[..., Any]) -> None:
    ablation, cells = ran(ablate={"seeds": 1})
    result = conclude(ablation, cells)
    text = text_of(ablation)
    assert result.sentence.split(" (")[0] in text
    assert f"sftframe ablate --config {ablation.folder.plan_path} --out {ablation.folder.path}-again" in text


def test_the_example_shows_what_counts_in_each_arm(ran: Callable[..., Any]) -> None:
    ablation, cells = ran(ablate={"seeds": 1})
    conclude(ablation, cells)
    html = ablation.folder.report_path.read_text("utf-8")
    examples = html[html.index('<section id="tokens"') : html.index('<section id="setup"')]
    first, second = re.findall(r'data-role="instruction">.*?(\d+) of (\d+)', examples, flags=re.DOTALL)
    # "After 0?" is eight bytes, and every byte a token
    assert first == ("8", "8")
    assert second == ("0", "8")


def test_training_is_told_from_the_runs_own_files(ran: Callable[..., Any]) -> None:
    ablation, cells = ran(ablate={"seeds": 1})
    conclude(ablation, cells)
    text = text_of(ablation)
    assert "Training loss under mask-pad" in text.replace(" ,", ",")
    assert re.search(r"at step 1 to [\d.]+ at step 3", text)


def test_a_cell_that_failed_is_named_in_the_report(ran: Callable[..., Any]) -> None:
    ablation, cells = ran()
    broken = [
        CellResult(cell=one.cell, path=one.path, error="out of <memory>" if number == 1 else "")
        for number, one in enumerate(cells)
    ]
    conclude(ablation, broken)
    assert "Failed and left out: mask-instruction · seed 123: out of &lt;memory&gt;." in text_of(ablation)


def test_the_state_of_cells_is_told_without_running_them(
    plan: Plans, toys: Any, tmp_path: Path, ran: Callable[..., Any]
) -> None:
    ablation, cells = ran(ablate={"seeds": 1})
    assert [one.error for one in ablation.state()] == ["", ""]
    (cells[1].path / "summary.json").unlink()
    assert [one.error for one in ablation.state()] == ["", "it is not complete"]


def test_why_a_cell_failed_is_known_later(ran: Callable[..., Any]) -> None:
    ablation, cells = ran()
    (cells[1].path / "summary.json").unlink()
    broken = [*cells[:1], CellResult(cell=cells[1].cell, path=cells[1].path, error="it broke"), *cells[2:]]
    conclude(ablation, broken)
    assert [one.error for one in ablation.state()] == ["", "it broke", "", ""]
