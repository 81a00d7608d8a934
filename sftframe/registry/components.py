"""The registry itself: components by name, and what is said when a name does not mean exactly one of them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, cast

from sftframe.errors import ConfigError, PluginError, SftframeError, brief, suggestion
from sftframe.plugins import CollateStrategy, Component, Judge, Launcher, ModelBackend, PromptStyle, Seam
from sftframe.plugins.guard import guarded, plugin_wall
from sftframe.prompts import OWN, OwnTemplate, file_style, looks_like_a_file, prompt_file
from sftframe.registry.discovery import Candidate, Offer, admit, discover, normalised, switched_off
from sftframe.version import __version__

FIRST_PARTY = "sftframe"
"""The distribution that this file belongs to."""

SLOW_IMPORT_S = 1.0
"""All of sftframe's own plugins together take 0.1 s."""

PluginStatus = Literal["ok", "broken", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """What `sftframe plugins` shows of one plugin."""

    id: str
    """`distribution:entry-point`."""
    distribution: str
    version: str
    module: str
    """The module with its hooks; empty for an object."""
    is_first_party: bool = False
    status: PluginStatus = "ok"
    error: str = ""
    """One line, where `status` is `broken`."""
    components: tuple[tuple[Seam, str], ...] = ()
    import_s: float = 0.0
    """How long the import of its module took, without modules that were imported before."""

    @property
    def is_slow(self) -> bool:
        """Whether it delays every command that lists plugins."""
        return self.import_s > SLOW_IMPORT_S

    @property
    def label(self) -> str:
        """Id and version, for messages."""
        return f"{self.id} {self.version}".rstrip()

    def is_meant_by(self, name: str) -> bool:
        """Whether a name is this plugin's id, its distribution or its entry point."""
        return name in (self.id, self.id.partition(":")[2]) or normalised(name) == self.distribution


@dataclass(frozen=True, slots=True)
class Plugin:
    """A row of the registry: facts about a plugin, and its component classes."""

    info: PluginInfo
    offers: tuple[Offer, ...] = ()


class Registry:
    """All plugins of an environment, and lookup of their components."""

    def __init__(self, plugins: Iterable[Plugin] = (), *, preferred: Mapping[Seam, str] | None = None) -> None:
        self._plugins = tuple(plugins)
        self._preferred = dict(preferred or {})

    @property
    def plugins(self) -> tuple[PluginInfo, ...]:
        """Every plugin that is installed, the broken and disabled ones too, ordered by id."""
        return tuple(plugin.info for plugin in self._plugins)

    def names(self, seam: Seam) -> list[str]:
        """Names of a seam's components, sorted."""
        return sorted({offer.component.name for _, offer in self._offers(seam)})

    def offers(self, seam: Seam, name: str) -> list[tuple[PluginInfo, type[Component]]]:
        """All components of this name: none, one, or several that are in conflict.

        Args:
            name: a component's; where several plugins offer it, `DISTRIBUTION:NAME` or `DISTRIBUTION:ENTRY-POINT:NAME`.
                A text may follow after one more colon, if the component has an `argument`.
        """
        return self._meant(seam, name)[0]

    def argument_in(self, seam: Seam, name: str) -> tuple[str, str, str] | None:
        """The name without the text after it, the option that this text sets, and the text; None where none follows.

        Raises:
            ConfigError: no plugin offers the name.
            PluginError: more than one does.
        """
        _, component = self._only(seam, name)
        _, text = self._meant(seam, name)
        if not text or component.argument is None:
            return None
        return name.removesuffix(f":{text}"), component.argument, text

    def provider(self, seam: Seam, name: str) -> PluginInfo:
        """The plugin that a component comes from. Raises as `find` does."""
        return self._only(seam, name)[0]

    def find(self, seam: Seam, name: str) -> type[Component]:
        """A component's class.

        Raises:
            ConfigError: no plugin offers the name.
            PluginError: more than one does.
        """
        return self._only(seam, name)[1]

    def create(self, seam: Seam, name: str, values: Mapping[str, Any] | None = None, **given: Any) -> Component:
        """A component, ready to use.

        Args:
            values: its options, as a configuration sets them.
            given: further arguments of the seam's constructor, for instance `pad_id`.

        Raises:
            ConfigError: no plugin offers the name, or an option is unknown or has a bad value.
            PluginError: more than one plugin offers the name, or the component cannot be made.
        """
        from sftframe.config import build_options  # imports pydantic, which listing must not

        info, component = self._only(seam, name)
        label = f"{seam.noun} {name!r} of {info.id}"
        set_values = self._with_argument(seam, name, values or {})
        with plugin_wall(component.__module__.partition(".")[0], f"{label} cannot be made"):
            options = build_options(
                component, set_values, seam.value, others_with=lambda key: self.names_with_option(seam, key)
            )
            made = component(options, **given)
        return guarded(made, label)

    def names_with_option(self, seam: Seam, option: str) -> list[str]:
        """Names of a seam's components that have an option of this name, sorted."""
        from sftframe.config import option_fields

        return sorted(
            {
                offer.component.name
                for _, offer in self._offers(seam)
                if option in option_fields(offer.component.Options)
            }
        )

    def prompt_style(self, name: str, values: Mapping[str, Any] | None = None) -> PromptStyle:
        """`create` for prompt styles."""
        return cast("PromptStyle", self.create(Seam.PROMPT, name, values))

    def collate_strategy(self, name: str, values: Mapping[str, Any] | None = None, *, pad_id: int) -> CollateStrategy:
        """`create` for collate strategies."""
        return cast("CollateStrategy", self.create(Seam.COLLATE, name, values, pad_id=pad_id))

    def model_backend(self, name: str, values: Mapping[str, Any] | None = None) -> ModelBackend:
        """`create` for model backends."""
        return cast("ModelBackend", self.create(Seam.MODEL, name, values))

    def judge(self, name: str, values: Mapping[str, Any] | None = None) -> Judge:
        """`create` for judges."""
        return cast("Judge", self.create(Seam.JUDGE, name, values))

    def launcher(self, name: str, values: Mapping[str, Any] | None = None) -> Launcher:
        """`create` for launchers."""
        return cast("Launcher", self.create(Seam.LAUNCHER, name, values))

    def with_plugin(self, plugin: object, name: str = "local") -> Registry:
        """A registry with one more plugin: a module or any object with hooks, for tests and scripts.

        Raises:
            PluginError: the plugin is broken, or another one has this name.
        """
        if any(info.id == name for info in self.plugins):
            raise PluginError(f"there is already a plugin {name!r}; give this one another name")
        module = getattr(plugin, "__name__", "")
        package = (module or type(plugin).__module__).partition(".")[0]
        offers = admit(plugin, package)
        info = PluginInfo(id=name, distribution=name, version="", module=module, components=listed(offers))
        return Registry((*self._plugins, Plugin(info, offers)), preferred=self._preferred)

    def preferring(self, plugins: Mapping[Seam, str]) -> Registry:
        """The same plugins; where several offer a name, the plugin with this id is chosen."""
        return Registry(self._plugins, preferred=plugins)

    def default(self, seam: Seam, name: str) -> str:
        """The name that means sftframe's own component, also if another plugin offers the same name."""
        offers = self.offers(seam, name)
        own = [info for info, _ in offers if info.is_first_party]
        return f"{own[0].id}:{name}" if len(offers) > 1 and len(own) == 1 else name

    def warnings(self) -> list[str]:
        """One line per broken plugin."""
        return [f"plugin {info.id} is broken: {info.error}" for info in self.plugins if info.status == "broken"]

    def absent(self) -> str:
        """The end of the message for an unknown name: plugins that are broken or disabled and may offer it."""
        broken = [f"{info.id} ({info.error})" for info in self.plugins if info.status == "broken"]
        disabled = [info.id for info in self.plugins if info.status == "disabled"]
        parts = (("broken", broken), ("disabled", disabled))
        return "".join(f"; {status} and therefore missing: {', '.join(ids)}" for status, ids in parts if ids)

    def _offers(self, seam: Seam) -> list[tuple[PluginInfo, Offer]]:
        return [(plugin.info, offer) for plugin in self._plugins for offer in plugin.offers if offer.seam == seam]

    def _meant(self, seam: Seam, name: str) -> tuple[list[tuple[PluginInfo, type[Component]]], str]:
        """The components that a name means, and the text after it; the longest part that is a name counts."""
        ends = [len(name), *(place for place in range(len(name) - 1, 0, -1) if name[place] == ":")]
        for end in ends:
            plugin, _, own = name[:end].rpartition(":")
            text = name[end + 1 :]
            found = [
                (info, offer.component)
                for info, offer in self._offers(seam)
                if offer.component.name == own
                and (not plugin or plugin == info.id or normalised(plugin) == info.distribution)
                and (end == len(name) or (text and offer.component.argument))
            ]
            if found:
                return found, text
        return [], ""

    def _with_argument(self, seam: Seam, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The options, with the one that the text after the name sets.

        Raises:
            ConfigError: it is set to something else as well.
        """
        found = self.argument_in(seam, name)
        if found is None:
            return dict(values)
        own, option, text = found
        if values.get(option, text) != text:
            raise ConfigError(
                f"{seam.value}.{option} is set twice: {brief(text)} by {seam.flag} {name} and "
                f"{brief(values[option])} by itself; write {seam.flag} {own} for the second, or leave it out"
            )
        return {**values, option: text}

    def _only(self, seam: Seam, name: str) -> tuple[PluginInfo, type[Component]]:
        found = self.offers(seam, name) or _in_file(seam, name)
        if not found:
            raise ConfigError(f"no {seam.noun} {name!r}{self._instead(seam, name)}")
        if len(found) > 1:
            found = [each for each in found if each[0].id == self._preferred.get(seam)] or found
        if len(found) > 1:
            ids = [info.id for info, _ in found]
            choices = " or ".join(f"{seam.flag} {info.id}:{component.name}" for info, component in found)
            raise PluginError(
                f"{len(ids)} plugins offer a {seam.noun} {name!r}: {', '.join(ids)}; choose with {choices}"
            )
        return found[0]

    def _instead(self, seam: Seam, name: str) -> str:
        """The end of the message for an unknown name: the nearest name, all names, and plugins that may offer it."""
        names = self.names(seam)
        if seam is Seam.PROMPT and get_close_matches(name, [OWN]):
            names.append(OWN)
        tail = suggestion(name, names).replace("Available:", "Installed:")
        tail += self.absent()
        if seam is Seam.PROMPT and looks_like_a_file(name):
            tail += "; a file with a prompt style ends in .toml or .jinja, a tokenizer's is written hf:PATH"
        takers = [(offer.component.name, offer.component.argument) for _, offer in self._offers(seam)]
        tail += "".join(f"; after {name} the {key} is missing" for own, key in takers if key and name == f"{own}:")
        if "/" in name:
            tail += "".join(f"; {seam.flag} {own}:{name} sets the {key} of {own}" for own, key in takers if key)
        return tail


def _in_file(seam: Seam, name: str) -> list[tuple[PluginInfo, type[Component]]]:
    """The prompt style in a file or of the model, if the name means one; sftframe itself is its provider."""
    if seam is not Seam.PROMPT:
        return []
    file = prompt_file(name)
    if file is None and name != OWN:
        return []
    style = OwnTemplate if file is None else file_style(file)
    info = PluginInfo(
        id=f"{FIRST_PARTY}:{file.kind if file else OWN}",
        distribution=FIRST_PARTY,
        version=__version__,
        module=file_style.__module__,
        is_first_party=True,
        components=((Seam.PROMPT, style.name),),
    )
    return [(info, style)]


def listed(offers: Iterable[Offer]) -> tuple[tuple[Seam, str], ...]:
    """Seam and name of each offer."""
    return tuple((seam, component.name) for seam, component in offers)


def load_registry(*, disabled: Sequence[str] = ()) -> Registry:
    """Find, import and check all installed plugins.

    Args:
        disabled: plugins that are not imported: ids (`distribution:entry-point`), distributions or entry points. The
            environment variable `SFTFRAME_DISABLE` names more of them, separated by commas.

    Raises:
        ConfigError: a name in `disabled` is not an installed plugin.
    """
    candidates = discover()
    off = switched_off(candidates, disabled)
    return Registry(Plugin(_info(c, status="disabled")) if c.id in off else _imported(c) for c in candidates)


def _imported(candidate: Candidate) -> Plugin:
    started = time.perf_counter()
    try:
        # what a plugin prints while it is imported must not get into a command's result
        with contextlib.redirect_stdout(sys.stderr), plugin_wall(candidate.package):
            offers = admit(candidate.entry_point.load(), candidate.package)
    except SftframeError as error:
        return Plugin(_info(candidate, status="broken", error=str(error), import_s=time.perf_counter() - started))
    return Plugin(_info(candidate, components=listed(offers), import_s=time.perf_counter() - started), offers)


def _info(candidate: Candidate, **rest: Any) -> PluginInfo:
    return PluginInfo(
        id=candidate.id,
        distribution=candidate.distribution,
        version=candidate.version,
        module=candidate.entry_point.module,
        is_first_party=candidate.distribution == FIRST_PARTY,
        **rest,
    )
