"""Keeps verdicts, so that a judge is not asked twice about the same answer, in whichever run or file it is.

The cache is one SQLite file in the user's cache folder. Several processes may use it at once; every verdict is written
when it comes. A damaged file is renamed, and judging continues with a new one. If no file can be used, judging
continues without a cache. Both give a warning.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sftframe.network.downloads import cache_dir
from sftframe.records import JudgeItem, JudgePair, Preference, Verdict

_FILE = "verdicts-1.sqlite"
"""The number is the version of the table and the keys: another version uses another file."""

_BUSY_S = 30.0
"""Another process locks the file only while it writes one verdict, for milliseconds."""

_MAX_KEYS = 500
"""Keys per query; even old builds of SQLite allow 999 parameters."""

Warn = Callable[[str], None]
Item = TypeVar("Item", JudgeItem, JudgePair)
Reply = TypeVar("Reply", Verdict, Preference)


_LATER = ("references", "system", "turns", "speaker", "tools")
"""Fields that items had not at first."""


class VerdictCache:
    """A file of verdicts, opened at once and used as a context manager.

    Args:
        judge: the judge: a version and `Judge.identity`. Verdicts of other judges are never found.
        warn: called with a sentence when the file cannot be used.
        path: by default a file under `downloads.cache_dir()`, which `SFTFRAME_CACHE` moves.
    """

    def __init__(self, judge: Sequence[str], *, warn: Warn, path: Path | None = None) -> None:
        self.path = cache_dir() / _FILE if path is None else path
        self._judge = tuple(judge)
        self._warn = warn
        self._connection: sqlite3.Connection | None = None
        self._careful(self._open, None)

    def find(self, items: Sequence[Item], kind: type[Reply], *, repeat: int = 0) -> dict[int, Reply]:
        """Known verdicts on these items, by index.

        Args:
            kind: `Verdict` for items, `Preference` for pairs; the order of a pair counts.
            repeat: which round of questions, from 0: a repeat never gets the verdict of an earlier round.
        """
        keys = [self._key(item, repeat) for item in items]
        texts = self._careful(lambda: self._read(sorted(set(keys))), {})
        words = {}
        for item, key in zip(items, keys, strict=True):
            word = _restored(texts[key], item.index, kind) if key in texts else None
            if word is not None:
                words[item.index] = word
        return words

    def keep(self, item: JudgeItem | JudgePair, word: Verdict | Preference, *, repeat: int = 0) -> None:
        """Keep the judge's verdict on an item. A failure is not kept, so it is tried again."""
        if word.status != "ok":
            return
        text = json.dumps({key: value for key, value in dataclasses.asdict(word).items() if key != "index"})
        self._careful(lambda: self._write(self._key(item, repeat), text), None)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _key(self, item: JudgeItem | JudgePair, repeat: int) -> bytes:
        """SHA-256 of all that the judge sees and of the judge's identity; the index is not included.

        What is empty in most data leaves no trace, so that verdicts from before there was any are found.
        """
        later = {field.name: field.default for field in dataclasses.fields(item) if field.name in _LATER}
        seen = {
            key: value
            for key, value in dataclasses.asdict(item).items()
            if key != "index" and not (key in later and value == later[key])
        }
        asked = [type(item).__name__, list(self._judge), seen, repeat]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()

    def _open(self) -> None:
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._connection = connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            # a kill loses nothing; a power cut loses at most the last verdicts; FULL would wait for the disk every time
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS verdicts (key BLOB PRIMARY KEY, word TEXT NOT NULL) WITHOUT ROWID"
            )

    def _alone(self) -> AbstractContextManager[object]:
        """One process at a time: SQLite does not wait for others when a file is made or renamed."""
        from filelock import FileLock

        return FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=_BUSY_S)

    def _read(self, keys: Sequence[bytes]) -> Mapping[bytes, str]:
        found: dict[bytes, str] = {}
        if self._connection is None:
            return found
        for start in range(0, len(keys), _MAX_KEYS):
            some = keys[start : start + _MAX_KEYS]
            marks = ",".join("?" * len(some))
            found.update(self._connection.execute(f"SELECT key, word FROM verdicts WHERE key IN ({marks})", some))
        return found

    def _write(self, key: bytes, text: str) -> None:
        if self._connection is not None:
            self._connection.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", (key, text))

    def _careful(self, act: Callable[[], Any], otherwise: Any) -> Any:
        """Do it; with a new file if this one is damaged, without the cache if that fails too."""
        try:
            return act()
        except (sqlite3.Error, OSError) as error:
            self.close()
            try:
                if not _is_damage(error):
                    raise
                self._set_aside()
                self._open()
                return act()
            except (sqlite3.Error, OSError) as last:
                self.close()
                self._warn(f"verdicts are not cached: the file {self.path} cannot be used ({last})")
                return otherwise

    def _set_aside(self) -> None:
        """Rename a damaged file; if several processes find it, one of them does."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        with self._alone():
            if not _is_damaged(self.path):
                return  # another process was faster
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.replace(aside)
        self._warn(f"the verdict cache {self.path} is damaged: it is renamed to {aside}, and a new one is started")


def _is_damage(error: Exception) -> bool:
    """Whether the file's content is damaged; an OperationalError means the disk, a lock or permissions."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _is_damaged(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            connection.execute("SELECT key, word FROM verdicts LIMIT 1")
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True
    return bool(answer != "ok")


def _restored(text: str, index: int, kind: type[Reply]) -> Reply | None:
    """The kept verdict, or None if it cannot be read any more: then the judge is asked."""
    try:
        return kind(index=index, **json.loads(text))
    except (TypeError, ValueError):
        return None
