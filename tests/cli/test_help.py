"""Help as people meet it: in narrow terminals, with an example, and after a slip of the finger."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from sftframe import load_registry
from sftframe.analysis import find_yardstick
from sftframe.cli.app import app
from sftframe.pipeline import resolve


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


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_and_cuts_no_flag_and_no_placeholder(cli, monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = cli(*name.split(), "--help").out
    assert max(len(line) for line in shown.splitlines()) <= columns
    assert "<bool>" not in shown  # a flag takes no value
    words = set(re.split(r"[\s│]+", shown))
    for parameter in COMMANDS[name].params:
        assert set(parameter.opts if parameter.param_type_name == "option" else ()) <= words
        assert set((parameter.metavar or "").split()) <= words


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", ["", "plugins"])
def test_the_help_of_a_group_shows_flags_as_flags(cli, monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = cli(*name.split(), "--help").out
    assert "--debug" in shown
    assert "<bool>" not in shown


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
        (["run", "--learning-rate", "1"], "did you mean --lr?"),
        (["run", "--colate", "x"], "did you mean --collate?"),
        (["train", "--warmup-steps", "5"], "--set train.warmup_steps=VALUE"),
        (["report", "--epochs", "5"], "these have it: sftframe run, sftframe train, sftframe ablate"),
        (["run", "--batch-size", "4,8"], "several values are for sftframe ablate --batch-size 4,8"),
        (["train", "--seed", "4,8"], "several seeds are for sftframe ablate --seeds 4,8"),
        (["plugins", "shwo"], "did you mean 'show'? sftframe plugins --help lists them"),
        (["chat"], "sftframe chat: RUN is missing: a run's folder"),
        (["run", "--seed"], "--seed: a value is missing after it"),
        (["run", "--json=yes"], "--json: it takes no value"),
        (["run", "alpaca"], "sftframe run does not expect 'alpaca'"),
    ],
)
def test_a_slip_of_the_finger_is_answered_with_what_may_be_meant(cli, typed, meant):
    done = cli(*typed)
    assert done.code == 2
    assert meant in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("flag", "key"),
    [
        ("--epochs", "train.epochs"),
        ("--lr", "train.lr"),
        ("--batch-size", "train.batch_size"),
        ("--boundary", "tokens.boundary"),
        ("--device", "device"),
        ("--dtype", "dtype"),
        ("--seed", "seed"),
    ],
)
def test_help_tells_the_default_that_holds(flag, key):
    registry = load_registry()
    document = resolve({}, registry).model_dump()
    for part in key.split("."):
        document = document[part]
    (text,) = [parameter.help for parameter in COMMANDS["run"].params if flag in parameter.opts]
    assert "default" in text.lower()
    assert re.search(rf"\b{re.escape(f'{document:g}' if isinstance(document, float) else str(document))}\b", text)


@pytest.mark.parametrize("key", ["judge", "exact_match", "response_nll_per_byte", "stop_rate", "length_ratio"])
def test_help_tells_the_margin_of_the_yardsticks_that_it_names(key):
    yardstick = find_yardstick(key)
    (text,) = [parameter.help for parameter in COMMANDS["ablate"].params if "--margin" in parameter.opts]
    shown = f"{yardstick.margin:.0%}".replace("%", " %") if yardstick.is_margin_relative else f"{yardstick.margin:g}"
    assert yardstick.key in text
    assert shown in text


def test_short_flags_mean_what_they_mean_elsewhere(cli):
    assert cli("-V").out == cli("--version").out


JARGON = re.compile(
    r"Input should|Value error|constrained-|_parsing|<class|pydantic|[{}]|valid (integer|number|string)"
)
"""Words of the libraries that read command lines and settings; nobody who uses sftframe has to know them."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_with_a_wrong_value_is_answered_in_plain_words(cli, name):
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name != "option" or getattr(parameter, "is_flag", False):
            continue
        for value in ("-1", "zzz", "1.5.2", ""):
            needed = ["x"] * sum(p.param_type_name == "argument" and p.required for p in COMMANDS[name].params)
            done = cli(*name.split(), *needed, f"{parameter.opts[0]}={value}", "--config=nowhere.toml")
            assert done.code == 2, (parameter.opts, value, done.err)
            assert done.last_line.startswith("error: ")
            assert not JARGON.search(done.err), (parameter.opts, value, done.err)
