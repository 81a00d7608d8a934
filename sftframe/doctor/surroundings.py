"""Checks of disk, caches, network, servers and terminal."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sftframe.doctor.hardware import Finding
from sftframe.files import free_bytes, nearest_folder
from sftframe.formatting import memory_size

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
    found = f"runs would be made in {place.path}, {memory_size(place.free_bytes)} free"
    if place.error:
        advice = "go to a folder of your own, or name one with --out"
        yield Finding(topic="disk", status="problem", found=f"{found}; {place.error}", advice=advice)
    elif place.free_bytes < ENOUGH_BYTES:
        advice = f"make room: the smallest run takes {memory_size(ENOUGH_BYTES)}; or name another disk with --out"
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
    used = f"{memory_size(place.used_bytes)} used" if place.is_counted else f"over {memory_size(place.used_bytes)} used"
    found = f"{place.path}, {used}, {memory_size(place.free_bytes)} free"
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
    try:
        with tempfile.TemporaryFile(dir=nearest_folder(path)):
            return ""
    except OSError as error:
        return f"nothing can be written there ({error.strerror or error})"


def _free_bytes(path: Path) -> int:
    try:
        return free_bytes(path)
    except OSError:
        return 0


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


DEFAULT_ENDPOINT = "https://huggingface.co"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_ON = ("1", "true", "yes", "on")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_CONNECT_S = 3.0
_SIGNS = "✓–·…│"
"""The characters of our output that are not ASCII."""


@dataclass(slots=True, kw_only=True)
class Network:
    """Facts about the connection to the server of weights."""

    endpoint: str
    offline: str = ""
    """The variable that forbids the network; empty = none."""
    proxies: Sequence[str] = ()
    """The variables that name a proxy."""
    is_asked: bool = False
    error: str | None = None
    """Why it cannot be reached; None = it can, or it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """The stream of output."""

    is_terminal: bool
    encoding: str
    columns: int
    kind: str
    """`TERM`."""


class NetworkProbe:
    """Asks the server of weights once, from now on."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._started = time.monotonic()
        self._network = Network(
            endpoint=environment.get("HF_ENDPOINT") or DEFAULT_ENDPOINT,
            offline=next((name for name in _OFFLINE if environment.get(name, "").strip().lower() in _ON), ""),
            proxies=[name for name in _PROXIES if environment.get(name)],
        )
        # a daemon thread: looking up a name can take longer than we wait
        self._thread = threading.Thread(target=_reach, args=(self._network,), daemon=True)
        if not self._network.offline:
            self._thread.start()

    def collect(self, patience_s: float) -> Network:
        """The facts, at most this many seconds after the question."""
        if self._network.offline:
            return self._network
        self._thread.join(max(0.0, self._started + patience_s - time.monotonic()))
        return self._network


def check_network(network: Network) -> Iterator[Finding]:
    """Findings on whether weights can be downloaded, and what to do without a network."""
    without = "the bundled model and data need no network; for others copy a folder of weights here and name it with "
    without += "--set model.weights=FOLDER, and give your own file with --data"
    proxied = f" through {network.proxies[0]}" if network.proxies else ""
    if network.offline:
        advice = f"if you did not intend this, unset it; {without}"
        yield Finding(topic="network", found=f"switched off by {network.offline}", advice=advice)
    elif not network.is_asked:
        found = f"no answer from {network.endpoint}{proxied} in time"
        yield Finding(topic="network", status="note", found=found, advice=without)
    elif network.error is not None:
        proxy_hint = "" if network.proxies else "; behind a proxy, set HTTPS_PROXY"
        yield Finding(
            topic="network",
            status="note",
            found=f"{network.endpoint} cannot be reached{proxied}: {network.error}",
            advice=f"{without}{proxy_hint}",
        )
    else:
        yield Finding(topic="network", found=f"{network.endpoint} answers{proxied}")


def look_at_terminal(stdout: TextIO) -> Terminal:
    """Facts about the stream of results."""
    return Terminal(
        is_terminal=stdout.isatty(),
        encoding=(stdout.encoding or "ascii").lower(),
        columns=shutil.get_terminal_size().columns,
        kind=os.environ.get("TERM", ""),
    )


def check_terminal(terminal: Terminal) -> Iterator[Finding]:
    """Findings on whether it can show the output."""
    where = f"{terminal.columns} columns" if terminal.is_terminal else "output is not a terminal"
    found = f"{where}, {terminal.encoding}" + (f", TERM={terminal.kind}" if terminal.kind else "")
    if not _can_show(terminal.encoding):
        advice = "set PYTHONUTF8=1, and a UTF-8 locale such as LANG=C.UTF-8"
        yield Finding(topic="terminal", status="note", found=f"{found}: some characters cannot be shown", advice=advice)
    elif terminal.is_terminal and terminal.columns < 60:
        advice = "make it 80 columns wide, or use --json"
        yield Finding(topic="terminal", status="note", found=f"{found}: too narrow for the tables", advice=advice)
    else:
        yield Finding(topic="terminal", found=found)


def _can_show(encoding: str) -> bool:
    try:
        _SIGNS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _reach(network: Network) -> None:
    from sftframe.network.http import why_unreachable

    network.error = why_unreachable(network.endpoint, timeout_s=_CONNECT_S)
    network.is_asked = True
