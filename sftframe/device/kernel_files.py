"""Reads Linux's files under /proc and /sys; on other systems they are empty."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """The text of a file, or an empty text if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
