import sys

import pytest

from sftframe import ConfigError, load_registry


def statuses(registry):
    return {info.id: info.status for info in registry.plugins}


@pytest.mark.parametrize("name", ["sftframe-broken:healthy", "Sftframe_Broken:healthy", "healthy"])
def test_a_plugin_is_disabled_by_its_id_or_its_entry_point(broken_plugins, name):
    found = statuses(load_registry(disabled=[name]))
    assert [id for id, status in found.items() if status == "disabled"] == ["sftframe-broken:healthy"]


def test_a_distribution_is_disabled_as_a_whole(broken_plugins):
    found = statuses(load_registry(disabled=["sftframe.broken"]))
    assert {status for id, status in found.items() if id.startswith("sftframe-broken:")} == {"disabled"}
    assert found["sftframe:prompts"] == "ok"


def test_a_disabled_plugin_is_not_even_imported(broken_plugins, monkeypatch):
    monkeypatch.delitem(sys.modules, "sftframe_broken.healthy", raising=False)
    load_registry(disabled=["sftframe-broken"])
    assert "sftframe_broken.healthy" not in sys.modules


def test_the_environment_variable_disables_a_list_of_plugins(broken_plugins, monkeypatch):
    monkeypatch.setenv("SFTFRAME_DISABLE", "twin_a, sftframe-broken:twin_b,")
    found = statuses(load_registry())
    assert {id for id, status in found.items() if status == "disabled"} == {
        "sftframe-broken:twin_a",
        "sftframe-broken:twin_b",
    }


def test_the_environment_variable_may_name_what_is_not_installed(broken_plugins, monkeypatch):
    monkeypatch.setenv("SFTFRAME_DISABLE", "a-plugin-of-another-environment")
    assert "disabled" not in statuses(load_registry()).values()


def test_a_flag_that_names_no_plugin_is_an_error_with_a_suggestion(broken_plugins):
    with pytest.raises(ConfigError, match="cannot disable 'healthi': no such plugin is installed"):
        load_registry(disabled=["healthi"])


def test_a_name_that_only_a_disabled_plugin_has_says_so(broken_plugins):
    registry = load_registry(disabled=["sftframe-broken"])
    with pytest.raises(ConfigError, match=r"disabled and therefore missing: .*sftframe-broken:healthy"):
        registry.prompt_style("healthy")
