"""Clients against servers on this machine that redirect, pack and never end."""

import gzip
import os
import socket
import threading
import tracemalloc
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from sftframe.network.http import http_client, why_unreachable
from sftframe.network.routes import NetworkError, TooLargeError


class Server:
    """Answers every request by `act`, and keeps what was asked."""

    def __init__(self):
        self.asked = []
        self.act = lambda handler: handler.answer(200, b"fine")
        served = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                served.asked.append((self.command, self.path, body, dict(self.headers)))
                try:
                    served.act(self)
                except ConnectionError:
                    self.close_connection = True

            def do_POST(self):
                self.do_GET()

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def start(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    servers = []

    def make():
        servers.append(Server())
        return servers[-1]

    yield make
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture
def server(start):
    return start()


@pytest.fixture
def client():
    with http_client(timeout_s=10, max_bytes=100_000) as made:
        yield made


def redirecting(status, target):
    return lambda handler: handler.answer(status, b"", Location=target)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_to_another_port_is_refused_and_nothing_reaches_it(start, client, status, method):
    first, second = start(), start()
    first.act = redirecting(status, f"{second.url}/v1?secret=1")
    with pytest.raises(NetworkError, match=f"{first.url} redirects to another server, {second.url}: refused") as caught:
        client.request(method, f"{first.url}/v1", content=b"a question")
    assert second.asked == []
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "target",
    ["https://127.0.0.1:{port}/v1", "http://localhost:{port}/v1", "//example.invalid/v1", "http://127.0.0.1/v1"],
)
def test_another_scheme_host_or_port_is_another_server(server, client, target):
    server.act = redirecting(308, target.format(port=server.http.server_port))
    with pytest.raises(NetworkError, match="redirects to another server"):
        client.post(f"{server.url}/v1", content=b"a question")
    assert len(server.asked) == 1


@pytest.mark.parametrize("target", ["http://[::1", "http://a:b:c/"])
def test_a_redirect_to_no_address_is_refused(server, client, target):
    server.act = redirecting(307, target)
    with pytest.raises(NetworkError, match="redirects to something that is not an address"):
        client.post(server.url)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_on_the_same_server_carries_the_question(server, client, status):
    server.act = lambda handler: (
        handler.answer(status, Location="/v2/chat") if handler.path == "/v1/chat" else handler.answer(200, b"here")
    )
    assert client.post(f"{server.url}/v1/chat", content=b"a question").text == "here"
    assert [(method, path, body) for method, path, body, _ in server.asked] == [
        ("POST", "/v1/chat", b"a question"),
        ("POST", "/v2/chat", b"a question"),
    ]


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_lose_the_question_is_refused(server, client, status):
    server.act = redirecting(status, "/v2/chat")
    with pytest.raises(NetworkError, match=rf"/v1/chat redirects to {server.url}/v2/chat in a way that loses"):
        client.post(f"{server.url}/v1/chat", content=b"a question")
    assert len(server.asked) == 1


def test_what_asks_nothing_follows_any_redirect_on_the_same_server(server, client):
    server.act = lambda handler: (
        handler.answer(301, Location="/models") if handler.path == "/" else handler.answer(200, b"[]")
    )
    assert client.get(server.url).text == "[]"


def test_a_server_that_redirects_without_end_is_given_up(server, client):
    server.act = redirecting(307, "/again")
    with pytest.raises(httpx.TooManyRedirects):
        client.get(server.url)


def test_a_download_follows_to_another_host_without_the_key(start):
    first, second = start(), start()
    first.act = redirecting(302, f"{second.url}/file")
    address = first.url.replace("http://", "http://user:word@")
    with http_client(timeout_s=10, max_bytes=None, redirects="downloads") as client:
        assert client.get(f"{address}/file").text == "fine"
    assert "Authorization" in first.asked[0][3]
    assert "Authorization" not in second.asked[0][3]


def endless(handler, piece=b" " * 65536, **headers):
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    while True:
        handler.wfile.write(piece)


def test_a_reply_without_end_is_given_up_at_the_limit(server, client):
    server.act = endless
    with pytest.raises(TooLargeError, match=rf"{server.url} sent a reply of more than 0\.1 MB"):
        client.get(server.url)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_the_limit_holds_for_refusals_and_redirects_too(server, client, status):
    def act(handler):
        handler.send_response(status)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)

    server.act = act
    with pytest.raises(TooLargeError):
        client.get(server.url)


