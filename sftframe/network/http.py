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

import ipaddress
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from sftframe.errors import SftframeError

if TYPE_CHECKING:
    import httpx


SCHEMES = ("http", "https", "socks5", "socks5h")
"""Schemes of proxies that can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How to reach a server."""

    proxy: str | None
    """The proxy's URL, which may contain a password; None = direct."""
    variable: str = ""
    """The environment variable that names the proxy, or words for the system's settings."""
    problem: str = ""
    """Why the proxy cannot be used; empty = it can. Never repeats the proxy's URL."""

    def __str__(self) -> str:
        """Words to put after a server's name; empty for a direct connection.

        >>> f"no connection to http://a.example{Route(proxy='http://b.example:3128', variable='HTTP_PROXY')}"
        'no connection to http://a.example (through the proxy that HTTP_PROXY names)'
        """
        return f" (through the proxy that {self.variable} names)" if self.proxy is not None else ""


_STRAIGHT = Route(proxy=None)


def find_route(url: str) -> Route:
    """The way to a server.

    Args:
        url: an address of the server; with a scheme, `http` or `https`.
    """
    from urllib.request import getproxies, proxy_bypass

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _STRAIGHT  # no address: the client will say so
    proxies = getproxies()
    kind = next((kind for kind in (parts.scheme, "all") if proxies.get(kind)), None)
    if kind is None or is_this_machine(host) or _is_excepted(host, port, proxies.get("no", "")) or proxy_bypass(host):
        return _STRAIGHT
    found = proxies[kind].strip()
    proxy = found if "://" in found else f"http://{found}"
    names = [name for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY") if os.environ.get(name)]
    return Route(proxy=proxy, variable=names[0] if names else "the system", problem=_problem(proxy))


def is_this_machine(host: str) -> bool:
    """Whether a host name means this machine.

    >>> [is_this_machine(host) for host in ("localhost", "127.0.3.1", "::1", "0.0.0.0", "example.org", "10.0.0.1")]
    [True, True, True, True, False, False]
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    """Whether `no_proxy` names the host: itself, a domain that it is in, its network (10.0.0.0/8), or `*`.

    Other entries are ignored.
    """
    return any(_is_meant(entry, host.lower().rstrip("."), port) for entry in _entries(exceptions))


def _entries(exceptions: str) -> Iterator[str]:
    for entry in exceptions.replace(" ", ",").lower().split(","):
        name = entry.rpartition("://")[2].rstrip("/").lstrip("*.") if entry != "*" else entry
        if name:
            yield name


def _is_meant(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal():
        if port != int(number):
            return False
        entry = name
    entry = entry.strip("[]")
    return host == entry or host.endswith(f".{entry}")


def _problem(proxy: str) -> str:
    try:
        parts = urlsplit(proxy)
        _ = parts.port
    except ValueError:
        return "it is not an address"
    if parts.scheme not in SCHEMES:
        return f"it begins with {parts.scheme[:20]!r}"
    return "" if parts.hostname else "it names no host"


MAX_REPLY_BYTES = 4_000_000
"""The longest reply that is read into memory. A list of a thousand models needs a quarter of it."""

Redirects = Literal["same-server", "downloads"]
"""Where a redirect may lead: to the same scheme, host and port; or, for public files, also to another host, but never
from https to http.
"""


class NetworkError(SftframeError):
    """A network request or reply that is refused; asking the same server again does not help."""


class TooLargeError(NetworkError):
    """A reply that is longer than the limit."""


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
