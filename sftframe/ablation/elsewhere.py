"""The runs of a grid on other machines, or in a queue: what a launcher gets, and what comes back from it.

A cell runs in the ablation's own folder where its machine sees that folder, and in a folder of its own where not; then
the whole run comes back packed.
"""

from __future__ import annotations

import _thread
import importlib.util
import io
import os
import secrets
import shutil
import signal
import socket
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from sftframe.ablation.cells import AblationObserver, Job, Tell, failed, run_cell
from sftframe.ablation.folder import AblationFolder
from sftframe.errors import ConfigError, Interrupted, SftframeError
from sftframe.files import whole_dir, write_whole
from sftframe.interrupts import deferred_interrupt, interruptible
from sftframe.pipeline import resolve
from sftframe.plugins import RUN_SEAMS, CellOutcome, CellTask, Launch, Launcher, Seam
from sftframe.registry import PluginInfo, Registry, load_registry

_LOOK_S = 0.5
"""How often a cell asks whether it must stop."""
_MARK = "ablation"
"""Name of the file by which a machine finds out whether it sees the ablation's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A launcher that runs the cells, and what each cell gets."""

    launcher: Launcher
    cpus: int = 1
    gpus: float = 0
    ships: bool = False
    """Whether the plugins of the cells that are not sftframe's own are sent along."""

    def __post_init__(self) -> None:
        if self.cpus < 1 or self.gpus < 0:
            raise ConfigError(f"a cell needs 1 CPU or more and 0 GPUs or more, found {self.cpus} and {self.gpus:g}")
        if self.ships and not self.launcher.can_ship:
            raise ConfigError(
                f"--ship: launcher {self.launcher.name} cannot send plugins; install them where the cells run"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A component that a cell uses, and the plugin that it comes from here."""

    seam: Seam
    name: str
    plugin: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(CellTask):
    """A cell's job with all that another machine must know."""

    number: int
    name: str
    job: Job
    """With the absolute path of the run on the machine that started the ablation."""
    needs: tuple[Need, ...]
    disabled: tuple[str, ...]
    root: Path
    """The ablation's folder on that machine."""
    mark: str
    """What the file `.workers/ablation` there contains."""
    work_dir: Path
    """The current folder there: relative paths in settings start from it."""

    def run(self, tell: Tell, is_stopped: Callable[[], bool]) -> CellOutcome:
        """See `CellTask.run`."""
        is_shared = _read(self.root / ".workers" / _MARK) == self.mark
        job = self.job if is_shared else replace(self.job, path=self._own_folder() / self.name)
        outcome = self._outcome(job, tell, is_stopped)
        if is_shared or not job.path.is_dir():
            return outcome
        packed = replace(outcome, packed=_packed(job.path))
        if not outcome.is_stopped:
            shutil.rmtree(job.path, ignore_errors=True)
        return packed

    def _own_folder(self) -> Path:
        return Path(tempfile.gettempdir()) / f"sftframe-{self.mark}"

    def _outcome(self, job: Job, tell: Tell, is_stopped: Callable[[], bool]) -> CellOutcome:
        started = time.monotonic()
        try:
            with interruptible(), _stopped_by(is_stopped), _inside(self.work_dir):
                registry = load_registry(disabled=self.disabled)
                check_needs(self.needs, registry)
                if job.path != self.job.path:
                    job.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                return run_cell(job, registry, tell)
        except (Interrupted, KeyboardInterrupt):
            return CellOutcome(number=self.number, is_stopped=True)
        except (SftframeError, OSError) as error:
            return failed(job, str(error), time.monotonic() - started, tell)


def check_needs(needs: Sequence[Need], registry: Registry) -> None:
    """Check that this machine has the components of a cell, from the same plugins.

    Raises:
        ConfigError: one is missing or from another version; the message names it and the machine.
    """
    host = socket.gethostname()
    for need in needs:
        what = f"the {need.seam.noun} {need.name!r} from {need.plugin} {need.version}".rstrip()
        try:
            found = registry.provider(need.seam, need.name)
        except SftframeError as error:
            raise ConfigError(
                f"{host} does not have {what}: install the plugin there, or send it with --ship ({error})"
            ) from error
        if (found.id, found.version) != (need.plugin, need.version):
            raise ConfigError(f"{host} has {found.label} instead of {what}: install the same version there")


class _stopped_by:  # noqa: N801 - used like a function
    """While the body runs, turn a stop from elsewhere into the signal that Ctrl-C is. Outside the main thread a stop is
    not seen.
    """

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self._is_stopped = is_stopped
        self._lock = threading.Lock()
        self._has_ended = threading.Event()
        self._hears_signals = False
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        if hasattr(signal, "pthread_kill"):  # a process of Ray blocks Ctrl-C, which is its driver's
            self._hears_signals = signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        with self._lock:  # a signal that was sent arrives before this is left
            self._has_ended.set()

    def _watch(self) -> None:
        while not self._has_ended.wait(_LOOK_S):
            try:
                must_stop = self._is_stopped()
            except Exception:  # who started the cell is gone
                must_stop = True
            if must_stop:
                break
        with self._lock:
            main = threading.main_thread().ident
            if self._has_ended.is_set() or main is None:
                return
            if self._hears_signals:
                signal.pthread_kill(main, signal.SIGINT)  # also ends a waiting system call
            else:
                _thread.interrupt_main(signal.SIGINT)


def _inside(folder: Path) -> chdir[Path] | nullcontext[None]:
    return chdir(folder) if folder.is_dir() else nullcontext()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _packed(folder: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def _unpack(packed: bytes, path: Path) -> None:
    """Make a run's folder of an archive, in the place of an older one.

    Raises:
        DiskError: it cannot be written.
        ConfigError: the archive has a path that leads out of the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_dir(path) as making, tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        try:
            archive.extractall(making, filter="data")
        except tarfile.TarError as error:
            raise ConfigError(f"{path}: what came back from the cell cannot be unpacked: {error}") from error


def run_elsewhere(
    jobs: Sequence[Job],
    elsewhere: Elsewhere,
    registry: Registry,
    *,
    disabled: Sequence[str],
    folder: AblationFolder,
    observer: AblationObserver,
) -> Iterator[CellOutcome]:
    """Run the jobs by a launcher. Yields outcomes as jobs end; their folders are then in the ablation's folder.

    Raises:
        Interrupted: the user asked for a stop; the cells at work are saved.
        SftframeError: the launcher cannot work.
    """
    if not jobs:
        return

    def say() -> None:
        observer.note("stopping: every running cell saves its step first; once more stops at once, without saving")

    mark = secrets.token_hex(16)
    folder.workers_dir.mkdir(parents=True, exist_ok=True)
    write_whole(folder.workers_dir / _MARK, mark)
    tasks = {job.number: _task(job, registry, tuple(disabled), folder, mark) for job in jobs}
    plugins = [plugin for plugin in registry.plugins if not plugin.is_first_party] if elsewhere.ships else []
    used = {need.plugin for task in tasks.values() for need in task.needs}
    with deferred_interrupt(say) as stop:
        launch = Launch(
            tell=observer.happened,
            is_stopped=lambda: stop.requested,
            folder=folder.workers_dir.absolute(),
            cpus=elsewhere.cpus,
            gpus=elsewhere.gpus,
            shipped=stage([plugin for plugin in plugins if plugin.id in used], folder.workers_dir / "shipped"),
        )
        for outcome in elsewhere.launcher.launch(list(tasks.values()), launch):
            task = tasks.pop(outcome.number)
            if outcome.packed:
                _unpack(outcome.packed, task.job.path)
            if not outcome.is_stopped:
                yield outcome
        if stop.requested:
            raise Interrupted("stopped")
    for task in tasks.values():
        yield failed(task.job, f"launcher {elsewhere.launcher.name} gave no result", 0.0, observer.happened)


def _task(job: Job, registry: Registry, disabled: tuple[str, ...], folder: AblationFolder, mark: str) -> Task:
    config = resolve(job.layer, registry)
    needs = []
    for seam in RUN_SEAMS:
        name = getattr(config, seam.value).name
        plugin = registry.provider(seam, name)
        needs.append(Need(seam=seam, name=name, plugin=plugin.id, version=plugin.version))
    return Task(
        number=job.number,
        name=job.path.relative_to(folder.path).as_posix(),
        job=replace(job, path=job.path.absolute()),
        needs=tuple(needs),
        disabled=disabled,
        root=folder.path.absolute(),
        mark=mark,
        work_dir=Path.cwd(),
    )


def stage(plugins: Sequence[PluginInfo], folder: Path) -> tuple[Path, ...]:
    """Copy plugins so that another machine finds them as if they were installed: their packages, and for each
    distribution the entry points. What they depend on is not copied.

    Returns:
        Folders; whoever has their parents on `sys.path` has the plugins.

    Raises:
        ConfigError: a plugin has no files.
    """
    shutil.rmtree(folder, ignore_errors=True)
    staged: dict[Path, None] = {}
    lines: dict[Path, list[str]] = {}
    for plugin in plugins:
        package = folder / plugin.module.partition(".")[0]
        if package not in staged:
            _copy_package(plugin, package)
        facts = folder / f"{plugin.distribution.replace('-', '_')}-{plugin.version or '0'}.dist-info"
        staged |= dict.fromkeys((package, facts))
        lines.setdefault(facts, []).append(f"{plugin.id.partition(':')[2]} = {plugin.module}")
        facts.mkdir(exist_ok=True)
        write_whole(
            facts / "METADATA",
            f"Metadata-Version: 2.1\nName: {plugin.distribution}\nVersion: {plugin.version or '0'}\n",
        )
    for facts, entries in lines.items():
        write_whole(facts / "entry_points.txt", "\n".join(["[sftframe]", *entries]) + "\n")
    return tuple(path.absolute() for path in staged)


def _copy_package(plugin: PluginInfo, package: Path) -> None:
    spec = importlib.util.find_spec(package.name) if package.name else None
    if spec is not None and spec.submodule_search_locations:
        source = Path(next(iter(spec.submodule_search_locations)))
        shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    elif spec is not None and spec.origin and os.path.isfile(spec.origin):  # noqa: PTH113 - origin may be "built-in"
        package.mkdir(parents=True)
        shutil.copyfile(spec.origin, package / "__init__.py")
    else:
        raise ConfigError(f"--ship: plugin {plugin.label} has no files to send: install it where the cells run")
