"""`installed` holds plugins that are broken on purpose: they are installed by tests, never collected."""

import pytest

from sftframe.testing import inspect

collect_ignore = ["installed"]


@pytest.fixture
def alone(monkeypatch):
    """No other processes: for mistakes that show in this one."""
    monkeypatch.setenv("SFTFRAME_TESTING_PROCESS", "1")


@pytest.fixture
def is_found():
    """`is_found(component, words)`: run the checks one by one until one of them says the words."""

    def run(component, words):
        return any(words in f"{finding.promise}: {finding.error}" for finding in inspect(component) if finding.error)

    return run
