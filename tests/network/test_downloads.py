"""`sftframe.network.downloads` against a real HTTP server on this machine that misbehaves as it is told."""

import gzip
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sftframe.errors import SftframeError
from sftframe.network.downloads import DownloadError, cache_dir, fetch

CONTENT = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Act = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each request by the next act of its plan, and properly when the plan is over."""

    def __init__(self) -> None:
        self.plan: list[Act] = []
        self.requests: list[dict[str, str]] = []
        self.closing = threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.requests.append({name.lower(): value for name, value in self.headers.items()})
                (served.plan.pop(0) if served.plan else proper())(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/model.bin"

    @property
    def ranges(self) -> list[str | None]:
        """The `Range` header of each request."""
        return [request.get("range") for request in self.requests]


def proper(content: bytes = CONTENT, etag: str | None = None, cut: int | None = None) -> Act:
    """Serve with ranges as RFC 9110 has them; `cut` = break the connection after so many bytes of the body."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        is_current = handler.headers.get("If-Range", etag) == etag
        start = int(asked[1]) if asked and is_current else 0
        if start >= len(content):
            return answer(handler, 416, b"", {"Content-Range": f"bytes */{len(content)}"})
        ranged = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        headers = {**ranged, **({"ETag": etag} if etag else {})}
        return answer(handler, 206 if start else 200, content[start:], headers, cut)

    return act


def without_ranges(cut: int | None = None) -> Act:
    return lambda handler: answer(handler, 200, CONTENT, {}, cut)


def status(code: int, **headers: str) -> Act:
    return lambda handler: answer(handler, code, b"no", {k.replace("_", "-"): v for k, v in headers.items()})


def silent(until: threading.Event) -> Act:
    def act(handler: BaseHTTPRequestHandler) -> None:
        until.wait()

    return act


def answer(
    handler: BaseHTTPRequestHandler, code: int, body: bytes, headers: dict[str, str], cut: int | None = None
) -> None:
    handler.send_response(code)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body[:cut])
    handler.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.closing.set()
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.bin"


@pytest.fixture
def pauses() -> list[float]:
    return []


def test_a_file_comes_whole_into_folders_that_are_made_and_leaves_no_part(server: Server, target: Path) -> None:
    assert fetch(server.url, target, sha256=SHA256) == target
    assert target.read_bytes() == CONTENT
    assert sorted(path.name for path in target.parent.iterdir()) == ["model.bin", "model.bin.lock"]


def test_progress_ends_with_all_bytes_of_the_total(server: Server, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(server.url, target, on_bytes=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 262144)
    assert seen[-1] == (262144, 262144)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_right_file_that_is_there_is_used_without_a_request(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    fetch(server.url, target, sha256=SHA256.upper(), size=262144)
    assert server.requests == []


@pytest.mark.parametrize(("sha256", "size"), [(SHA256, None), (None, 262144)], ids=["by hash", "by size"])
def test_a_wrong_file_that_is_there_is_replaced(
    server: Server, target: Path, sha256: str | None, size: int | None
) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1])
    fetch(server.url, target, sha256=sha256, size=size)
    assert target.read_bytes() == CONTENT


def test_a_wrong_file_that_cannot_be_replaced_stays_and_is_named(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"abc")
    server.plan = [status(404)]
    with pytest.raises(
        DownloadError, match=r"says 404 Not Found; the file at .*model\.bin has 3 bytes, expected 262144$"
    ):
        fetch(server.url, target, size=262144)
    assert target.read_bytes() == b"abc"


