"""Help as people meet it: in narrow terminals, with an example, and after a slip of the finger."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from sftframe.cli.app import app


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name."""
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}".strip())
        else:
            yield f"{name} {word}".strip(), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_every_command_is_looked_at():
    assert {"run", "doctor", "init", "ablate", "plugins check"} <= set(COMMANDS)


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_and_cuts_no_flag_and_no_placeholder(cli, monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = cli(*name.split(), "--help").out
    assert max(len(line) for line in shown.splitlines()) <= columns
    words = set(re.split(r"[\s│]+", shown))
    for parameter in COMMANDS[name].params:
        assert set(parameter.opts if parameter.param_type_name == "option" else ()) <= words
        assert set((parameter.metavar or "").split()) <= words


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_of_itself(name):
    assert re.search(rf"^Example: sftframe {name}\b", COMMANDS[name].help, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name):
    silent = [p.name for p in COMMANDS[name].params if not getattr(p, "help", None)]
    assert silent == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["rum"], "run"),
        (["plugins", "lst"], "list"),
        (["run", "--promt", "alpaca"], "--prompt"),
        (["run", "--set", "train.epoch=1"], "epochs"),
        (["run", "--prompt", "alpcaa"], "alpaca"),
        (["preview", "--model", "gpt2-nanno"], "gpt2-nano"),
    ],
)
def test_a_slip_of_the_finger_is_answered_with_what_may_be_meant(cli, typed, meant):
    done = cli(*typed)
    assert done.code == 2
    assert meant in " ".join(done.err.split())
