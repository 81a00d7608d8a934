"""A second site folder on the path, as if `tests/broken/installed` had been installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

INSTALLED = Path(__file__).parents[1] / "broken" / "installed"


@pytest.fixture
def broken_plugins(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SFTFRAME_DISABLE", raising=False)
    monkeypatch.syspath_prepend(str(INSTALLED))
    return INSTALLED


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny models are slowed down by more threads than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