def test_a_cut_download_goes_on_where_it_was_cut(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [proper(cut=100_000), proper(cut=50_000)]
    fetch(server.url, target, sha256=SHA256, sleep=pauses.append)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_without_a_hash_it_goes_on_only_for_the_same_etag(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [proper(etag='"one"', cut=100_000), proper(etag='"one"')]
    fetch(server.url, target, sleep=pauses.append)
    assert target.read_bytes() == CONTENT
    assert server.requests[1]["if-range"] == '"one"'
    assert server.ranges == [None, "bytes=100000-"]


def test_a_file_that_changed_meanwhile_is_not_joined(server: Server, target: Path, pauses: list[float]) -> None:
    changed = CONTENT[::-1]
    server.plan = [proper(etag='"one"', cut=100_000), proper(changed, etag='"two"')]
    fetch(server.url, target, sleep=pauses.append)
    assert target.read_bytes() == changed


def test_without_hash_and_etag_a_cut_download_starts_over(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [proper(cut=100_000)]
    fetch(server.url, target, sleep=pauses.append)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_server_that_ignores_ranges_starts_over(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [without_ranges(cut=100_000), without_ranges()]
    fetch(server.url, target, sha256=SHA256, sleep=pauses.append)
    assert target.read_bytes() == CONTENT


def test_a_range_that_begins_elsewhere_is_not_joined(server: Server, target: Path, pauses: list[float]) -> None:
    elsewhere = {"Content-Range": "bytes 0-262143/262144"}
    server.plan = [proper(cut=100_000), lambda handler: answer(handler, 206, CONTENT, elsewhere)]
    fetch(server.url, target, sha256=SHA256, sleep=pauses.append)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", None]


def test_what_a_killed_process_left_is_gone_on_with(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("model.bin.part").write_bytes(CONTENT[:200_000])
    fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ["bytes=200000-"]


def test_a_part_that_is_whole_already_is_only_checked(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("model.bin.part").write_bytes(CONTENT)
    fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 1


@pytest.mark.parametrize("left", [b"x" * 100_000, b"x" * 300_000], ids=["shorter", "longer"])
def test_a_part_of_another_file_is_thrown_away(server: Server, target: Path, pauses: list[float], left: bytes) -> None:
    target.parent.mkdir()
    target.with_name("model.bin.part").write_bytes(left)
    fetch(server.url, target, sha256=SHA256, sleep=pauses.append)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(left)}-", None]


def test_wrong_bytes_are_refused_and_not_kept(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [proper(b"<html>log in</html>")]
    # begin of what `sha256sum` says of the 19 bytes
    with pytest.raises(
        DownloadError, match=r"model\.bin has SHA-256 9a6242c8973c[0-9a-f]{52}, expected [0-9a-f]{64}: it is damaged"
    ):
        fetch(server.url, target, sha256=SHA256, sleep=pauses.append)
    assert [path.name for path in target.parent.iterdir()] == ["model.bin.lock"]
    assert pauses == []


def test_a_wrong_size_is_refused_before_the_body_is_read(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match=r"has 262144 bytes, expected 5: it is not the expected file"):
        fetch(server.url, target, size=5)
    assert not target.exists()


@pytest.mark.parametrize("is_length_told", [True, False])
def test_a_file_that_is_longer_than_it_can_be_is_given_up_and_not_kept(
    server: Server, target: Path, pauses: list[float], is_length_told: bool
) -> None:
    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if is_length_told:
            handler.send_header("Content-Length", "1000000000")
        handler.end_headers()
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(bytes(65536))
        except ConnectionError:
            pass

    server.plan = [act]
    with pytest.raises(DownloadError, match="is longer than 500000 bytes"):
        fetch(server.url, target, max_bytes=500_000, sleep=pauses.append)
    assert (len(server.requests), pauses) == (1, [])
    assert not target.exists()
    assert not target.with_name("model.bin.part").exists()


@pytest.mark.parametrize("key", ["user:word@"])
def test_a_key_in_the_address_does_not_follow_a_redirect(
    server: Server, target: Path, pauses: list[float], key: str
) -> None:
    other = server.url.replace("127.0.0.1", "localhost")
    server.plan = [status(302, Location=other)]
    fetch(server.url.replace("http://", f"http://{key}"), target, sha256=SHA256, sleep=pauses.append)
    assert ["authorization" in request for request in server.requests] == [True, False]


def test_a_missing_file_is_not_asked_for_twice(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [status(404)]
    with pytest.raises(DownloadError, match=r"/model\.bin: the server says 404 Not Found$"):
        fetch(server.url, target, sleep=pauses.append)
    assert len(server.requests) == 1
    assert pauses == []


def test_an_overloaded_server_is_asked_again_after_longer_and_longer_pauses(
    server: Server, target: Path, pauses: list[float]
) -> None:
    server.plan = [status(500), status(503), status(429)]
    fetch(server.url, target, sleep=pauses.append)
    assert target.read_bytes() == CONTENT
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(("told", "waited"), [("7", 7.0), ("86400", 30.0), ("Fri, 31 Dec 2027 23:59:59 GMT", 0.5)])
def test_the_server_may_say_how_long_to_wait(
    server: Server, target: Path, pauses: list[float], told: str, waited: float
) -> None:
    server.plan = [status(429, Retry_After=told)]
    fetch(server.url, target, sleep=pauses.append)
    assert pauses == [waited]


def test_attempts_are_bounded(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [status(500)] * 9
    with pytest.raises(DownloadError, match=r"500 Internal Server Error \(tried 3 times\)$"):
        fetch(server.url, target, attempts=3, sleep=pauses.append)
    assert len(server.requests) == 3


def test_attempts_count_anew_when_one_got_further(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [proper(cut=40_000) for _ in range(6)]
    fetch(server.url, target, sha256=SHA256, attempts=2, sleep=pauses.append)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 7


def test_a_body_that_is_always_cut_at_the_same_place_is_given_up(
    server: Server, target: Path, pauses: list[float]
) -> None:
    server.plan = [without_ranges(cut=1000) for _ in range(9)]
    with pytest.raises(DownloadError, match=r"the connection for http://127\S+ broke: .*\(tried 2 times\)$"):
        fetch(server.url, target, sha256=SHA256, attempts=2, sleep=pauses.append)
    assert not target.exists()
    assert len(server.requests) == 2


def test_a_silent_server_is_given_up_after_the_timeout(server: Server, target: Path, pauses: list[float]) -> None:
    server.plan = [silent(server.closing)] * 2
    with pytest.raises(DownloadError, match=r"no answer in time for http://127\S+ \(tried 2 times\)$"):
        fetch(server.url, target, timeout_s=0.05, attempts=2, sleep=pauses.append)


def test_no_connection_is_said_so(target: Path, pauses: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/model.bin"
        with pytest.raises(DownloadError, match=rf"no connection for {url}: .*\(tried 4 times\)$"):
            fetch(url, target, sleep=pauses.append)
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("url", ["ftp://example.org/a", "no-url", "http://[::"])
def test_what_is_no_web_address_is_refused_at_once(target: Path, pauses: list[float], url: str) -> None:
    with pytest.raises(DownloadError, match="cannot download '"):
        fetch(url, target, sleep=pauses.append)
    assert pauses == []


def test_a_proxy_from_the_environment_is_used(
    server: Server, target: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/model.bin"))
    fetch("http://mirror.invalid/model.bin", target, sleep=pauses.append)
    assert server.requests[0]["host"] == "mirror.invalid"
    assert target.read_bytes() == CONTENT


def test_a_proxy_that_cannot_be_used_is_said_so(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1")
    with pytest.raises(DownloadError, match=r"http_proxy names a proxy that cannot be used: it begins with 'gopher'"):
        fetch("http://mirror.invalid/model.bin", target)


def test_redirects_are_followed(server: Server, target: Path) -> None:
    server.plan = [status(302, Location="/elsewhere.bin")]
    fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_body_that_comes_compressed_against_our_wish_is_unpacked(server: Server, target: Path) -> None:
    server.plan = [lambda handler: answer(handler, 200, gzip.compress(CONTENT), {"Content-Encoding": "gzip"})]
    fetch(server.url, target, sha256=SHA256, size=262144)
    assert target.read_bytes() == CONTENT
    assert server.requests[0]["accept-encoding"] == "identity"


def test_a_body_larger_than_the_disk_is_refused_before_it_is_read(server: Server, target: Path) -> None:
    server.plan = [lambda handler: answer(handler, 200, b"", {"Content-Length": str(10**18)})]
    with pytest.raises(
        DownloadError, match=r"not enough disk for .*model\.bin: 1000000000\.0 GB are missing, \d+\.\d [GM]B are free"
    ):
        fetch(server.url, target)
    assert not target.exists()


def test_a_place_that_cannot_be_written_is_said_so(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"cannot write .*file/model\.bin: (Not a directory|File exists)"):
        fetch(server.url, tmp_path / "file" / "model.bin")


def test_two_that_want_the_same_file_ask_for_it_once(server: Server, target: Path) -> None:
    both = threading.Barrier(2)

    def want() -> None:
        both.wait()
        fetch(server.url, target, sha256=SHA256)

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_an_interrupted_download_leaves_no_target_and_can_go_on(server: Server, target: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.url, target, sha256=SHA256, on_bytes=interrupt)
    assert not target.exists()
    fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.ranges[1] is not None


def test_the_cache_is_moved_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("SFTFRAME_CACHE")
    assert cache_dir().name.lower() in ("sftframe", "cache")


def test_a_download_error_is_one_that_a_user_can_mend() -> None:
    assert issubclass(DownloadError, SftframeError)
    assert DownloadError.exit_code == 5
