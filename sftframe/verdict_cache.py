"""Verdicts that were had once and need not be asked for again, whichever run or file the answers stand in.

Takes what a judge was asked, gives the verdict that it gave. One SQLite file under the user's cache, safe with several
processes, written verdict by verdict. A cache may be lost but never be in the way: a damaged file is set aside, and one
that cannot be used is done without, each with a warning. Does not know which judges there are, nor when not to ask.
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

from sftframe.downloads import cache_dir
from sftframe.records import JudgeItem, JudgePair, Preference, Verdict

_FILE = "verdicts-1.sqlite"
"""The number is that of the table's layout and of the keys: another one starts another file."""

_BUSY_S = 30.0
"""Another process holds the file for as long as it takes to write one verdict, milliseconds."""

_MAX_KEYS = 500
"""Keys per query; SQLite takes 999 parameters even where it was built long ago."""

Warn = Callable[[str], None]
Item = TypeVar("Item", JudgeItem, JudgePair)
Word = TypeVar("Word", Verdict, Preference)


class VerdictCache:
    """A file of verdicts, opened at once and used as a context manager.

    Args:
        judge: who is asked, in full: a version and `Judge.identity`. Verdicts of any other are never found.
        warn: told when the file cannot be used.
        path: by default a file under `downloads.cache_dir()`, which `SFTFRAME_CACHE` moves.
    """

    def __init__(self, judge: Sequence[str], *, warn: Warn, path: Path | None = None) -> None:
        self.path = cache_dir() / _FILE if path is None else path
        self._judge = tuple(judge)
        self._warn = warn
        self._connection: sqlite3.Connection | None = None
        self._careful(self._open, None)

    def find(self, items: Sequence[Item], kind: type[Word], *, repeat: int = 0) -> dict[int, Word]:
        """What is known of these items, by index.

        Args:
            kind: `Verdict` for items, `Preference` for pairs; a pair is known in the order in which it was shown.
            repeat: the how-manieth asking is meant, from 0: the first verdict is not an answer to a second question.
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
        """Keep what the judge said of an item, for good; a failure is not kept, so it is tried again."""
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
        """SHA-256 over all that the judge sees, and who it is; the index is no part of it."""
        seen = {key: value for key, value in dataclasses.asdict(item).items() if key != "index"}
        asked = [type(item).__name__, list(self._judge), seen, repeat]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()

    def _open(self) -> None:
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._connection = connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            # a kill loses nothing, a power cut the last verdicts at most; FULL would wait for the disk on each
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS verdicts (key BLOB PRIMARY KEY, word TEXT NOT NULL) WITHOUT ROWID"
            )

    def _alone(self) -> AbstractContextManager[object]:
        """One process at a time: what SQLite does when a file is made or set aside does not wait for others."""
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
        """Do it, with a fresh file where this one is damaged, and without the cache where nothing helps."""
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
                self._warn(f"verdicts are not kept for later: the cache {self.path} cannot be used ({last})")
                return otherwise

    def _set_aside(self) -> None:
        """Give a damaged file another name; of several processes that find it, one does."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        with self._alone():
            if not _is_damaged(self.path):
                return  # another process was faster
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.replace(aside)
        self._warn(f"the verdict cache {self.path} was damaged and is now {aside}: a new one is begun")


def _is_damage(error: Exception) -> bool:
    """Whether the file's content is to blame; an OperationalError blames the disk, a lock or permissions."""
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


def _restored(text: str, index: int, kind: type[Word]) -> Word | None:
    """What was kept, or None where that is not readable any more: then the judge is asked."""
    try:
        return kind(index=index, **json.loads(text))
    except (TypeError, ValueError):
        return None
