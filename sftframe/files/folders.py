"""Where a run may be made: in a new numbered folder, or in the one that the user names, never over other work.

Only a folder in which a run was made is ever emptied.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from sftframe.errors import ConfigError
from sftframe.files.atomic import disk, is_leftover, write_whole
from sftframe.files.locks import LOCK_FILES, hold
from sftframe.formatting import file_size

RUNS_DIR = Path("runs")
"""Folder under the current directory for runs without `--out`."""
CONFIG = "config.toml"
MANIFEST = "manifest.json"
_MARKER = ".sftframe"
_HOUSEKEEPING = frozenset({_MARKER, *LOCK_FILES})


def make_numbered(label: str) -> Path:
    """A new folder `runs/LABEL-N`, N one more than the highest there is; two processes never get the same."""
    with explained(RUNS_DIR):
        return _marked(next_numbered(RUNS_DIR, f"{_as_name(label)}-"))


def _as_name(label: str) -> str:
    """A label as a name of a folder on every system; of a long one the end.

    >>> _as_name("hf:./models/tiny@v1-alpaca")
    'hf-models-tiny-v1-alpaca'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", label).replace("-.-", "-")[-LONGEST_LABEL:].strip("-.") or "run"


LONGEST_LABEL = 100
"""Letters; systems allow 255 in a name, and Windows about as many in a whole path."""


def next_numbered(folder: Path, prefix: str = "") -> Path:
    """A new folder in `folder`: the prefix and a number, one more than the highest there is."""
    disk().make_dir(folder)
    ends = (path.name.removeprefix(prefix) for path in folder.glob("*") if path.name.startswith(prefix))
    start = 1 + max((int(end) for end in ends if is_number(end)), default=0)
    for number in count(start):
        path = folder / f"{prefix}{number}"
        with suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("count() does not end")


def make_named(path: Path, *, force: bool) -> Path:
    """The folder that the user names: made or, with force, emptied of the run in it."""
    check_place(path, force=force)
    with explained(path):
        disk().make_dir(path)
        if _contents(path):
            _clear(path)
        return _marked(path)


def check_place(path: Path, *, force: bool) -> None:
    """Check that a run may be made in a folder, without making anything.

    Raises:
        ConfigError: it is a file, or contains something that must not be replaced.
    """

    def foreign(path: Path) -> str:
        return "" if _was_made_for_a_run(path) else "is not empty and not a run"

    with explained(path):
        if not path.is_dir() or is_taken(path):
            check_target(path, "a run", foreign, force=force)


def check_target(
    path: Path, noun: str, foreign: Callable[[Path], str], *, force: bool | None = None, option: str = "--out"
) -> None:
    """Check that something may be written to a folder; nothing is written.

    Args:
        noun: what is to be written, `a run`.
        foreign: says of a folder that is not empty what must stay in it; empty if all in it may be replaced.
        force: replace what is there; None = the command has no such flag.

    Raises:
        ConfigError: it is a file, or contains something that must stay.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file: {option} needs a folder, a new one or an empty one")
    if not path.exists() or not any(path.iterdir()):
        return
    if why := foreign(path):
        even = "" if force is None else ", even with --force"
        raise ConfigError(f"{path} {why}: sftframe does not change it{even}; choose another {option}")
    if not force:
        raise ConfigError(f"{path} contains {noun} already: choose another {option}, or replace it with --force")


def check_inside(path: Path) -> None:
    """Check that the folder of a run or an ablation contains only plain files and folders.

    A folder from a stranger may contain links or pipes. A link sends writes to another place, and reads can come from
    anywhere; a named pipe never ends.

    Raises:
        ConfigError: an entry, at any depth, is a link or something else.
    """
    for folder, folders, files in os.walk(path):
        for place in (Path(folder, name) for name in (*folders, *files)):
            what = _strange(place)
            if what:
                raise ConfigError(
                    f"{place} is {what}: the folder of a run or an ablation may contain only its own files, so that "
                    "nothing outside is read or overwritten; put the file or folder itself there, or remove it"
                )


def _strange(place: Path) -> str:
    """What an entry is, if it is neither file nor folder; empty for those, and for one that has just been renamed."""
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(mode):
        return f"a link to {place.readlink()}"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "a pipe, socket or device"


def nearest_folder(path: Path) -> Path:
    """The path, or the nearest one above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def free_bytes(path: Path) -> int:
    """Free bytes on the disk of a path, which need not exist yet."""
    return shutil.disk_usage(nearest_folder(path)).free


