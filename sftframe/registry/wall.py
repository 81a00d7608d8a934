"""The wall between sftframe and code of plugins: whatever goes wrong behind it becomes one line.

Takes what a plugin raised, gives a `PluginError` that names the exception and the plugin's own line. The only place
besides the command line's top that catches every exception; it knows nothing of seams or components.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from sftframe.errors import PluginError, SftframeError


@contextmanager
def plugin_wall(package: str, doing: str = "") -> Iterator[None]:
    """Run a plugin's code; what it raises leaves as a `PluginError`, except Ctrl-C and messages meant for the user.

    Args:
        package: the plugin's top-level package, to find its own line in a traceback.
        doing: what was tried, the beginning of the message.
    """
    try:
        yield
    except (KeyboardInterrupt, SftframeError):
        raise
    except BaseException as error:  # SystemExit too: a plugin must not end the program of its host
        raise PluginError(f"{doing}{': ' if doing else ''}{describe(error, package)}") from error


def describe(error: BaseException, package: str) -> str:
    """An exception as one line: its class, its message's first line, and where in the plugin it arose.

    >>> describe(ValueError("no such size: 7"), "acme")
    'ValueError: no such size: 7'
    """
    message = str(error).strip().partition("\n")[0]
    place = _place(error, package)
    return type(error).__name__ + (f": {message}" if message else "") + (f" ({place})" if place else "")


def _place(error: BaseException, package: str) -> str:
    """`file:line` of the innermost frame that belongs to the plugin; empty where none does."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] == package
    ]
    return places[-1] if places else ""
