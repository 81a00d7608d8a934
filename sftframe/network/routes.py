"""Ways to a server: directly or through a proxy, and what is refused on the way.

The rules for proxies are those of curl: `https_proxy`, `http_proxy` and `all_proxy` in either case, and the exceptions
of `no_proxy`. Connections to servers on this machine are always direct.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from sftframe.errors import SftframeError

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
