"""Configurations that are absurd end in one line, from a file as from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sftframe import ConfigError
from sftframe.config import merge, parse_settings, read_toml, validate

DEEP = "[" * 100_000
DIGITS = "9" * 5000
"""More than Python makes an integer of."""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"seed = {DIGITS}", "TOML that cannot be read"),
        (f"a = {DEEP}", "TOML that cannot be read"),
        ("a = " + "{a = " * 5000, "TOML that cannot be read"),
        (".".join(["train"] * 3000) + " = 1", "nested too deeply"),
        (f"[{'.'.join(['model'] * 3000)}]\na = 1", "nested too deeply"),
        (f'seed = "{"x" * 100_000}"', "seed: expected a whole number"),
        ('out = "a\\u0000b"', "out: expected text without the character U+0000"),
        ('"\\u001b]0;x\\u0007" = 1', r"no configuration key '\x1b]0;x\x07'"),
        ("[train]\nepochs = 1e308", "train.epochs: expected 1000000 or less"),
        ("threads = 1000000", "threads: expected 1024 or less"),
        ("[generate]\ntemperature = 1e-300", "generate.temperature: expected 0, or 0.001 or more"),
        ("seed = 2024-01-01", "seed: expected a whole number"),
        ("[prompt]\nname = [1]", "prompt.name: expected text"),
    ],
)
def test_a_configuration_that_cannot_be_is_told_in_a_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        validate(merge(read_toml(tmp_path / "c.toml")))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_byte_order_mark_before_a_configuration_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("\ufeffseed = 7", encoding="utf-8")
    assert read_toml(tmp_path / "c.toml") == {"seed": 7}


@pytest.mark.parametrize("value", [DEEP, DIGITS, "{a =" * 3000])
def test_a_setting_that_is_no_toml_is_text(value: str) -> None:
    assert parse_settings([f"judge.x={value}"]) == {"judge": {"x": value}}


def test_a_setting_of_a_thousand_levels_is_refused() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_settings([".".join(["a"] * 3000) + "=1"])
