"""Downloads: whole, checked, resumed after a break, and kept.

Proxies and certificates are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`, see
`sftframe.network.http`). A redirect to another host is followed, since public files are spread over many hosts, but
never from https to http. A key in the address is not sent to the other host.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe.errors import SftframeError
from sftframe.files import free_bytes, sha256_of, sync_dir
from sftframe.formatting import file_size
from sftframe.network.http import http_client
from sftframe.network.routes import NetworkError, find_route

if TYPE_CHECKING:
    import httpx


OnBytes = Callable[[int, int | None], None]
"""Gets the bytes of a file so far, and their total if it is known."""

_MAX_PAUSE_S = 30.0
_NOTHING_MORE = 416  # "Range Not Satisfiable": there is no byte after those that we have
_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(SftframeError):
    """A file that cannot be downloaded, or is not the expected one."""

    exit_code = 5


def cache_dir() -> Path:
    """Where downloads are kept: `SFTFRAME_CACHE`, or the system's folder for a user's caches."""
    import platformdirs

    moved = os.environ.get("SFTFRAME_CACHE")
    return Path(moved).expanduser() if moved else Path(platformdirs.user_cache_dir("sftframe", appauthor=False))


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    max_bytes: int | None = None,
    on_bytes: OnBytes | None = None,
    timeout_s: float = 30,
    attempts: int = 4,
    sleep: Callable[[float], None] | None = None,
) -> Path:
    """Download `url` to the file `target`, unless the file is there already.

    The file grows as `NAME.part` and is renamed when it is whole and checked, so a `target` that exists is whole. A
    download that a broken connection or a killed process left is continued. Processes that want the same file wait for
    each other.

    Args:
        sha256: the file's expected hash, hexadecimal; a file that is there already is checked too.
        size: the file's expected size in bytes.
        max_bytes: the largest allowed size, if `size` is not known; a longer download is stopped.
        timeout_s: the longest wait for the server's next bytes.
        attempts: how often in a row to try without getting a single new byte.
        sleep: waits between attempts; `time.sleep` if it is not given.

    Raises:
        DownloadError: the download failed; the message says whether connection, server, content or disk is the cause.
    """
    from filelock import FileLock

    wanted = _Wanted(url=url, target=target, sha256=sha256, size=size, max_bytes=max_bytes)
    try:
        if wanted.is_there():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            # another process may have downloaded it while this one waited
            if not wanted.is_there():
                _download(wanted, on_bytes or (lambda done, total: None), timeout_s, attempts, sleep or time.sleep)
    except OSError as error:
        raise DownloadError(f"cannot write {target}: {error.strerror or error}") from error
    except DownloadError as error:
        wrong = wanted.mismatch(target) if target.is_file() else None
        if wrong is None:
            raise
        raise DownloadError(f"{error}; the file at {target} {wrong}") from error
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A wanted file, and how to recognise it."""

    url: str
    target: Path
    sha256: str | None
    size: int | None
    max_bytes: int | None

    @property
    def part(self) -> Path:
        """The part downloaded so far."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def etag_path(self) -> Path:
        """The server's name (ETag) for the version in `part`."""
        return self.target.with_name(f"{self.target.name}.part.etag")

    def is_there(self) -> bool:
        """Nothing is left to do: the target exists and is the right file."""
        return self.target.is_file() and self.mismatch(self.target) is None

    def mismatch(self, path: Path) -> str | None:
        """What is wrong with a file that should be this one; None = nothing."""
        num_bytes = path.stat().st_size
        if self.size is not None and num_bytes != self.size:
            return f"has {num_bytes} bytes, expected {self.size}"
        if self.sha256 is not None:
            found = sha256_of(path)
            if found != self.sha256.lower():
                return f"has SHA-256 {found}, expected {self.sha256.lower()}"
        return None

    def num_kept(self) -> int:
        """Bytes of an earlier attempt that can be continued: only if a hash or an ETag will show a wrong join."""
        if not self.part.is_file() or (self.sha256 is None and not self.etag_path.is_file()):
            return 0
        return self.part.stat().st_size

    def discard(self) -> None:
        """Delete the part downloaded so far."""
        self.part.unlink(missing_ok=True)
        self.etag_path.unlink(missing_ok=True)


