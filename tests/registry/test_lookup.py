from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from sftframe import ConfigError, Judge, PluginError, PromptStyle, Registry, Role, Segment, hookimpl, option
from sftframe.registry import Seam


@dataclass(frozen=True, kw_only=True)
class ShoutOptions:
    mark: str = option("!", "what a sentence ends with")
    times: int = option(1, "how often", ge=1, le=3)


class Shout(PromptStyle):
    name = "shout"
    summary = "ends the instruction with marks"
    Options = ShoutOptions

    def segments(self, example):
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.TEMPLATE, self.options.mark * self.options.times)
        yield Segment(Role.RESPONSE, example.output)


class Coin(Judge):
    name = "shout"
    summary = "has the name of a prompt style"

    def score(self, items):
        return iter(())


class Plugin:
    """Hooks as methods of an object."""

    @hookimpl
    def sftframe_prompt_styles(self):
        return [Shout]

    @hookimpl
    def sftframe_judges(self):
        return (judge for judge in [Coin])


@pytest.fixture
def registry():
    return Registry().with_plugin(Plugin(), name="shouting")


def test_an_object_with_hooks_is_a_plugin(registry):
    [info] = registry.plugins
    assert (info.id, info.status, info.is_first_party) == ("shouting", "ok", False)
    assert info.components == ((Seam.PROMPT, "shout"), (Seam.JUDGE, "shout"))


def test_with_plugin_leaves_the_registry_that_it_is_called_on_as_it_was():
    empty = Registry()
    empty.with_plugin(Plugin())
    assert empty.plugins == ()


def test_a_name_means_another_component_at_another_seam(registry):
    assert registry.find(Seam.PROMPT, "shout") is Shout
    assert registry.find(Seam.JUDGE, "shout") is Coin
    assert registry.names(Seam.MODEL) == []


def test_options_come_from_the_values_and_are_checked(registry):
    style = registry.prompt_style("shout", {"mark": "?", "times": 2})
    assert (style.options.mark, style.options.times) == ("?", 2)
    with pytest.raises(ConfigError, match=r"prompt\.times: expected 3 or less, found 4"):
        registry.prompt_style("shout", {"times": 4})
    with pytest.raises(ConfigError, match=r"prompt\.mrk: 'shout' has no option 'mrk'; did you mean 'mark'\?"):
        registry.prompt_style("shout", {"mrk": "?"})


def test_a_component_is_made_with_its_defaults_when_nothing_is_set(registry):
    assert registry.prompt_style("shout").options == ShoutOptions()


def test_an_unknown_name_gets_the_nearest_one_and_the_list(registry):
    with pytest.raises(ConfigError, match=r"^no prompt style 'shuot'; did you mean 'shout'\? Installed: shout$"):
        registry.find(Seam.PROMPT, "shuot")


def test_an_unknown_name_at_an_empty_seam_says_that_there_is_none(registry):
    with pytest.raises(ConfigError, match=r"^no model backend 'gpt5'; none are available$"):
        registry.model_backend("gpt5")


def test_two_plugins_of_one_name_are_refused(registry):
    with pytest.raises(PluginError, match="there is already a plugin 'shouting'"):
        registry.with_plugin(Plugin(), name="shouting")


def test_a_broken_object_is_refused_at_once():
    class Nothing:
        pass

    with pytest.raises(PluginError, match="it implements no hook"):
        Registry().with_plugin(Nothing())


def test_a_namespace_with_a_function_is_a_plugin_too():
    @hookimpl
    def sftframe_prompt_styles():
        return [Shout]

    registry = Registry().with_plugin(SimpleNamespace(sftframe_prompt_styles=sftframe_prompt_styles))
    assert registry.names(Seam.PROMPT) == ["shout"]


def test_keyword_arguments_of_a_seam_reach_the_component():
    from sftframe import load_registry

    assert load_registry().collate_strategy("mask-pad", pad_id=7).pad_id == 7
