"""Checks the network and the terminal. A run of the bundled example needs neither."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from sftframe.doctor.findings import Finding

DEFAULT_ENDPOINT = "https://huggingface.co"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
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
            offline=next((name for name in _OFFLINE if _is_on(environment.get(name, ""))), ""),
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
        behind = "" if network.proxies else "; behind a proxy, set HTTPS_PROXY"
        yield Finding(
            topic="network",
            status="note",
            found=f"{network.endpoint} cannot be reached{proxied}: {network.error}",
            advice=f"{without}{behind}",
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


def _is_on(value: str) -> bool:
    return value.strip().lower() in ("1", "true", "yes", "on")


def _reach(network: Network) -> None:
    from sftframe.network import why_unreachable

    network.error = why_unreachable(network.endpoint, timeout_s=_CONNECT_S)
    network.is_asked = True
