"""What a terminal obeys never leaves as it came."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sftframe.cli.console import SafeConsole, prose
from sftframe.escaping import escape_controls, json_text

DIRECTIONS = {chr(code) for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""Unicode's Bidi_Control characters, from PropList.txt."""

OBEYED = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - {"\t", "\n"} | DIRECTIONS
"""C0 without tab and line break, DEL, C1: ECMA-48's control functions; and what turns the direction of text."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;mine\x07", "␛]0;mine␇"),
        ("10 %\r100 %", "10 %␍100 %"),
        ("ab\b\bxy", "ab␈␈xy"),
        ("\x9b2J", "\ufffd2J"),
        ("\x7f\x00", "␡␀"),
        ("half \ud83d", "half \ufffd"),
        ("\u202egpj.exe", "<U+202E>gpj.exe"),
        ("a\u2066b\u2069\u200f", "a<U+2066>b<U+2069><U+200F>"),
        ("zero\u200bwidth\ufeff", "zero<U+200B>width<U+FEFF>"),
        ("tag\U000e0041", "tag<U+E0041>"),
        ("no\u200djoin", "no<U+200D>join"),
        (
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("\tשלום\n👩‍👩‍👧 é", "\tשלום\n👩‍👩‍👧 é"),
    ],
)
def test_control_characters_become_signs_and_all_else_stays(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


@given(st.text(st.characters()))
@settings(max_examples=50, deadline=None)
def test_no_text_gets_a_control_character_through(text: str) -> None:
    assert not OBEYED & set(escape_controls(text))
    escape_controls(text).encode()


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


@pytest.mark.parametrize("sign", sorted(DIRECTIONS))
def test_every_way_into_a_console_shows_what_turns_the_direction_of_text(
    capsys: pytest.CaptureFixture[str], sign: str
) -> None:
    console = SafeConsole(width=60)
    table = Table(f"a{sign}", title=f"b{sign}", caption=f"c{sign}")
    table.add_row(Text(f"d{sign}"))
    for shown in (f"e{sign}", Text(f"f{sign}"), table, Panel(Text(f"g{sign}"), title=Text(f"h{sign}"))):
        console.print(shown)
    prose(console, f"i{sign}")
    printed = capsys.readouterr().out
    assert sign not in printed
    assert {letter for letter in "abcdefghi" if f"{letter}<U+{ord(sign):04X}>" in printed} == set("abcdefghi")
    assert max(len(line) for line in printed.splitlines()) <= 60


@pytest.mark.parametrize("text", ["[en]/qa.json", "m[/x].json", "[bold]a[/bold]", ":cat:", "[link=x]y", "\\[red]"])
def test_no_text_is_markup(capsys: pytest.CaptureFixture[str], text: str) -> None:
    console = SafeConsole(width=60)
    table = Table(text, title=text, caption=text)
    table.add_row(text, text)
    for shown in (text, Text(text), table, Panel(text)):
        console.print(shown)
    console.rule(text)
    prose(console, text)
    assert capsys.readouterr().out.count(text) == 10


def test_a_sentence_is_broken_between_words_in_a_terminal_alone(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/path/of/more/than/twenty/letters"
    for is_terminal in (False, True):
        prose(SafeConsole(width=20, force_terminal=is_terminal, color_system=None), f"What is said of {path} here")
    assert capsys.readouterr().out == f"What is said of {path} here\nWhat is said of\n{path}\nhere\n"


def test_half_a_surrogate_pair_in_json_is_an_escape() -> None:
    assert json_text("\ud83d!") == '"\\ud83d!"'