def require_space(path: Path, num_bytes: int, noun: str) -> None:
    """Check early that something of this size fits on the disk of its new folder.

    Raises:
        ConfigError: it does not.
    """
    with explained(path):
        free = free_bytes(path)
    if num_bytes > free:
        raise ConfigError(
            f"not enough disk: {noun} in {path} needs {file_size(num_bytes)}, {file_size(free)} are free; make room, "
            "or choose a folder on another disk with --out"
        )


def is_number(text: str) -> bool:
    """Whether the end of a name is a number that sftframe may have written; other numbers can have any length."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def check_vacant(path: Path) -> None:
    """Check that a new run may be made in a folder that the user did not name: absent, empty, or never started.

    Raises:
        ConfigError: something else is there; it may belong to anybody, and stays.
    """
    with explained(path):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise ConfigError(f"{path} is a {'link' if path.is_symlink() else 'file'}, expected a folder: move it away")
        if path.exists() and is_taken(path):
            missing = " and no ".join(name for name in (CONFIG, MANIFEST) if not (path / name).is_file())
            raise ConfigError(
                f"{path} contains {min(_contents(path))} and is no whole run (it has no {missing}): sftframe does not "
                "change it; move it away, then the run is made again"
            )


def is_run(path: Path) -> bool:
    """The folder has a configuration and a manifest."""
    return (path / CONFIG).is_file() and (path / MANIFEST).is_file()


def is_half_made(path: Path) -> bool:
    """A process started to make a run here and was killed before it wrote the manifest: nothing was started."""
    return (path / CONFIG).is_file() and is_marked(path) and not is_taken(path)


def is_marked(path: Path) -> bool:
    """sftframe made the folder for a run."""
    return (path / _MARKER).is_file()


def _marked(path: Path) -> Path:
    write_whole(path / _MARKER, "sftframe made this folder for a run; --force may empty it.\n")
    return path


def is_taken(path: Path) -> bool:
    """Something is in the folder; a configuration alone is no run yet if sftframe's marker is there."""
    return _contents(path) - ({CONFIG} if is_marked(path) else set()) != set()


def _contents(path: Path) -> set[str]:
    """The contents of a folder, without sftframe's hidden files and their unfinished copies."""
    own = {*_HOUSEKEEPING, CONFIG, MANIFEST}
    return {entry.name for entry in path.iterdir() if not is_leftover(entry, own)} - _HOUSEKEEPING


def _clear(path: Path) -> None:
    """Empty the folder of an old run; the folder itself stays, it may be a link or a mount."""
    with hold(path):
        # the configuration goes last: a folder that is only partly emptied then still shows that it was a run
        for entry in sorted(path.iterdir(), key=lambda entry: entry.name == CONFIG):
            if entry.name not in _HOUSEKEEPING:
                disk().remove(entry)


def remove_run(path: Path) -> None:
    """Delete a run's folder with all that is in it.

    Raises:
        ConfigError: it is no run's, it is the working or home directory, another process holds it, or something in it
            cannot be deleted.
    """
    if not _was_made_for_a_run(path):
        raise ConfigError(f"{path} is not a folder that sftframe made for a run: nothing in it was touched")
    try:
        _clear(path)
        disk().remove(path)
    except OSError as error:
        raise ConfigError(f"cannot delete {path}: {error.strerror or error}") from error


def _was_made_for_a_run(path: Path) -> bool:
    """A lone `config.toml` or `manifest.json` may be anybody's; so may files that came after the run was deleted.

    A home folder or a working tree is never a run, whatever is in it.
    """
    place = path.resolve()
    precious = [Path.cwd().resolve()]
    with suppress(RuntimeError):
        precious.append(Path.home().resolve())
    if any(place == own or place in own.parents for own in precious):
        return False
    return is_run(path) or (is_marked(path) and (path / CONFIG).is_file())


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Add to a system error the folder and what to do."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot make the run's folder {path}: {error.strerror or error}; choose another with --out"
        ) from error
