"""The transport of every HTTP client: finds the route, refuses redirects to other servers, and limits replies."""

from __future__ import annotations

import ssl
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future

import httpx

from sftframe.network.routes import SCHEMES, NetworkError, Redirects, Route, TooLargeError, find_route

_CHUNK_BYTES = 65_536
"""How much is unpacked at a time: a megabyte of zeros is a kilobyte on the wire."""

_KEEPS_THE_BODY = (307, 308)
"""With other redirects a POST becomes a GET (RFC 9110, 15.4), and its body is lost."""

_NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)
"""The caller limits the number of calls at a time."""


class GuardedTransport(httpx.BaseTransport):
    """Sends requests directly or through the environment's proxy. Safe with several threads.

    Args:
        max_bytes: the longest reply, after it is unpacked; None = no limit.
        redirects: which redirects the client gets to see.
    """

    def __init__(self, *, max_bytes: int | None, redirects: Redirects) -> None:
        self._max_bytes = max_bytes
        self._redirects = redirects
        self._transports: dict[tuple[str | None, bool], httpx.HTTPTransport] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The server's reply; its body is read later, under the limit.

        Raises:
            NetworkError: a redirect or a proxy that is refused.
        """
        route = find_route(str(request.url))
        if self._max_bytes is not None:
            request.headers["Accept-Encoding"] = "identity"  # some servers pack anyway; that is unpacked with a limit
        transport = self._transport(route, is_secure=request.url.scheme == "https")
        try:
            if (route.proxy or "").startswith("socks"):
                response = _in_time(transport, request)
            else:
                response = transport.handle_request(request)
        except httpx.TransportError as error:
            if route.proxy is None:
                raise
            raise type(error)(f"{error}{route}") from error
        try:
            self._check_redirect(request, response)
            return response if self._max_bytes is None else _limited(request, response, self._max_bytes)
        except BaseException:
            response.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()

    def _transport(self, route: Route, *, is_secure: bool) -> httpx.HTTPTransport:
        if route.problem:
            raise NetworkError(
                f"{route.variable} names a proxy that cannot be used: {route.problem}; expected something like "
                f"http://proxy.example:3128 (schemes: {', '.join(SCHEMES)}): correct it, unset it, or put the server's "
                "name into NO_PROXY"
            )
        key = (route.proxy, is_secure)
        with self._lock:
            if key not in self._transports:
                self._transports[key] = _make_transport(route, is_secure=is_secure)
            return self._transports[key]

    def _check_redirect(self, request: httpx.Request, response: httpx.Response) -> None:
        if not response.has_redirect_location:
            return
        here = _origin(request.url)
        try:
            target = request.url.join(response.headers["location"])
            there = _origin(target)
        except (httpx.InvalidURL, ValueError):
            raise NetworkError(
                f"{here} redirects to something that is not an address (HTTP {response.status_code})"
            ) from None
        if self._redirects == "downloads":
            if (request.url.scheme, target.scheme) == ("https", "http"):
                raise NetworkError(f"{here} redirects to {there}, which is not encrypted: refused")
        elif here != there:
            raise NetworkError(
                f"{here} redirects to another server, {there}: refused, since that server would get the data meant for "
                "the first; if it is the right one, set its address"
            )
        elif request.method == "POST" and response.status_code not in _KEEPS_THE_BODY:
            raise NetworkError(
                f"{request.url.copy_with(query=None)} redirects to {target.copy_with(query=None)} in a way that loses "
                f"the question (HTTP {response.status_code}): set that address"
            )


def _origin(url: httpx.URL) -> str:
    """Scheme, host and port.

    >>> _origin(httpx.URL("HTTPS://user:word@Example.org:443/v1?q=1")), _origin(httpx.URL("http://[::1]:80"))
    ('https://example.org', 'http://[::1]')
    """
    return str(httpx.URL(scheme=url.scheme, host=url.host, port=url.port))  # httpx drops the scheme's default port


def _make_transport(route: Route, *, is_secure: bool) -> httpx.HTTPTransport:
    is_needed = is_secure or (route.proxy or "").startswith("https:")
    try:
        # without TLS no certificates are needed, and reading them takes 20 ms
        context = httpx.create_ssl_context() if is_needed else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    except (OSError, ValueError) as error:
        raise NetworkError(
            f"the certificates cannot be read ({error}): SSL_CERT_FILE and SSL_CERT_DIR say where they are; correct "
            "or unset these variables"
        ) from error
    try:
        of_proxy = context if (route.proxy or "").startswith("https:") else None
        proxy = httpx.Proxy(route.proxy, ssl_context=of_proxy) if route.proxy is not None else None
        return httpx.HTTPTransport(verify=context, proxy=proxy, limits=_NO_LIMITS)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise NetworkError(f"{route.variable} names a proxy that cannot be used: {type(error).__name__}") from None


def _in_time(transport: httpx.BaseTransport, request: httpx.Request) -> httpx.Response:
    """The reply through a SOCKS proxy, within all timeouts: httpcore has no timeout for the proxy's greeting.

    Raises:
        httpx.ConnectTimeout: the proxy is silent. The call continues in a daemon thread, and its result is dropped.
        httpx.ProxyError: the proxy does not speak SOCKS.
    """
    from socksio.exceptions import SOCKSError

    limits = request.extensions.get("timeout", {})
    future: Future[httpx.Response] = Future()

    def call() -> None:
        try:
            future.set_result(transport.handle_request(request))
        except BaseException as error:  # raised again in the waiting thread
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    try:
        return future.result(sum(limit for limit in limits.values() if limit is not None) or None)
    except TimeoutError:
        raise httpx.ConnectTimeout("the proxy is silent") from None
    except SOCKSError as error:
        raise httpx.ProxyError(f"the proxy does not speak SOCKS: {error}") from None


def _limited(request: httpx.Request, response: httpx.Response, max_bytes: int) -> httpx.Response:
    """The same reply, unpacked; reading its body past the limit is an error."""
    headers = response.headers.copy()
    packing = headers.pop("content-encoding", "identity").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise NetworkError(f"{_origin(request.url)} packs its reply as {packing[:20]!r}, which was not asked for")
    is_packed = packing not in ("", "identity")
    if is_packed:
        headers.pop("content-length", None)
    stream = response.stream
    assert isinstance(stream, httpx.SyncByteStream)
    limited = _LimitedStream(stream, _origin(request.url), max_bytes, is_packed=is_packed)
    return httpx.Response(response.status_code, headers=headers, stream=limited, extensions=response.extensions)


class _LimitedStream(httpx.SyncByteStream):
    """A body that is read piece by piece, up to the limit."""

    def __init__(self, stream: httpx.SyncByteStream, where: str, max_bytes: int, *, is_packed: bool) -> None:
        self._stream = stream
        self._where = where
        self._max_bytes = max_bytes
        self._is_packed = is_packed

    def __iter__(self) -> Iterator[bytes]:
        num_bytes = 0
        for piece in _unpacked(self._stream, self._where) if self._is_packed else self._stream:
            num_bytes += len(piece)
            if num_bytes > self._max_bytes:
                raise TooLargeError(
                    f"{self._where} sent a reply of more than {self._max_bytes / 1e6:g} MB: stopped reading"
                )
            yield piece

    def close(self) -> None:
        self._stream.close()


def _unpacked(stream: httpx.SyncByteStream, where: str) -> Iterator[bytes]:
    """gzip or zlib, in pieces of limited size."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: tells the two apart by their header
    try:
        for chunk in stream:
            left = chunk
            while left:
                yield unpacker.decompress(left, _CHUNK_BYTES)
                left = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error as error:
        raise httpx.DecodingError(f"{where} sent a packed reply that is damaged: {error}") from error
