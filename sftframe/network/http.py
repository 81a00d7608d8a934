"""Makes all HTTP clients, with the limits that they keep.

All code that talks to a server uses `http_client`, or `http_transport` where a library makes the client. Both read
proxies and certificates from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`).
Both refuse three things with a `NetworkError`:

- a redirect to another server: data for one server must not reach another;
- a reply that is larger than its reader expects, counted after it is unpacked;
- a proxy that the environment names and that cannot be used.

httpx is imported on first use.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sftframe.network.routes import MAX_REPLY_BYTES, NetworkError, Redirects, find_route

if TYPE_CHECKING:
    import httpx


def http_transport(
    *, max_bytes: int | None = MAX_REPLY_BYTES, redirects: Redirects = "same-server"
) -> httpx.BaseTransport:
    """A transport for a client.

    Args:
        max_bytes: the longest reply, after it is unpacked; None for a caller that counts itself.
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
    """A client; the caller closes it. It follows the redirects that `http_transport` allows.

    Args:
        timeout_s: the longest time without data from the server.
        connect_s: the longest wait for a connection.
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
    """Why a server does not answer; None = it answers, even with an error.

    It sends one request and follows no redirect. A name lookup can take longer than a client's timeouts, so a separate
    clock ends the wait.
    """
    outcome: list[str | None] = []
    asking = threading.Thread(target=lambda: outcome.append(_fault(url, timeout_s)), daemon=True)
    asking.start()
    asking.join(2 * timeout_s)
    return outcome[0] if outcome else f"no answer within {2 * timeout_s:g} s{find_route(url)}"


def _fault(url: str, timeout_s: float) -> str | None:
    import httpx

    try:
        with http_client(timeout_s=timeout_s, redirects="downloads") as client:  # a redirect is an answer too
            client.head(url, follow_redirects=False)
    except NetworkError as error:
        return str(error)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        return str(error) or type(error).__name__
    return None