class _WorthRetryingError(Exception):
    """This attempt failed, the next one may succeed."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


def _download(
    wanted: _Wanted, on_bytes: OnBytes, timeout_s: float, attempts: int, sleep: Callable[[float], None]
) -> None:
    failed, furthest = 0, wanted.num_kept()
    with http_client(timeout_s=timeout_s, max_bytes=None, redirects="downloads") as client:
        while True:
            try:
                return _attempt(client, wanted, on_bytes)
            except _WorthRetryingError as error:
                reached = wanted.num_kept()
                failed = 1 if reached > furthest else failed + 1
                furthest = max(furthest, reached)
                if failed >= attempts:
                    raise DownloadError(f"{error} (tried {attempts} times)") from error
                sleep(min(_MAX_PAUSE_S, 0.25 * 2**failed if error.pause_s is None else error.pause_s))


def _attempt(client: httpx.Client, wanted: _Wanted, on_bytes: OnBytes) -> None:
    """One request, until the file is finished; the bytes before a break stay in `part`."""
    import httpx

    kept = wanted.num_kept()
    try:
        with client.stream("GET", wanted.url, headers=_headers(wanted, kept)) as response:
            start = _first_byte(response, wanted, kept)
            if response.status_code != _NOTHING_MORE:
                _receive(response, wanted, start, on_bytes)
    except NetworkError as error:
        raise DownloadError(f"cannot download {wanted.url!r}: {error}") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise DownloadError(f"cannot download {wanted.url!r}: {error}") from error
    except httpx.TimeoutException as error:
        raise _WorthRetryingError(f"no answer in time for {wanted.url}{find_route(wanted.url)}") from error
    except httpx.ConnectError as error:
        raise _WorthRetryingError(f"no connection for {wanted.url}: {error}") from error
    except httpx.HTTPError as error:
        raise _WorthRetryingError(f"the connection for {wanted.url} broke: {error}") from error
    _finish(wanted, is_resumed=start > 0)


def _headers(wanted: _Wanted, kept: int) -> dict[str, str]:
    # compressed bytes could not be counted or resumed
    headers = {"Accept-Encoding": "identity"}
    if kept:
        headers["Range"] = f"bytes={kept}-"
        if wanted.etag_path.is_file():
            headers["If-Range"] = wanted.etag_path.read_text(encoding="ascii")
    return headers


def _first_byte(response: httpx.Response, wanted: _Wanted, kept: int) -> int:
    """Which byte of the file the body begins with: 0, or `kept` if the server continues there."""
    span = response.headers.get("content-range", "")
    if response.status_code == _NOTHING_MORE and kept and span == f"bytes */{kept}":
        return kept
    if response.status_code == _NOTHING_MORE or (response.status_code == 206 and not span.startswith(f"bytes {kept}-")):
        wanted.discard()
        raise _WorthRetryingError(f"{wanted.url} cannot be resumed at byte {kept}")
    _check_status(response, wanted.url)
    return kept if response.status_code == 206 else 0


def _check_status(response: httpx.Response, url: str) -> None:
    status = f"{response.status_code} {response.reason_phrase}"
    if response.status_code in _WORTH_RETRYING:
        pause = response.headers.get("retry-after", "")
        raise _WorthRetryingError(f"{url}: the server says {status}", float(pause) if pause.isdecimal() else None)
    if not response.is_success:
        raise DownloadError(f"{url}: the server says {status}")


def _receive(response: httpx.Response, wanted: _Wanted, start: int, on_bytes: OnBytes) -> None:
    """Append the body to the `start` bytes that are there."""
    is_encoded = response.headers.get("content-encoding", "identity") != "identity"
    length = None if is_encoded else response.headers.get("content-length")
    total = wanted.size if length is None else start + int(length)
    if wanted.size is not None and total != wanted.size:
        raise DownloadError(f"{wanted.url} has {total} bytes, expected {wanted.size}: it is not the expected file")
    most = wanted.size if wanted.size is not None else wanted.max_bytes
    if most is not None and total is not None and total > most:
        raise _too_long(wanted, most)
    free = free_bytes(wanted.part.parent)
    if total is not None and total - start > free:
        raise DownloadError(
            f"not enough disk for {wanted.target}: {file_size(total - start)} are missing, {file_size(free)} are free"
        )
    if start == 0:
        wanted.discard()
        etag = response.headers.get("etag", "")
        if etag.isascii() and etag.startswith('"') and not is_encoded:
            wanted.etag_path.write_text(etag, encoding="ascii")
    done = start
    with wanted.part.open("r+b" if start else "wb") as file:
        file.seek(start)
        on_bytes(done, total)
        for chunk in response.iter_bytes() if is_encoded else response.iter_raw():
            done += len(chunk)
            if most is not None and done > most:
                break
            file.write(chunk)
            on_bytes(done, total)
        file.flush()
        os.fsync(file.fileno())
    if most is not None and done > most:
        raise _too_long(wanted, most)


def _too_long(wanted: _Wanted, most: int) -> DownloadError:
    wanted.discard()
    return DownloadError(f"{wanted.url} is longer than {most} bytes: it is not the expected file")


def _finish(wanted: _Wanted, *, is_resumed: bool) -> None:
    wrong = wanted.mismatch(wanted.part)
    if wrong is not None:
        wanted.discard()
        if is_resumed:
            raise _WorthRetryingError(f"{wanted.url} {wrong} after it was resumed")
        raise DownloadError(f"{wanted.url} {wrong}: it is damaged, or not the expected file")
    wanted.part.replace(wanted.target)
    sync_dir(wanted.target.parent)
    wanted.etag_path.unlink(missing_ok=True)
