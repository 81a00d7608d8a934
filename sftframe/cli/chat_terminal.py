"""Editing and recalling typed lines, where Python has `readline`; elsewhere `input` does without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_LINES = 1000
"""Typed lines that are kept, the newest."""


def history_path() -> Path:
    """Where typed lines are kept between chats: in the user's state folder."""
    import platformdirs

    return platformdirs.user_state_path("sftframe", appauthor=False) / "chat-history"


@contextmanager
def line_editing(history: Path | None) -> Iterator[None]:
    """Let `input` edit its line and recall earlier ones.

    Args:
        history: what was typed in earlier chats, to which this one's lines are added; None = keep nothing.
    """
    try:
        import readline
    except ImportError:  # as on Windows
        yield
        return
    if os.environ.get("TERM", "dumb") != "dumb":
        readline.parse_and_bind("set enable-bracketed-paste on")  # lines that are pasted at once are one entry
    if history is not None:
        with suppress(OSError):
            readline.read_history_file(history)
    readline.set_history_length(MAX_LINES)
    try:
        yield
    finally:
        # a chat is worth more than its history: where it cannot be written, it is not
        if history is not None:
            with suppress(OSError):
                history.parent.mkdir(parents=True, exist_ok=True)
                readline.write_history_file(history)
                history.chmod(0o600)


def cleared_line() -> str:
    """What stood in the line that Ctrl-C has just cleared."""
    try:
        import readline
    except ImportError:
        return ""
    return readline.get_line_buffer()
