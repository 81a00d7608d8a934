"""Turns every error in a plugin's code into a message of one line.

Only this module and the command line's top level catch every exception.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from sftframe.errors import PluginError, SftframeError


@contextmanager
def plugin_wall(package: str, doing: str = "") -> Iterator[None]:
    """Run a plugin's code; its exceptions become a `PluginError`, except Ctrl-C and messages meant for the user.

    Args:
        package: the plugin's top-level package, to find its own line in a traceback.
        doing: what is done; the message begins with it.
    """
    try:
        yield
    except BaseException as error:  # SystemExit too: a plugin must not end the program
        if passes(error):
            raise
        raise PluginError(f"{doing}{': ' if doing else ''}{describe(error, package)}") from error


def passes(error: BaseException) -> bool:
    """Whether an error is not the plugin's: Ctrl-C, a message for the user, a closed pipe."""
    return isinstance(error, KeyboardInterrupt | GeneratorExit | SftframeError | BrokenPipeError)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: CUDA has its own error class, other allocators raise a RuntimeError."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or any(word in str(error) for word in words))
    )


def describe(error: BaseException, package: str) -> str:
    """An exception as one line: its class, the first line of its message, and its place in the plugin.

    >>> describe(ValueError("no such size: 7"), "acme")
    'ValueError: no such size: 7'
    """
    message = str(error).strip().partition("\n")[0]
    place = _place(error, package)
    return type(error).__name__ + (f": {message}" if message else "") + (f" ({place})" if place else "")


def _place(error: BaseException, package: str) -> str:
    """`file:line` of the innermost frame that belongs to the plugin, else of the innermost one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    places = [
        (frame.f_globals.get("__name__", "").partition(".")[0], f"{frame.f_code.co_filename}:{line}")
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for top, place in places if top == package]
    beyond = [place for top, place in places if top != __name__.partition(".")[0]]
    return next(reversed(own or beyond), "")
