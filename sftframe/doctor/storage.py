"""Checks the folders of runs and downloads: whether they can be written, their free space, and their files."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sftframe.doctor.findings import Finding, gib

ENOUGH_BYTES = 100 * 2**20
"""Space for a run of the bundled model, which needs a third of it."""
PLENTY_BYTES = 10 * 2**30
"""Space for a run of the published sizes: model and checkpoints of 355M parameters take 10 GiB."""

_LONGEST_LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder, which may not exist yet."""

    path: Path
    error: str
    """Why nothing can be written there; empty = it can be written."""
    free_bytes: int
    used_bytes: int = 0
    is_counted: bool = True
    """Whether all files were counted; False = there were too many."""
    unfinished: int = 0
    """Number of unfinished downloads."""


def look_at_runs(folder: Path | None = None) -> Place:
    """The folder of new runs, by default the current one."""
    path = Path.cwd() if folder is None else folder
    return Place(path=path, error=_why_not_writable(path), free_bytes=_free_bytes(path))


def look_at_cache(path: Path) -> Place:
    """A folder of downloads and its files."""
    used, unfinished, is_counted = _contents(path)
    return Place(
        path=path,
        error=_why_not_writable(path),
        free_bytes=_free_bytes(path),
        used_bytes=used,
        is_counted=is_counted,
        unfinished=unfinished,
    )


def check_runs(place: Place) -> Iterator[Finding]:
    """Findings on whether a run can be written, and how large its model may be."""
    found = f"runs would be made in {place.path}, {gib(place.free_bytes)} free"
    if place.error:
        advice = "go to a folder of your own, or name one with --out"
        yield Finding(topic="disk", status="problem", found=f"{found}; {place.error}", advice=advice)
    elif place.free_bytes < ENOUGH_BYTES:
        advice = f"make room: the smallest run takes {gib(ENOUGH_BYTES)}; or name another disk with --out"
        yield Finding(topic="disk", status="problem", found=found, advice=advice)
    elif place.free_bytes < PLENTY_BYTES:
        advice = "keep fewer checkpoints with --set train.keep_checkpoints=1, or name another disk with --out"
        yield Finding(topic="disk", status="note", found=f"{found}: little for larger models", advice=advice)
    else:
        yield Finding(topic="disk", found=found)


def check_cache(place: Place, variable: str) -> Iterator[Finding]:
    """Findings on whether downloads and verdicts can be kept.

    Args:
        variable: the environment variable that sets this cache's folder.
    """
    used = f"{gib(place.used_bytes)} used" if place.is_counted else f"over {gib(place.used_bytes)} used"
    found = f"{place.path}, {used}, {gib(place.free_bytes)} free"
    if place.error:
        advice = f"name a folder of your own with {variable}; until then no download can be kept"
        yield Finding(topic="cache", status="note", found=f"{found}; {place.error}", advice=advice)
    elif place.free_bytes < PLENTY_BYTES / 2:
        advice = f"make room there, or move the cache with {variable}"
        yield Finding(
            topic="cache", status="note", found=f"{found}: little for the weights of larger models", advice=advice
        )
    else:
        yield Finding(topic="cache", found=found)
    if place.unfinished:
        count = f"{place.unfinished} unfinished download{'s' * (place.unfinished != 1)}"
        advice = "nothing: they continue when a run needs them again; or delete the files *.part"
        yield Finding(topic="cache", found=f"{count} in {place.path}", advice=advice)


def _why_not_writable(path: Path) -> str:
    """Why nothing can be written in the folder or the nearest one above. It writes, since a full disk can look fine."""
    existing = _existing(path)
    try:
        with tempfile.TemporaryFile(dir=existing):
            return ""
    except OSError as error:
        return f"nothing can be written there ({error.strerror or error})"


def _free_bytes(path: Path) -> int:
    try:
        return shutil.disk_usage(_existing(path)).free
    except OSError:
        return 0


def _existing(path: Path) -> Path:
    return next((folder for folder in (path, *path.parents) if folder.exists()), path)


def _contents(path: Path) -> tuple[int, int, bool]:
    """Bytes, number of unfinished downloads, and whether everything was counted in time."""
    end = time.monotonic() + _LONGEST_LOOK_S
    used = unfinished = 0
    for folder, _, files in os.walk(path):
        if time.monotonic() > end:
            return used, unfinished, False
        for name in files:
            unfinished += name.endswith(".part")
            try:
                used += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  a cache may hold very many files
            except OSError:
                continue
    return used, unfinished, True