@pytest.mark.parametrize("packing", ["gzip", "deflate", "X-GZip"])
def test_a_small_reply_that_unpacks_to_a_huge_one_is_given_up_in_little_memory(server, client, packing):
    num_bytes = 100_000_000
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | (0 if packing == "deflate" else 16))
    body = b"".join(packer.compress(bytes(1_000_000)) for _ in range(num_bytes // 1_000_000)) + packer.flush()
    server.act = lambda handler: handler.answer(200, body, Content_Encoding=packing)
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            client.get(server.url)
        assert tracemalloc.get_traced_memory()[1] < num_bytes / 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("packing", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_reply_that_comes_packed_unasked_is_unpacked(server, client, packing, pack):
    content = os.urandom(40_000) + bytes(50_000)
    server.act = lambda handler: handler.answer(200, pack(content), Content_Encoding=packing)
    assert client.get(server.url).content == content
    assert server.asked[0][3]["Accept-Encoding"] == "identity"


def test_a_reply_packed_as_nobody_asked_is_refused(server, client):
    server.act = lambda handler: handler.answer(200, b"x", Content_Encoding="br")
    with pytest.raises(NetworkError, match="packs its reply as 'br'"):
        client.get(server.url)


def test_a_packed_reply_that_is_damaged_is_an_error_of_httpx(server, client):
    server.act = lambda handler: handler.answer(200, b"no gzip", Content_Encoding="gzip")
    with pytest.raises(httpx.DecodingError, match="damaged"):
        client.get(server.url)


def test_a_proxy_is_asked_for_servers_elsewhere_and_never_for_this_machine(start, client, monkeypatch):
    proxy, server = start(), start()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert client.get("http://models.invalid/v1").text == "fine"
    assert client.get(server.url).text == "fine"
    assert [path for _, path, _, _ in proxy.asked] == ["http://models.invalid/v1"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_proxy_that_is_not_there_is_named(client, monkeypatch, scheme):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen, so that every connection is refused
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(httpx.ConnectError, match=r"\(through the proxy that ALL_PROXY names\)"):
            client.get("http://models.invalid/v1")


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_proxy_that_is_silent_is_given_up_and_named(monkeypatch, scheme):
    with socket.socket() as silent, http_client(timeout_s=0.2) as client:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(httpx.TimeoutException, match=r"\(through the proxy that ALL_PROXY names\)"):
            client.get("http://models.invalid/v1")


def test_a_proxy_that_speaks_another_protocol_is_named(monkeypatch, client):
    with socket.socket() as odd:
        odd.bind(("127.0.0.1", 0))
        odd.listen()
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{odd.getsockname()[1]}")

        def answer():
            connection, _ = odd.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(httpx.TransportError, match=r"\(through the proxy that ALL_PROXY names\)"):
            client.get("http://models.invalid/v1")


def test_why_a_server_does_not_answer_is_told(server, monkeypatch):
    assert why_unreachable(server.url) is None
    server.act = redirecting(302, "http://elsewhere.invalid/")
    assert why_unreachable(server.url) is None
    server.act = lambda handler: handler.answer(503)
    assert why_unreachable(server.url) is None
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert "refused" in why_unreachable(f"http://127.0.0.1:{nobody.getsockname()[1]}")
    monkeypatch.setenv("ALL_PROXY", "socks4://127.0.0.1:1")
    assert "ALL_PROXY names a proxy that cannot be used" in why_unreachable("https://elsewhere.invalid")


@pytest.mark.parametrize("proxy", ["socks4://hidden.invalid:1", "nonsense://hidden.invalid", "http://hidden.invalid:x"])
def test_a_proxy_that_cannot_be_used_is_an_error_that_names_the_variable(client, monkeypatch, proxy):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(NetworkError, match="HTTPS_PROXY names a proxy that cannot be used") as caught:
        client.get("https://models.invalid/v1")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE"])
def test_certificates_that_are_not_there_are_named_and_keep_no_plain_server_away(
    server, client, monkeypatch, variable, tmp_path
):
    monkeypatch.setenv(variable, str(tmp_path / "missing.pem"))
    assert client.get(server.url).text == "fine"
    with pytest.raises(NetworkError, match=variable):
        client.get("https://127.0.0.1:1/")
