"""Each plugin of `tests/broken/installed` is broken in one way; each becomes a row that says how."""

import pytest

from sftframe import ConfigError, PluginError, load_registry
from sftframe.registry import Seam

ERRORS = {
    "absent_module": "ModuleNotFoundError: No module named 'sftframe_broken.absent'",
    "absent_object": "AttributeError: module 'sftframe_broken' has no attribute 'nothing'",
    "exits_at_import": "SystemExit: no license found",
    "hook_with_argument": "Argument(s) {'config'} are declared in the hookimpl but can not be found",
    "missing_dependency": "ModuleNotFoundError: No module named 'package_that_nobody_has'",
    "misspelt_hook": "unknown hook 'sftframe_prompt_style'; did you mean 'sftframe_prompt_styles'?",
    "model_option_without_default": "option 'greeting' has no default value",
    "no_hook": "it implements no hook; expected @hookimpl on one of",
    "offers_an_object": "sftframe_prompt_styles offers an object of GoodStyle; expected a class",
    "one_of_two": "prompt style NotFine has the name 'Not fine'; expected lower case letters",
    "option_without_default": "option 'greeting' has no default value",
    "options_in_a_dict": "has the Options {'greeting': 'hello'}; expected a dataclass or a pydantic model",
    "raises_at_import": "ZeroDivisionError: division by zero",
    "raises_half_way": "ValueError: half way",
    "returns_none": "sftframe_prompt_styles returned None; expected a list of component classes",
    "returns_one_class": "GoodStyle'>; expected a list of component classes",
    "same_name_twice": "it offers two prompt style components with the name 'same'",
    "unfinished": "prompt style Unfinished does not define segments",
    "newer_hook": "unknown hook 'sftframe_data_sources': it needs a newer sftframe than 0.1.0",
    "unknown_specname": "unknown hook 'sftframe_samplers': it needs a newer sftframe than 0.1.0",
    "unmarked_hook": "not marked as a hook; put @hookimpl",
    "user_error_at_import": "set ACME_KEY first",
    "without_name": "prompt style Nameless has the name None",
    "without_summary": "has the summary 'one line\\nand another'; expected one line",
    "wrong_seam": "GoodStyle is offered as a judge but is not a Judge",
}

HEALTHY = {
    "chatty",
    "healthy",
    "optional_hook",
    "raises_when_made",
    "renamed_hook",
    "spans_versions",
    "twin_a",
    "twin_b",
}


@pytest.fixture
def rows(broken_plugins):
    return {info.id.removeprefix("sftframe-broken:"): info for info in load_registry().plugins}


@pytest.mark.parametrize("plugin", ERRORS)
def test_a_broken_plugin_is_a_row_that_says_in_one_line_what_is_wrong(rows, plugin):
    assert rows[plugin].status == "broken"
    assert ERRORS[plugin] in rows[plugin].error
    assert "\n" not in rows[plugin].error
    assert rows[plugin].components == ()


def test_every_plugin_of_the_folder_is_accounted_for(rows):
    assert {name for name in rows if not name.startswith("sftframe:")} == set(ERRORS) | HEALTHY


def test_healthy_plugins_beside_broken_ones_work(rows):
    assert {rows[name].status for name in HEALTHY} == {"ok"}
    assert rows["healthy"].components == ((Seam.PROMPT, "healthy"),)
    assert rows["renamed_hook"].components == ((Seam.PROMPT, "renamed"),)


@pytest.mark.parametrize(
    ("plugin", "line"), [("missing_dependency", 3), ("exits_at_import", 3), ("raises_half_way", 14)]
)
def test_the_error_points_at_the_plugins_own_line(rows, plugin, line):
    assert rows[plugin].error.endswith(f"sftframe_broken/{plugin}.py:{line})")


def test_one_bad_component_keeps_out_all_of_its_plugin(broken_plugins):
    assert not {"fine", "first-half"} & set(load_registry().names(Seam.PROMPT))


def test_each_broken_plugin_is_one_warning(broken_plugins):
    warnings = [line for line in load_registry().warnings() if "sftframe-broken:" in line]
    assert len(warnings) == len(ERRORS)
    assert any(line.startswith("plugin sftframe-broken:unfinished is broken: prompt style") for line in warnings)


def test_what_a_plugin_prints_while_it_is_imported_stays_out_of_stdout(broken_plugins, capsys, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "sftframe_broken.chatty", raising=False)
    load_registry()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "welcome to chatty" in captured.err


def test_a_name_that_two_plugins_offer_is_an_error_only_when_it_is_asked_for(broken_plugins):
    registry = load_registry()
    assert "twin" in registry.names(Seam.PROMPT)
    message = "2 plugins offer a prompt style 'twin': sftframe-broken:twin_a, sftframe-broken:twin_b; choose with "
    with pytest.raises(PluginError, match=message):
        registry.find(Seam.PROMPT, "twin")


@pytest.mark.parametrize("name", ["sftframe-broken:twin_a:twin", "Sftframe_Broken:twin"])
def test_one_of_two_plugins_in_conflict_is_chosen_by_its_id(broken_plugins, name):
    registry = load_registry(disabled=["sftframe-broken:twin_b"] if name.count(":") == 1 else [])
    assert registry.find(Seam.PROMPT, name).summary == "the one of twin_a"
    assert registry.prompt_style(name).name == "twin"
    with pytest.raises(ConfigError, match="no prompt style 'sftframe-broken:healthy:twin'"):
        registry.find(Seam.PROMPT, "sftframe-broken:healthy:twin")


def test_a_preferred_plugin_settles_a_conflict(broken_plugins):
    registry = load_registry().preferring({Seam.PROMPT: "sftframe-broken:twin_b"})
    assert registry.provider(Seam.PROMPT, "twin").id == "sftframe-broken:twin_b"


def test_disabling_one_of_two_plugins_in_conflict_frees_the_name(broken_plugins):
    registry = load_registry(disabled=["sftframe-broken:twin_b"])
    assert registry.find(Seam.PROMPT, "twin").summary == "the one of twin_a"
    assert registry.provider(Seam.PROMPT, "twin").id == "sftframe-broken:twin_a"


def test_an_unknown_name_says_which_broken_plugins_may_have_had_it(broken_plugins):
    with pytest.raises(ConfigError, match=r"'first-half'.*; broken and therefore missing: .*raises_half"):
        load_registry().find(Seam.PROMPT, "first-half")


def test_a_component_that_fails_when_it_is_made_names_its_plugin(broken_plugins):
    message = r"prompt style 'fragile' of sftframe-broken:raises_when_made cannot be made: RuntimeError: no such table"
    with pytest.raises(PluginError, match=message):
        load_registry().prompt_style("fragile")
