"""A way to load a file that is written on the spot."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.config import DataConfig
from sftframe.data import Dataset, load_examples

Load = Callable[..., Dataset]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`load("data.json", content, limit=3)`: write the content into an empty current directory and load it."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(name: str, content: bytes | str, **config: Any) -> Dataset:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        return load_examples(DataConfig(source=name, **config))

    return write_and_load


@pytest.fixture
def chapter_file() -> Path:
    """The chapter's 1,100 entries; skips where they are not at hand."""
    folder = os.environ.get("SFTFRAME_TEST_DATA") or Path(__file__).parents[2] / "../shared/data"
    path = Path(folder) / "instruction-data.json"
    if not path.is_file():
        pytest.skip(f"the chapter's data is not at {path}; SFTFRAME_TEST_DATA names its folder")
    return path
