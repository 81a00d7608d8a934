"""Line editing and history for `sftframe chat`, if Python has `readline`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_LINES = 1000
"""Typed lines that are kept; the oldest are dropped."""


def history_path() -> Path:
    """The file of typed lines between chats, in the user's state folder."""
    import platformdirs

    return platformdirs.user_state_path("sftframe", appauthor=False) / "chat-history"


@contextmanager
def line_editing(history: Path | None) -> Iterator[None]:
    """Let `input` edit its line and show earlier ones again.

    Args:
        history: the file of earlier chats' lines, which gets this chat's lines too; None = keep nothing.
    """
    try:
        import readline
    except ImportError:  # as on Windows
        yield
        return
    if os.environ.get("TERM", "dumb") != "dumb":
        readline.parse_and_bind("set enable-bracketed-paste on")  # lines that are pasted together are one entry
    if history is not None:
        with suppress(OSError):
            readline.read_history_file(history)
    readline.set_history_length(MAX_LINES)
    try:
        yield
    finally:
        # a history that cannot be written must not end the chat
        if history is not None:
            with suppress(OSError):
                history.parent.mkdir(parents=True, exist_ok=True)
                readline.write_history_file(history)
                history.chmod(0o600)


def cleared_line() -> str:
    """The text of the line that Ctrl-C has just cleared."""
    try:
        import readline
    except ImportError:
        return ""
    return readline.get_line_buffer()
