"""The Python of every page runs as it stands, block after block in one empty folder; doctests in the pages hold."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest


def test_every_python_block_runs(python_page, blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(python_page):
        if block.language == "python" and not block.marker.startswith("not run"):
            exec(compile(block.code, python_page, "exec"), {"__name__": "__main__"})


def test_every_doctest_holds(page: str, root: Path) -> None:
    outcome = doctest.testfile(str(root / page), module_relative=False, encoding="utf-8")
    assert outcome.failed == 0
