"""Runs a component in other processes: with another hash seed, environment, folder and date.

Results that must not depend on the process are computed here and there, and compared. The other process makes the
component again from its class and options; a component that needs more is sent as it is. cloudpickle sends classes that
cannot be imported, such as those of a notebook.
"""

from __future__ import annotations

import copy
import datetime
import importlib
import importlib.util
import inspect
import os
import pickle
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftframe.plugins import CollateStrategy, Component, ModelBackend
from sftframe.plugins.guard import describe, unguarded
from sftframe.testing.contract import ContractError, UntriedError, package_of
from sftframe.testing.processes import PATIENCE_S, Task, TooLongError, processes

Probe = Callable[..., Any]
"""A function of a module: gets the component and what is sent besides, returns what can be pickled."""

_RUNNING = "SFTFRAME_TESTING_PROCESS"
"""Set in these processes: a script that checks a component when it is imported must not start more of them."""

_NEEDED = ("PATH", "HOME", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV")
"""What a process needs to start, and where its files lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The work of a process, and its settings; by default those of this process, except the order of hashes."""

    probe: Probe
    given: tuple[Any, ...] = ()
    """What the probe gets after the component."""
    hash_seed: int = 1
    is_foreign: bool = False
    """Another folder, user, language and time zone; of the environment what it takes to start, and no more."""


def in_processes(component: Component, jobs: Sequence[Job]) -> list[Any]:
    """What each job's probe gives, in a process per job.

    Empty in a process that is one of these itself.

    Raises:
        ContractError: the component raised there.
        UntriedError: the component cannot be sent, or a process took too long.
    """
    if os.environ.get(_RUNNING):
        return []
    with tempfile.TemporaryDirectory(prefix="sftframe-testing-") as made:
        tasks = []
        for number, job in enumerate(jobs):
            folder = Path(made) / str(number)
            folder.mkdir()
            (folder / "parcel").write_bytes(_packed(component, job, folder))
            tasks.append(
                Task(
                    folder=folder,
                    hash_seed=job.hash_seed,
                    is_foreign=job.is_foreign,
                    environment=_environment(job),
                    needs=_needs(component, job),
                )
            )
        try:
            codes = processes().run(tasks)
            return [_result(code, task.folder / "result") for code, task in zip(codes, tasks, strict=True)]
        except TooLongError:
            raise UntriedError(f"{_UNTRIED}: there it took longer than {PATIENCE_S} s") from None


_SLOW = ("numpy", "pytest", "torch")
"""Packages that take long to import and that no component changes."""


def _needs(component: Component, job: Job) -> tuple[str, ...]:
    """What the component is likely to import, and the probe's module if it is one of the kit."""
    own = (job.probe.__module__,) if job.probe.__module__.startswith("sftframe.testing.") else ()
    known = {"numpy", "torch"} if isinstance(component, CollateStrategy | ModelBackend) else set()
    for kind in unguarded(type(component)).__mro__:
        known.update(vars(sys.modules[kind.__module__]) if kind.__module__ in sys.modules else ())
    return (*(name for name in _SLOW if name in known), *own)


def _environment(job: Job) -> dict[str, str]:
    environment = dict(os.environ)
    if job.is_foreign:
        environment = {key: value for key, value in os.environ.items() if key in _NEEDED or key.startswith("SFTFRAME_")}
        environment |= {"LANG": "tr_TR.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "Pacific/Kiritimati", "USER": "somebody-else"}
        environment |= {"LOGNAME": "somebody-else", "COLUMNS": "47", "NO_COLOR": "1"}
    return environment | {"PYTHONHASHSEED": str(job.hash_seed), _RUNNING: "1", "PYTHONIOENCODING": "utf-8"}


def _result(code: int, path: Path) -> Any:
    if not path.exists():
        raise ContractError(f"a second process ended with exit code {code} while it was tried")
    kind, value = pickle.loads(path.read_bytes())
    if kind == "unknown":
        raise UntriedError(f"{_UNTRIED}: it could not be made again there, {value}")
    if kind == "raised":
        raise ContractError(f"in a second process it raised {value}")
    return value


_UNTRIED = "it was not tried in other processes"


def _packed(component: Component, job: Job, folder: Path) -> bytes:
    """What another process needs to make the component again."""
    import cloudpickle

    kind = unguarded(type(component))
    modules = [
        (module.__name__, str(module.__file__))
        for each in (*reversed(kind.__mro__), type(component.options))
        if (module := sys.modules.get(each.__module__)) is not None
        and getattr(module, "__file__", None)
        and module.__name__ != "__main__"
    ]
    own = {"pad_id": component.pad_id} if isinstance(component, CollateStrategy) else {}
    recipe = (kind, component.options, own) if _is_made_of_options(kind, own) else _plain(component, kind)
    try:
        body = cloudpickle.dumps((recipe, job.probe, job.given))
    except Exception as error:
        raise UntriedError(
            f"{_UNTRIED}: it cannot be sent there ({describe(error, package_of(component))}); let its constructor take "
            "nothing but options, or keep nothing in self that cannot be pickled"
        ) from None
    paths = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100
    place = _Place(
        cwd=str(folder if job.is_foreign else Path.cwd()),
        paths=paths,
        environment=_environment(job),
        num_threads=sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None,
    )
    return pickle.dumps((place, list(dict.fromkeys(modules)), body))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a probe runs. A process that was started earlier has to move there."""

    cwd: str
    paths: list[str]
    environment: dict[str, str]
    num_threads: int | None
    """torch's; None leaves them."""

    def enter(self) -> None:
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.environment)
        if hasattr(time, "tzset"):
            time.tzset()
        sys.path[:] = self.paths
        importlib.invalidate_caches()
        random.seed()  # a copy of a process would draw what another copy draws
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()
        if "torch" in sys.modules and self.num_threads is not None:
            sys.modules["torch"].set_num_threads(self.num_threads)


def _plain(component: Component, kind: type[Any]) -> Any:
    """The component as its own class made it, without the registry's wall."""
    if kind is type(component):
        return component
    plain = copy.copy(component)
    object.__setattr__(plain, "__class__", kind)
    return plain


def _is_made_of_options(kind: type[Any], own: Iterable[str]) -> bool:
    names = list(inspect.signature(kind.__init__).parameters)[1:]
    return names == ["options", *own]


def main(folder: str) -> None:
    """The other process: make the component, run the probe, write the result."""
    place, modules, body = pickle.loads((Path(folder) / "parcel").read_bytes())
    place.enter()
    set_clock(0)
    try:
        for name, file in modules:
            _import(name, file)
        recipe, probe, given = pickle.loads(body)
        component = recipe[0](recipe[1], **recipe[2]) if isinstance(recipe, tuple) else recipe
    except BaseException as error:
        result: tuple[str, Any] = ("unknown", describe(error, ""))
    else:
        try:
            result = ("gave", probe(component, *given))
        except BaseException as error:
            result = ("raised", describe(error, type(component).__module__.partition(".")[0]))
    part = Path(folder) / "part"
    part.write_bytes(pickle.dumps(result))
    part.rename(Path(folder) / "result")


def _import(name: str, file: str) -> None:
    """Import a module; from its file where its name alone does not lead to it."""
    if name in sys.modules:
        return
    try:
        found = importlib.import_module(name)
        if getattr(found, "__file__", None) == file:
            return
    except ImportError:
        pass
    specification = importlib.util.spec_from_file_location(name, file)
    if specification is None or specification.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)


