"""The checks that apply to a component, and the components that are installed under a name.

The modules of the seams have the checks; they are imported when a component of the seam is checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sftframe.errors import ConfigError, PluginError, suggestion
from sftframe.plugins import CollateStrategy, Component, Judge, Launcher, ModelBackend, PromptStyle
from sftframe.prompts import OWN, looks_like_a_file, prompt_file
from sftframe.registry import Registry, Seam
from sftframe.testing.contract import Check, Finding, package_of, run_check
from sftframe.testing.module import imports_nothing_heavy

PAD_ID = 50256
"""The padding id for a collate strategy that is made without a model."""


@dataclass
class Suite:
    """A component, or a plugin's module, and its checks."""

    component: Component | str
    subject: Any
    """What a check is called with."""
    checks: Sequence[Check[Any]]
    package: str
    _found: dict[Check[Any], Finding] = field(default_factory=dict, repr=False)

    @property
    def is_hopeless(self) -> bool:
        """Whether the first check finds a broken promise: the others need it."""
        return not self.run(self.checks[0]).is_kept

    def run(self, check: Check[Any]) -> Finding:
        """Run one check; a second call returns the same finding.

        Raises:
            ModelError, JudgeError, ConfigError: the component cannot do its work here, so that nothing can be checked.
        """
        if not self._found and isinstance(self.component, ModelBackend | Judge | Launcher):
            self.component.check()
        if check not in self._found:
            self._found[check] = run_check(self.subject, check, self.package)
        return self._found[check]

    def findings(self) -> Iterator[Finding]:
        """Run all checks; when the first fails the others are left out. Raises as `run`."""
        for check in self.checks[:1] if self.is_hopeless else self.checks:
            yield self.run(check)


def suite_of(component: Component) -> Suite:
    """The checks of the component's seam."""
    from sftframe.testing import collate, judge, launcher, prompt

    package = package_of(component)
    match component:
        case PromptStyle():
            return Suite(component, component, prompt.CHECKS, package)
        case CollateStrategy():
            return Suite(component, component, collate.CHECKS, package)
        case Judge():
            return Suite(component, component, judge.checks_for(component), package)
        case Launcher():
            return Suite(component, component, launcher.CHECKS, package)
        case ModelBackend():
            from sftframe.testing import model
            from sftframe.testing.specimen import Specimen

            return Suite(component, Specimen(component), model.CHECKS, package)
    raise TypeError(f"{component!r} is no component of any seam")


def module_suite(module: str) -> Suite:
    """The checks of a plugin's module."""
    return Suite(module, module, (imports_nothing_heavy,), module.partition(".")[0])


def installed_suites(
    registry: Registry, name: str, settings: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Seam, list[Suite]]]:
    """By seam the suites of an installed component, its module's first; of a prompt style's file as well.

    Args:
        settings: options by seam, as a configuration sets them.

    Raises:
        ConfigError: there is no such component, or an option is wrong.
        PluginError: several plugins offer it, or it cannot be made.
    """
    for seam in seams_of(registry, name):
        given: dict[str, Any] = {"pad_id": PAD_ID} if seam == Seam.COLLATE else {}
        values = _offline(registry, seam, name, dict(settings.get(seam.value, {})))
        component = registry.create(seam, name, values, **given)
        yield seam, [module_suite(registry.provider(seam, name).module), suite_of(component)]


def component_settings(words: Iterable[str], seams: Collection[Seam]) -> dict[str, Any]:
    """Options by seam, from `section.key=value` words.

    Raises:
        ConfigError: a word sets something else than an option of these seams.
    """
    from sftframe.config import parse_settings

    settings = parse_settings(words)
    sections = [seam.value for seam in seams]
    for key, value in settings.items():
        if key in sections and isinstance(value, Mapping):
            continue
        form = ", ".join(f"{section}.KEY=VALUE" for section in sections)
        meant = "" if isinstance(value, Mapping) or key in sections else f"; did you mean {sections[0]}.{key}?"
        raise ConfigError(f"no option {key!r} of what is checked: expected {form}{meant}")
    return settings


def seams_of(registry: Registry, name: str) -> list[Seam]:
    """The seams that have a component of this name.

    Raises:
        ConfigError: none has.
        PluginError: it is the name of a plugin that is broken.
    """
    file = prompt_file(name)
    if name == OWN or (file is not None and file.path.is_file()):
        return [Seam.PROMPT]  # hf:PATH may mean a model too, which is a folder
    seams = [seam for seam in Seam if registry.offers(seam, name)]
    broken = next((info for info in registry.plugins if info.status == "broken" and info.is_meant_by(name)), None)
    if not seams and broken is not None:
        raise PluginError(f"plugin {broken.label} is broken: {broken.error}")
    if not seams and (file or looks_like_a_file(name)):
        return [Seam.PROMPT]
    if not seams:
        known = {known for seam in Seam for known in registry.names(seam)}
        raise ConfigError(f"no component {name!r}{suggestion(name, known)}{registry.absent()}")
    return seams


def _offline(registry: Registry, seam: Seam, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The options to check a component with: random weights unless others are set, where the component knows them."""
    from sftframe.config import build_options

    component = registry.find(seam, name)
    random_weights = {"weights": "random", **values}
    try:
        build_options(component, random_weights, seam.value)
    except ConfigError:
        return values
    return random_weights
