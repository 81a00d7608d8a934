"""The files under /proc and /sys in which Linux tells of itself; empty elsewhere."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """What a file says, or nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