_READERS = ("os", "_collections_abc", "collections.abc")
"""Modules through which the environment is read."""

_NOT_ITS_OWN = {"abc", "builtins", "sftframe", "typing"}
"""Packages that other classes in a component's ancestry come from."""

_REAL = {name: getattr(time, name) for name in ("time", "time_ns", "localtime", "gmtime", "strftime", "ctime")}
_shift_s = 0.0


class _Date(datetime.date):
    @classmethod
    def today(cls) -> _Date:
        return cls.fromtimestamp(time.time())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """As of `_DateTime`."""
        from pydantic_core import core_schema

        return core_schema.date_schema()


class _DateTime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> _DateTime:
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def today(cls) -> _DateTime:
        return cls.fromtimestamp(time.time())

    @classmethod
    def utcnow(cls) -> _DateTime:
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Models of pydantic that are made from now on take it for what it stands for."""
        from pydantic_core import core_schema

        return core_schema.datetime_schema()


def set_clock(shift_s: float) -> None:
    """Let all that this process asks for the date and the time be so many seconds later; for a process of its own."""
    global _shift_s
    _shift_s = shift_s
    if datetime.datetime is _DateTime:
        return
    datetime.date, datetime.datetime = _Date, _DateTime  # type: ignore[misc]
    changed: dict[str, Callable[..., Any]] = {
        "time": lambda: _REAL["time"]() + _shift_s,
        "time_ns": lambda: _REAL["time_ns"]() + int(_shift_s * 1e9),
        "localtime": lambda at=None: _REAL["localtime"](time.time() if at is None else at),
        "gmtime": lambda at=None: _REAL["gmtime"](time.time() if at is None else at),
        "ctime": lambda at=None: _REAL["ctime"](time.time() if at is None else at),
        "strftime": lambda form, at=None: _REAL["strftime"](form, time.localtime() if at is None else at),
    }
    for name, function in changed.items():
        setattr(time, name, function)


@contextmanager
def watched_environment(component: Component) -> Iterator[set[str]]:
    """The environment variables that the code of a component's package asks for in the meantime."""
    packages = {each.__module__.partition(".")[0] for each in type(component).__mro__} - _NOT_ITS_OWN
    asked: set[str] = set()
    kind = type(os.environ)

    class Watched(kind):  # type: ignore[misc, valid-type]
        def __getitem__(self, key: str) -> str:
            frame = sys._getframe(1)
            while frame.f_back is not None and frame.f_globals.get("__name__") in _READERS:
                frame = frame.f_back
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] in packages:
                asked.add(str(key))
            return str(super().__getitem__(key))

    os.environ.__class__ = Watched
    try:
        yield asked
    finally:
        os.environ.__class__ = kind


_READERS = ("os", "_collections_abc", "collections.abc")
"""Modules through which the environment is read."""
