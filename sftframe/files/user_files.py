"""Files that a user names: read so that nothing hangs or fills the memory, and wrong kinds are recognised.

A name may lead to anything: a pipe without a writer, a device without an end, a web page instead of a download.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path

MOST_TEXT = 16 * 2**20
"""Bytes of a file that people write by hand: settings, templates, vocabularies. The largest known take 10 MB."""
_OPEN_DESCRIPTORS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""Files that the shell has opened for the command, as `<(…)` does; they have a writer."""


def read_named_file(path: Path, *, most: int = MOST_TEXT) -> bytes:
    """The bytes of a file that a user or another file names.

    Args:
        most: bytes; a larger file is refused before it is read.

    Raises:
        OSError: it is missing, cannot be read, is no plain file, or is larger; `strerror` has the reason in words.
    """
    check_plain(path)
    # do not wait for a writer if the file has become a pipe meanwhile
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if _is_open_already(path):
            os.set_blocking(handle, True)
        else:
            _refuse_strange(os.fstat(handle).st_mode, path)
            _refuse_large(os.fstat(handle).st_size, most, path)
        content = file.read(most + 1)
    _refuse_large(len(content), most, path)
    return content


def sha256_of(path: Path) -> str:
    """SHA-256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_named_text(path: Path, *, most: int = MOST_TEXT) -> str:
    r"""The text of a file that a user or another file names: UTF-8 without its byte order mark, every line end as `\n`.

    Raises:
        OSError: as `read_named_file`; or the file is no text, and `strerror` says what it is.
        UnicodeDecodeError: it is not UTF-8.
    """
    data = read_named_file(path, most=most)
    what = content_kind(data)
    if what is not None:
        raise OSError(errno.EINVAL, f"it is {what}", str(path))
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def check_plain(path: Path) -> None:
    """Check that a name leads to a plain file, without opening it.

    Raises:
        OSError: it does not; `strerror` says what it is instead.
    """
    if not _is_open_already(path):
        _refuse_strange(path.stat().st_mode, path)


def _is_open_already(path: Path) -> bool:
    return path.as_posix().startswith(_OPEN_DESCRIPTORS)


def _refuse_strange(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, expected a file", str(path))
    tests = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    what = next((words for test, words in tests if test(mode)), "a device")
    raise OSError(errno.EINVAL, f"it is {what}, expected a plain file: write its content into a file", str(path))


def _refuse_large(size: int, most: int, path: Path) -> None:
    if size > most:
        found = f"{size:,} bytes" if size < 10 * 2**20 else f"{size / 2**20:,.0f} MB"
        limit = f"{most:,} bytes" if most < 10 * 2**20 else f"{most / 2**20:,.0f} MB"
        raise OSError(errno.EFBIG, f"it is too large: {found} or more, expected at most {limit}", str(path))


def path_hint(name: str) -> str:
    r"""Text to add to a message about a missing path, if TOML has read its backslashes as escapes.

    >>> path_hint("C:\new\train.json")
    "; it has control characters, as TOML reads \\n or \\t in double quotes: write the path in 'single quotes'"
    >>> path_hint("new/train.json")
    ''
    """
    if name.isprintable() or not any(ord(character) < 32 for character in name):
        return ""
    return "; it has control characters, as TOML reads \\n or \\t in double quotes: write the path in 'single quotes'"


def content_kind(data: bytes) -> str | None:
    """What a file is if it is no plain text, and what to do; None if it may be text or Parquet.

    >>> content_kind(b"%PDF-1.7 ...")
    'a PDF document: copy its text into a text file'
    >>> content_kind(b'{"instruction": "Add."}')
    """
    if data and not data.strip(b"\0"):
        return "nothing but zero bytes: the file is damaged, fetch or write it again"
    kind = next((words for start, words in _STARTS if data.startswith(start)), None)
    if kind is not None:
        return kind
    if data.startswith(b"PK\x03\x04"):
        return _zip_kind(data)
    if data[257:262] == b"ustar":
        return "a tar archive: unpack it, and name the file inside"
    if re.match(rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", data[:4096], re.IGNORECASE | re.DOTALL):
        return "an HTML page, not the file itself: download the raw file (the page may be a log-in or a preview)"
    return _wide_text(data)


_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself: fetch it with git lfs pull"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first (gunzip)"),
    (b"BZh", "compressed with bzip2: unpack it first (bunzip2)"),
    (b"\xfd7zXZ\0", "compressed with xz: unpack it first (unxz)"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first (unzstd)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it, and name the file inside"),
    (b"Rar!", "a RAR archive: unpack it, and name the file inside"),
    (b"%PDF-", "a PDF document: copy its text into a text file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an old Office (.xls, .doc): save it as CSV (UTF-8) or text"),
    (b"{\\rtf", "a rich-text document: save it as plain text"),
    (b"ARROW1", "an Arrow (Feather) file: save the table as Parquet"),
    (b"FEA1", "a Feather file: save the table as Parquet"),
    (b"SQLite format 3\0", "an SQLite database: save the table as CSV or JSON"),
    (b"\x89HDF\r\n", "an HDF5 file: save the table as Parquet or JSON"),
    (b"\x93NUMPY", "a NumPy array: save it as JSON"),
    (b"\x80\x02", "a Python pickle, which can run any code and is not read: save it as JSON or Parquet"),
    (b"\x80\x03", "a Python pickle, which can run any code and is not read: save it as JSON or Parquet"),
    (b"\x80\x04\x95", "a Python pickle, which can run any code and is not read: save it as JSON or Parquet"),
    (b"\x80\x05\x95", "a Python pickle, which can run any code and is not read: save it as JSON or Parquet"),
    (b"\x89PNG\r\n", "an image: the text in it has to be typed or recognised first"),
    (b"\xff\xd8\xff", "an image: the text in it has to be typed or recognised first"),
    (b"<?xml", "an XML document: convert it to JSON or CSV"),
)


def _zip_kind(data: bytes) -> str:
    """Office documents are zip archives; the names of their members show the kind."""
    if b"xl/workbook" in data or b"xl/worksheets" in data:
        return "an Excel workbook: save the sheet as CSV (UTF-8)"
    if b"opendocument.spreadsheet" in data[:200]:
        return "a LibreOffice spreadsheet: save the sheet as CSV (UTF-8)"
    if b"word/document" in data:
        return "a Word document: save it as plain text"
    if b"data.pkl" in data or b".npy" in data:
        return "a file of torch.save or numpy.savez, not text: save its content as JSON or Parquet"
    return "a zip archive: unpack it, and name the file inside"


def _wide_text(data: bytes) -> str | None:
    """UTF-16 or UTF-32, recognised by its mark, or by the zero bytes between the letters."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32 text: save the file as UTF-8"
    return None if wide_encoding(data) is None else "UTF-16 text: save the file as UTF-8"


def wide_encoding(data: bytes) -> str | None:
    """Python's name of UTF-16 text, recognised by its mark or the zero bytes between the letters; None if it is none.

    >>> wide_encoding("[1, 2, 3, 4]".encode("utf-16-le")), wide_encoding(b"[1, 2, 3, 4]")
    ('utf-16-le', None)
    """
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = data[:1000]
    num_even, num_odd = head[0::2].count(0), head[1::2].count(0)
    if len(head) < 8 or max(num_even, num_odd) <= 0.4 * len(head) or not data.strip(b"\0"):
        return None
    return "utf-16-be" if num_even > num_odd else "utf-16-le"
