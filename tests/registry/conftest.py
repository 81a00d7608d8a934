"""A second site folder on the path, as if `tests/broken/installed` had been installed."""

from pathlib import Path

import pytest

INSTALLED = Path(__file__).parents[1] / "broken" / "installed"


@pytest.fixture
def broken_plugins(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SFTFRAME_DISABLE", raising=False)
    monkeypatch.syspath_prepend(str(INSTALLED))
    return INSTALLED
