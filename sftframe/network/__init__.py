"""The network: the one place that makes HTTP clients, and what they refuse to do.

Whoever talks to a server asks here for a client (`http_client`), or for a transport where a library makes the client
(`http_transport`). Both take proxies and certificates from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`,
`NO_PROXY`, `SSL_CERT_FILE`), and both refuse three things with a `NetworkError`:

- a redirect to another server: what was meant for one server must not reach another;
- a reply that is larger than its reader expects, counted after it is unpacked;
- a proxy that the environment names and that cannot be used.

httpx is imported on first use.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from sftframe.errors import SftframeError
from sftframe.network.routes import Route, find_route

if TYPE_CHECKING:
    import httpx

__all__ = [
    "MAX_REPLY_BYTES",
    "NetworkError",
    "Redirects",
    "Route",
    "TooLargeError",
    "find_route",
    "http_client",
    "http_transport",
    "why_unreachable",
]

MAX_REPLY_BYTES = 4_000_000
"""The longest reply of a server that is read into memory. A list of a thousand models has a quarter of it."""

Redirects = Literal["same-server", "downloads"]
"""Where a redirect may lead: to the same scheme, host and port; or, for files that anybody may have, also to another
host, but never from https to http."""


class NetworkError(SftframeError):
    """Something that is refused on the network; asking the same server again does not help."""


class TooLargeError(NetworkError):
    """A reply that is longer than any that could be meant."""


def http_transport(
    *, max_bytes: int | None = MAX_REPLY_BYTES, redirects: Redirects = "same-server"
) -> httpx.BaseTransport:
    """What carries the requests of a client.

    Args:
        max_bytes: the longest reply, after it is unpacked; None for a caller that counts for itself.
        redirects: which redirects the client may follow.
    """
    from sftframe.network.transport import GuardedTransport

    return GuardedTransport(max_bytes=max_bytes, redirects=redirects)


def http_client(
    *,
    timeout_s: float,
    connect_s: float = 10.0,
    max_bytes: int | None = MAX_REPLY_BYTES,
    redirects: Redirects = "same-server",
) -> httpx.Client:
    """A client, to be closed by the caller. Redirects that `http_transport` allows are followed.

    Args:
        timeout_s: the longest silence of the server.
        connect_s: a server that is there accepts a connection within this time.
        max_bytes: as in `http_transport`.
        redirects: as in `http_transport`.
    """
    import httpx

    return httpx.Client(
        transport=http_transport(max_bytes=max_bytes, redirects=redirects),
        timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, connect_s)),
        follow_redirects=True,
        max_redirects=10,
    )


def why_unreachable(url: str, *, timeout_s: float = 5.0) -> str | None:
    """Why a server does not answer; None = it answers, whatever it says.

    One request, without a redirect being followed. To look up a name can take longer than any timeout of a client, so
    a clock beside it ends the wait.
    """
    outcome: list[str | None] = []
    asking = threading.Thread(target=lambda: outcome.append(_fault(url, timeout_s)), daemon=True)
    asking.start()
    asking.join(2 * timeout_s)
    return outcome[0] if outcome else f"no answer within {2 * timeout_s:g} s{find_route(url)}"


def _fault(url: str, timeout_s: float) -> str | None:
    import httpx

    try:
        with http_client(timeout_s=timeout_s, redirects="downloads") as client:  # to redirect is to answer
            client.head(url, follow_redirects=False)
    except NetworkError as error:
        return str(error)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        return str(error) or type(error).__name__
    return None
