"""Two plugins of one name: runs go on with the one they were made with, and defaults are sftframe's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import PluginError, PromptStyle, RunConfig, hookimpl, load_registry
from sftframe.config import Layer
from sftframe.pipeline import FinishedRun, Session, chosen_components, resolve
from sftframe.progress import Observer


def other(name: str) -> Any:
    """A plugin that offers this name."""

    class Other(PromptStyle):
        summary = "somebody else's"

        def segments(self, example: Any) -> Any:
            raise AssertionError("it is not asked")

    Other.name = name

    class Plugin:
        @hookimpl
        def sftframe_prompt_styles(self) -> list[type[PromptStyle]]:
            return [Other]

    return Plugin()


def test_an_old_run_goes_on_with_the_plugin_that_it_was_made_with(finished: Path, toys: Any) -> None:
    registry = toys.registry.with_plugin(other("brief"), "others")
    with pytest.raises(PluginError, match="choose with --prompt toys:brief or --prompt others:brief"):
        registry.prompt_style("brief")
    assert FinishedRun.open(finished, registry).style.summary == "question and answer on two lines"
    session = Session.reopen(finished, registry, Observer())
    assert session.setup.components.style.summary == "question and answer on two lines"


def test_a_run_by_id_keeps_the_id(layer: Callable[..., Layer], toys: Any) -> None:
    registry = toys.registry.with_plugin(other("brief"), "others")
    session = Session.start(layer(prompt="toys:brief"), registry, Observer())
    assert session.folder.config().prompt.name == "toys:brief"
    assert session.folder.manifest()["components"]["prompt"]["plugin"] == "toys"


def test_a_default_is_sftframes_own() -> None:
    registry = load_registry().with_plugin(other("alpaca"), "others")
    assert resolve({}, registry).prompt.name == "sftframe:prompts:alpaca"
    assert chosen_components({}, registry)["prompt"].name == "sftframe:prompts:alpaca"
    assert resolve({"prompt": {"name": "phi3"}}, registry).prompt.name == "phi3"
    assert resolve({}, load_registry()).prompt.name == RunConfig().prompt.name


def test_a_name_that_was_chosen_and_is_in_conflict_is_asked_about() -> None:
    registry = load_registry().with_plugin(other("alpaca"), "others")
    with pytest.raises(PluginError, match="choose with --prompt sftframe:prompts:alpaca or --prompt others:alpaca"):
        registry.prompt_style(resolve({"prompt": "alpaca"}, registry).prompt.name)
