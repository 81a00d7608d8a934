"""The errors that a user can fix: one class per exit code.

Every message is one line that says what, where, what was expected and what to do. Any other error is a bug in sftframe
or in a plugin.

    SftframeError (1)
    ├── ConfigError (2)     bad usage or configuration
    ├── PluginError (3)     a plugin that is broken, missing or in conflict
    ├── DataError (4)       a data file or an example in it
    ├── ModelError (5)      a model, its weights or its tokenizer
    ├── DownloadError (5)   a file that cannot be fetched (in `sftframe.network.downloads`)
    ├── NetworkError (1)    a redirect, a reply or a proxy that is refused (in `sftframe.network.http`)
    ├── OfflineError (2)    a report that would reach a network (in `sftframe.network.offline`)
    ├── JudgeError (6)      a judge that cannot be reached or gives no verdicts
    ├── TrainingError (7)   non-finite loss, out of memory
    ├── PartialError (8)    some runs of an ablation failed, the others are complete
    ├── OutputError (9)     a result that cannot be written to standard output
    │   └── ReaderGone (141)    the program that read the output has ended, as `head` does
    └── Interrupted (130)   stopped by the user; finished work is saved
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import ClassVar


class SftframeError(Exception):
    """Base of all errors that a user can fix; `exit_code` is the exit code of the command."""

    exit_code: ClassVar[int] = 1


class ConfigError(SftframeError):
    """Bad usage or configuration: an unknown component or key, a value out of range, a folder in the way."""

    exit_code = 2


class PluginError(SftframeError):
    """A plugin that cannot be imported, breaks the rules for its kind, or offers the same name as another."""

    exit_code = 3


class DataError(SftframeError):
    """A data file that cannot be read, or an example in it that cannot be used."""

    exit_code = 4


class ModelError(SftframeError):
    """Weights or a tokenizer that are missing, damaged or do not fit each other."""

    exit_code = 5


class JudgeError(SftframeError):
    """A judge that does not exist, cannot be reached, or failed on too many items."""

    exit_code = 6


class TrainingError(SftframeError):
    """Training that cannot continue: a loss that is not finite, or no memory left."""

    exit_code = 7


class PartialError(SftframeError):
    """Some runs of an ablation failed; the others are complete and were compared."""

    exit_code = 8


class OutputError(SftframeError):
    """A result that cannot be written to standard output, for example on a full disk; the work is done and saved."""

    exit_code = 9


class ReaderGone(OutputError):  # noqa: N818  not an error of anybody
    """The program that read the output has ended, as `head` does; no message is printed."""

    exit_code = 141


class Interrupted(SftframeError):  # noqa: N818  the user wanted it
    """The user stopped the run; the message says how to continue."""

    exit_code = 130


def brief(value: object) -> str:
    """A value for a message: its `repr`, without the middle if it is long.

    >>> brief("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxxxxxxxx'"
    """
    shown = repr(value)
    return shown if len(shown) <= 160 else f"{shown[:60]}…{shown[-20:]}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a wrong one may mean: spelt almost the same, its start, or its initials.

    >>> names = ["temperature", "top_k", "lr", "max_new_tokens"]
    >>> [nearest(wrong, names) for wrong in ("temprature", "temp", "learning_rate", "max_tokens", "zzz")]
    ['temperature', 'temperature', 'lr', 'max_new_tokens', None]
    """
    names = sorted(known)[:_MOST_COMPARED]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return close[0]
    beginnings = [other for other in names if len(name) > 2 and other.startswith(name)]
    initials = "".join(word[:1] for word in re.split(r"[-_ ]", name))
    return next((other for other in [*beginnings, initials] if other in names), None)


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of an 'unknown name' message: the nearest known name, then all of them.

    >>> suggestion("alpcaa", ["alpaca", "phi3"])
    "; did you mean 'alpaca'? Available: alpaca, phi3"
    >>> suggestion("zzz", [])
    '; none are available'

    Of very many names, for example from a data file, only some are shown; hidden characters are shown as escapes.
    """
    names = sorted(known)
    if not names:
        return "; none are available"
    near = nearest(name, names)
    hint = "." if near is None else f"; did you mean {near!r}?"
    shown = [name if name.isprintable() else repr(name) for name in names[:_MOST_SHOWN]]
    more = f", … ({len(names)} in all)" if len(names) > _MOST_SHOWN else ""
    return f"{hint} Available: {', '.join(shown)}{more}"


_MOST_COMPARED = 1000
"""Most names to compare with a wrong one: 100,000 would take a minute."""
_MOST_SHOWN = 40
