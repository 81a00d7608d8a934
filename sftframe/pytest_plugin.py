"""`pytest --sftframe NAME`: the contract of an installed component, one test per promise.

pytest finds this plugin through the entry point `pytest11`. It imports other modules only if the option is given.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sftframe.testing.suites import Suite


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("sftframe", "contracts of sftframe's components")
    group.addoption(
        "--sftframe",
        action="append",
        default=[],
        metavar="NAME",
        help="check the contract of an installed component, or of a prompt style's file; repeatable",
    )
    group.addoption(
        "--sftframe-set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="an option of the components that are checked, for instance model.weights=random; repeatable",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the checks after the tests, so that `-k` and similar options select them too."""
    if config.getoption("sftframe"):
        items.extend(_items(session, config))


def _items(session: pytest.Session, config: pytest.Config) -> Iterator[pytest.Item]:
    from sftframe.errors import SftframeError
    from sftframe.registry import load_registry
    from sftframe.testing.suites import component_settings, installed_suites, seams_of

    try:
        registry, names = load_registry(), config.getoption("sftframe")
        seams = {seam: None for name in names for seam in seams_of(registry, name)}
        settings = component_settings(config.getoption("sftframe_set"), seams)
        for name in names:
            for seam, suites in installed_suites(registry, name, settings):
                for suite in suites:
                    for check in suite.checks:
                        label = f"{seam.value}:{name}::{check.__name__}"
                        yield ContractItem.from_parent(
                            session, name=label, nodeid=f"sftframe::{label}", suite=suite, check=check
                        )
    except SftframeError as error:
        raise pytest.UsageError(f"--sftframe: {error}") from error


class ContractItem(pytest.Item):
    """One promise of one component."""

    def __init__(self, *, suite: Suite, check: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self._suite = suite
        self._check = check

    def runtest(self) -> None:
        """Check it; skip it where the first promise is broken, since the others rely on it."""
        if self._check is not self._suite.checks[0] and self._suite.is_hopeless:
            pytest.skip("the first promise is broken, and the others rely on it")
        finding = self._suite.run(self._check)
        if finding.warning:
            from sftframe.testing.contract import ContractWarning

            warnings.warn(f"{self.name}: {finding.warning}", ContractWarning, stacklevel=1)
        if not finding.is_kept:
            raise _BrokenPromiseError(f"{finding.promise}: {finding.error}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The promise and what to do, without a traceback through sftframe."""
        from sftframe.errors import SftframeError

        if isinstance(excinfo.value, _BrokenPromiseError | SftframeError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """The headline of a failure."""
        return self.path, None, self.name


class _BrokenPromiseError(Exception):
    """A broken promise."""
