"""Messages about wrong command lines: the flag or command, what was expected, and the nearest known name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from sftframe.cli.settings import key_of

UsageFault = Any
"""typer's usage errors: the class has no public name, and `typer.BadParameter` is one of its kinds."""


def usage_message(fault: UsageFault) -> str:
    """A usage error of typer as one line."""
    option, context = getattr(fault, "option_name", None), fault.ctx
    path = getattr(context, "command_path", "sftframe")
    unknown = re.match(r"No such command '(.*?)'\.", fault.message)
    if option is not None and hasattr(fault, "possibilities"):
        return _unknown_flag(option, context)
    if unknown is not None:
        return f"no command {unknown[1]!r}{_nearest_command(unknown[1], context)} {path} --help lists them"
    if option is not None:
        takes_none = "does not take" in fault.message
        return f"{option}: {'it takes no value' if takes_none else 'a value is missing after it'}"
    param = getattr(fault, "param", None)
    if param is not None and type(fault).__name__ == "MissingParameter":
        about = f": {_lower(str(param.help))}" if getattr(param, "help", None) else f"; see {path} --help"
        return f"{path}: {_name(param)} is missing{about}"
    if param is not None:
        return _bad_value(fault, param, path)
    extra = re.match(r"Got unexpected extra arguments? ?\(?s?\)? ?\((.*)\)", fault.message)
    return f"{path} does not expect {extra[1]!r}; see {path} --help" if extra else f"{path}: {_lower(fault.message)}"


def _bad_value(fault: UsageFault, param: Any, path: str) -> str:
    expected, found = _lower(fault.message), ""
    cause = fault.__cause__
    if hasattr(cause, "errors"):  # from pydantic
        from sftframe.config import expectation
        from sftframe.errors import brief

        finding = cause.errors(include_url=False)[0]
        choices = re.search(r"is not one of (.*?)\.?$", finding["msg"])
        expected = f"expected {_alternatives(choices[1]) if choices else expectation(finding)}"
        found = f", found {brief(finding['input'])}"
    return f"{_name(param)}: {expected}{found}{_several(param, cause, path)}"


def _alternatives(listed: str) -> str:
    """
    >>> _alternatives("'html', 'md', 'csv'")
    "'html', 'md' or 'csv'"
    """
    others, _, last = listed.rpartition(", ")
    return f"{others} or {last}" if others else last


def _several(param: Any, cause: Any, path: str) -> str:
    """What to do when several values were given and one was expected."""
    value = cause.errors()[0]["input"] if hasattr(cause, "errors") else None
    if not isinstance(value, str) or "," not in value:
        return ""
    if param.name == "seed":
        return f"; several seeds are for sftframe ablate --seeds {value}"
    if not path.endswith(" ablate") and key_of(param.opts[0]) is not None:
        return f"; several values are for sftframe ablate {param.opts[0]} {value}"
    return ""


def _name(param: Any) -> str:
    return " / ".join(param.opts) if param.param_type_name == "option" else str(param.metavar or param.name)


def _unknown_flag(name: str, context: Any) -> str:
    """The nearest flag of this command, a setting of that name, or the commands that have the flag."""
    path = context.command_path
    known = [option for param in context.command.params for option in param.opts if option.startswith("--")]
    if name not in known:
        near = _near_flag(name, known)
        if near is not None:
            return f"{path} has no flag {name}; did you mean {near}?"
    key = _setting(name)
    if key is not None and "--set" in known and key_of(name) is None:
        return f"{path} has no flag {name}; write it as a setting: --set {key}=VALUE"
    owners = [owner for owner, command in _commands(context.find_root().command) if _has(command, name)]
    if owners:
        return f"{path} has no flag {name}; these have it: {', '.join(owners)}"
    return f"{path} has no flag {name}; {path} --help lists them"


def _near_flag(name: str, known: list[str]) -> str | None:
    from sftframe.errors import nearest

    words = {flag.removeprefix("--"): flag for flag in known}
    close = get_close_matches(name.removeprefix("--"), words, n=1, cutoff=0.75)
    near = close[0] if close else nearest(name.removeprefix("--"), words)
    if near is None or (not close and _setting(name) is not None):
        return None
    return words[near]


def _setting(name: str) -> str | None:
    """The setting that a flag of this name would set."""
    from sftframe.config import RunConfig, known_keys

    wanted = name.removeprefix("--").replace("-", "_")
    return next((key for key in known_keys(RunConfig) if key.rpartition(".")[2] == wanted), None)


def _has(command: Any, flag: str) -> bool:
    return any(flag in param.opts for param in command.params)


def _commands(group: Any, name: str = "sftframe") -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def _nearest_command(name: str, context: Any) -> str:
    from sftframe.errors import nearest

    near = nearest(name, getattr(context.command, "commands", ()))
    return ";" if near is None else f"; did you mean {near!r}?"


def _lower(text: str) -> str:
    """A sentence for the middle of a line: without line breaks, first capital letter and full stop."""
    words = " ".join(text.split()).rstrip(".")
    return words[:1].lower() + words[1:]
