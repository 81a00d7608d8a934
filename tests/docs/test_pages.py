"""Every page lies in the folder for its kind, and its tables are whole."""

from __future__ import annotations

import re
from pathlib import Path


def test_every_page_lies_in_the_folder_for_its_kind(root: Path) -> None:
    kinds = {"assets", "examples", "explanation", "how-to", "plugins", "reference"}
    assert {path.name for path in (root / "docs").iterdir()} == {"index.md", "tutorial.md", *kinds}


def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: str, root: Path) -> None:
    assert broken_rows((root / page).read_text(encoding="utf-8")) == []


def test_a_row_with_a_cell_too_many_is_found() -> None:
    table = "| a | b |\n|---|---|\n| `x\\|y` | 1 |\n| one | two | three |\n\n| c |\n|---|\n| 2 |\n"
    assert broken_rows(table) == ["| one | two | three |"]


def broken_rows(text: str) -> list[str]:
    """Rows whose last cells a browser would not show, or that have too few."""
    broken, num_cells = [], 0
    for line in re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE).splitlines():
        if not line.startswith("|"):
            num_cells = 0
            continue
        found = len(re.findall(r"(?<!\\)\|", line)) - 1
        num_cells = num_cells or found
        if found != num_cells:
            broken.append(line)
    return broken
