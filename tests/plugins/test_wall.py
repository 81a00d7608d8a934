import json

import pytest

from sftframe import ConfigError, PluginError
from sftframe.plugins.guard import describe, plugin_wall


def test_what_a_plugin_raises_leaves_as_one_line():
    with (
        pytest.raises(PluginError, match=r"^loading: ValueError: first line \(.*test_wall.py:\d+\)$"),
        plugin_wall("acme", "loading"),
    ):
        raise ValueError("first line\nsecond line")


def test_a_plugin_cannot_end_the_program():
    with pytest.raises(PluginError, match="SystemExit: 0"), plugin_wall("acme"):
        raise SystemExit(0)


def test_ctrl_c_goes_through():
    with pytest.raises(KeyboardInterrupt), plugin_wall("acme"):
        raise KeyboardInterrupt


def test_a_message_for_the_user_goes_through_unchanged():
    with pytest.raises(ConfigError, match=r"^name the table$"), plugin_wall("acme"):
        raise ConfigError("name the table")


def test_the_line_is_the_innermost_one_of_the_plugin_not_of_the_library_below():
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    own = __name__.partition(".")[0]
    assert f"({__file__}:" in describe(caught.value, own)
    assert "json/decoder.py" in describe(caught.value, "json")


def test_a_syntax_error_points_into_the_file_that_has_it():
    with pytest.raises(SyntaxError) as caught:
        compile("def broken(:\n", "acme/styles.py", "exec")
    assert describe(caught.value, "acme").endswith("(acme/styles.py:1)")
