"""Work that must not reach any network, whatever a folder, an option or a plugin says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sftframe.errors import SftframeError

_REACHING = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")
"""What Python's sockets tell before they reach somebody: https://docs.python.org/3/library/audit_events.html"""


class OfflineError(SftframeError, OSError):
    """Something tried to reach a network in work that must not. To other libraries it is a connection that failed."""

    exit_code = 2


@dataclass(slots=True)
class _Guard:
    """An audit hook: it sees what every library does, in every thread, until the process ends."""

    at_work: list[str] = field(default_factory=list)
    """What must not reach a network now; nothing is refused while it is empty."""
    is_set: bool = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.at_work and event in _REACHING:
            address = arguments[1] if event.startswith(("socket.connect", "socket.send")) else arguments[0]
            if not isinstance(address, str | bytes) or event.endswith(("addrinfo", "byname")):  # else: of this machine
                raise OfflineError(f"{self.at_work[-1]} reaches no network, and something in it tried to ({address})")


_GUARD = _Guard()


@contextmanager
def no_network(what: str) -> Iterator[None]:
    """Refuse every connection that this process begins in the block, by whichever plugin or library.

    Args:
        what: the work, for the message.

    Raises:
        OfflineError: in whatever tries to connect.
    """
    if not _GUARD.is_set:
        sys.addaudithook(_GUARD)
        _GUARD.is_set = True
    _GUARD.at_work.append(what)
    try:
        yield
    finally:
        _GUARD.at_work.remove(what)


def is_offline() -> bool:
    """Whether this is work that must not reach a network."""
    return bool(_GUARD.at_work)
