"""What a terminal obeys never leaves as it came."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from sftframe.cli.console import SafeConsole
from sftframe.visible import json_text, visible

OBEYED = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - {"\t", "\n"}
"""C0 without tab and line break, DEL, C1: ECMA-48's control functions."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;mine\x07", "␛]0;mine␇"),
        ("10 %\r100 %", "10 %␍100 %"),
        ("ab\b\bxy", "ab␈␈xy"),
        ("\x9b2J", "\ufffd2J"),
        ("\x7f\x00", "␡␀"),
        ("half \ud83d", "half \ufffd"),
        ("\tשלום\n👩‍👩‍👧 é", "\tשלום\n👩‍👩‍👧 é"),
    ],
)
def test_control_characters_become_signs_and_all_else_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters()))
@settings(max_examples=50, deadline=None)
def test_no_text_gets_a_control_character_through(text: str) -> None:
    assert not OBEYED & set(visible(text))
    assert len(visible(text)) == len(text)
    visible(text).encode()


@given(st.recursive(st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5))
@settings(max_examples=50, deadline=None)
def test_json_keeps_every_value_and_shows_no_control_character(value: object) -> None:
    assert json.loads(json_text(value)) == value
    assert not OBEYED & set(json_text(value))
    json_text(value).encode()


def test_a_console_lets_no_control_character_of_a_text_through(capsys: pytest.CaptureFixture[str]) -> None:
    SafeConsole().print("\x1b]0;mine\x07 \x9b2J")
    assert not OBEYED & set(capsys.readouterr().out)


def test_a_consoles_own_colours_get_through(capsys: pytest.CaptureFixture[str]) -> None:
    SafeConsole(force_terminal=True, color_system="standard", no_color=False).print(Text("x", "red"))
    assert "\x1b[31mx\x1b[0m" in capsys.readouterr().out


def test_half_a_surrogate_pair_in_json_is_an_escape() -> None:
    assert json_text("\ud83d!") == '"\\ud83d!"'
