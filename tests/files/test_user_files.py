"""Files that a user names: pipes, devices, sockets, folders and huge files are refused, and no content is misnamed."""

from __future__ import annotations

import gzip
import io
import os
import socket
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sftframe.errors import SftframeError
from sftframe.files import content_kind, read_named_file, read_named_text

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes, devices and sockets in folders")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)  # a socket's address is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**42)  # sparse: takes no room


STRANGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (make_pipe, "it is a named pipe, expected a plain file"),
    "device": (make_endless, "it is a device, expected a plain file"),
    "socket": (make_socket, "it is a socket, expected a plain file"),
    "folder": (Path.mkdir, "it is a folder, expected a file"),
    "huge": (make_huge, "it is too large: 4,194,304 MB or more, expected at most"),
}


@POSIX
@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    make, message = STRANGE[kind]
    make(tmp_path / "named")
    with pytest.raises(OSError, match="it is") as caught:
        read_named_file(tmp_path / "named")
    assert caught.value.strerror is not None
    assert caught.value.strerror.startswith(message)


@POSIX
def test_what_the_shell_has_opened_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"seed = 7\n")
    os.close(writing)
    assert read_named_text(Path(f"/dev/fd/{reading}")) == "seed = 7\n"
    os.close(reading)


def test_the_limit_is_exact(tmp_path: Path) -> None:
    (tmp_path / "five").write_bytes(b"12345")
    assert read_named_file(tmp_path / "five", most=5) == b"12345"
    with pytest.raises(OSError, match="too large: 5 bytes or more, expected at most 4 bytes"):
        read_named_file(tmp_path / "five", most=4)


def test_text_comes_without_its_mark_and_with_one_kind_of_line_end(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_named_text(tmp_path / "text") == "a\nb\nc\n"


def commands(tmp_path: Path) -> dict[str, Callable[[Path], object]]:
    """Every reader of a file that a user names, by what it reads."""
    from sftframe_plugins.gpt2.vocabulary import read_vocabulary
    from sftframe_plugins.gpt2.weights.layout import read_config
    from sftframe_plugins.hub.checkpoints import check_file
    from sftframe_plugins.judges.language_model import load_template

    from sftframe.config import DataConfig, RunConfig, read_toml
    from sftframe.data import load_examples
    from sftframe.judging import read_answered_file
    from sftframe.registry import load_registry

    def vocabulary(path: Path) -> object:
        (path.parent / "vocab.tiktoken").symlink_to(path)
        return read_vocabulary(path.parent)

    return {
        "d.json": lambda path: load_examples(DataConfig(source=str(path))),
        "d.csv": lambda path: load_examples(DataConfig(source=str(path))),
        "a.jsonl": lambda path: read_answered_file(path, RunConfig()),
        "c.toml": read_toml,
        "p.toml": lambda path: load_registry().prompt_style(str(path), {}),
        "p.jinja": lambda path: load_registry().prompt_style(str(path), {}),
        "judge.txt": lambda path: load_template(str(path), "", option="template", known=["answer"], needed=["answer"]),
        "config.json": read_config,
        "m.safetensors": check_file,
        "vocab": vocabulary,
    }


@POSIX
@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("name", [*commands(Path())])
def test_every_reader_ends_at_once_with_one_line(tmp_path: Path, name: str, kind: str) -> None:
    if (name, kind) == ("m.safetensors", "huge"):
        pytest.skip("weights may have any size: they are mapped, and their header says what is in them")
    path = tmp_path / name
    STRANGE[kind][0](path)
    with pytest.raises(SftframeError) as caught:
        commands(tmp_path)[name](path)
    assert "\n" not in str(caught.value)


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.json"), io.BytesIO(b""))
    return made.getvalue()


CONTENTS = {
    "gzip": (gzip.compress(b"[]"), "compressed with gzip: unpack it first"),
    "zip": (zipped("train.json"), "a zip archive: unpack it"),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook: save the sheet as CSV"),
    "docx": (zipped("[Content_Types].xml", "word/document.xml"), "a Word document"),
    "torch": (zipped("archive/data.pkl"), "a file of torch.save"),
    "tar": (tarred(), "a tar archive"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a Git LFS pointer"),
    "html": (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page, not the file itself"),
    "pdf": (b"%PDF-1.4\n%\xe2\xe3", "a PDF document"),
    "utf-16": ("[]".encode("utf-16"), "UTF-16 text: save the file as UTF-8"),
    "utf-16 without mark": ('[{"instruction": "a"}]'.encode("utf-16-le"), "UTF-16 text: save the file as UTF-8"),
    "utf-32": ("[]".encode("utf-32"), "UTF-32 text"),
    "zeros": (b"\0" * 4096, "nothing but zero bytes"),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_content_is_named_for_what_it_is(kind: str) -> None:
    data, message = CONTENTS[kind]
    assert str(content_kind(data)).startswith(message)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet", ".gz", ".xlsx", ""])
@pytest.mark.parametrize("kind", [kind for kind in CONTENTS if kind != "gzip" and "utf-16" not in kind])
def test_data_of_any_name_are_named_for_what_they_are(tmp_path: Path, kind: str, suffix: str) -> None:
    from sftframe.config import DataConfig
    from sftframe.data import load_examples

    data, message = CONTENTS[kind]
    path = tmp_path / f"data{suffix}"
    path.write_bytes(data)
    with pytest.raises(SftframeError) as caught:
        load_examples(DataConfig(source=str(path)))
    assert f"{path} is {message}" in str(caught.value)


@pytest.mark.parametrize("text", ["", "a", "<p>One paragraph</p>", "PK is a prefix", "\0a", "é" * 500, "日本語" * 300])
def test_text_is_text(text: str) -> None:
    assert content_kind(text.encode()) is None


def test_a_configuration_that_is_a_web_page_is_told(tmp_path: Path) -> None:
    from sftframe.config import read_toml

    (tmp_path / "c.toml").write_text("<html><head></head></html>")
    with pytest.raises(SftframeError, match=r"cannot read the configuration .*c\.toml: it is an HTML page"):
        read_toml(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (r'data.source = "C:\Users\me\d.json"', "a path with backslashes needs 'single quotes'"),
        (r'data.source = "C:\data\d.json"', "a path with backslashes needs 'single quotes'"),
    ],
)
def test_a_path_with_backslashes_that_toml_refuses_is_told(tmp_path: Path, line: str, hint: str) -> None:
    from sftframe.config import read_toml

    (tmp_path / "c.toml").write_text(line)
    with pytest.raises(SftframeError) as caught:
        read_toml(tmp_path / "c.toml")
    assert str(caught.value).endswith(hint)


def test_a_path_whose_backslashes_toml_has_read_as_escapes_is_told() -> None:
    from sftframe.config import DataConfig, parse_settings
    from sftframe.data import load_examples

    source = parse_settings([r'data.source="C:\new\runs\train.json"'])["data"]["source"]
    with pytest.raises(
        SftframeError, match=r"control characters, as TOML reads .*: write the path in 'single quotes'$"
    ):
        load_examples(DataConfig(source=source))
