"""Runs the cells of an ablation's plan, resumes them, and writes down their states.

The runs are compared elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftframe.ablation.cells import (
    AblationObserver,
    Job,
    await_earlier_workers,
    is_done,
    run_here,
    run_in_processes,
)
from sftframe.ablation.elsewhere import Elsewhere, run_elsewhere
from sftframe.ablation.folder import AblationFolder
from sftframe.ablation.grid import Arm, Axis, Cell
from sftframe.ablation.planning import Plan, read_plan
from sftframe.ablation.tuning import ALL_EXAMPLES, TriedValue, TunedArm, Tuning, with_settings
from sftframe.config import Layer, flattened, merge, nested, settings_in_words
from sftframe.device import physical_cores
from sftframe.errors import ConfigError, Interrupted, TrainingError
from sftframe.files import disk, read_json_lines
from sftframe.interrupts import interruptible
from sftframe.pipeline import resolve
from sftframe.plugins import SEAMS, CellOutcome
from sftframe.registry import Registry, Seam
from sftframe.report import read_curves
from sftframe.runs import RunStore, read_object
from sftframe.trust import claims_of, remember, require


def extended_document(
    document: Mapping[str, Any], *, seeds: int | Sequence[int] | None, axes: Sequence[Axis], settings: Layer
) -> dict[str, Any]:
    """The plan of an ablation with more seeds and arms. Pure.

    Args:
        document: as `Plan.document` gives it.
        seeds: the new total number of seeds, or a list of seeds to add.
        axes: values to add, by key; existing values are not added twice.
        settings: keys with one value; if the key is an axis, the value is added to it.

    Raises:
        ConfigError: fewer seeds than there are.
    """
    table = dict(document["ablate"])
    found = {key: list(table[key]) for key in SEAMS if table.get(key)}
    found |= {key: list(values) for key, values in flattened(table.get("set", {}))}
    added = [(axis.key.removesuffix(".name"), axis.values) for axis in axes]
    fixed: Layer = {}
    for key, value in flattened(merge(settings)):
        label = key.removesuffix(".name")
        if label in found:
            added.append((label, (value,)))
        else:
            fixed = merge(fixed, nested(key, value))
    for label, values in added:
        known = found.setdefault(label, [])
        known += [value for value in values if value not in known]
    named = {label: values for label, values in found.items() if label in SEAMS}
    others = {label: values for label, values in found.items() if label not in SEAMS}
    table = {**table, **named, "set": others, "seeds": _seeds(table["seeds"], seeds)}
    base = merge({key: value for key, value in document.items() if key != "ablate"}, fixed)
    return {**base, "ablate": table}


def _seeds(known: Sequence[int], wanted: int | Sequence[int] | None) -> list[int]:
    if not isinstance(wanted, int):
        return [*known, *(seed for seed in dict.fromkeys(wanted or ()) if seed not in known)]
    if wanted < len(known):
        raise ConfigError(
            f"--seeds {wanted}: this ablation has {len(known)} seeds ({', '.join(map(str, known))}), and seeds are "
            f"never removed; give a number above {len(known)}, or the seeds to add, as in --seeds {max(known) + 1},"
        )
    return [*known, *range(max(known) + 1, max(known) + 1 + wanted - len(known))]


def check_cells_are_kept(old: Plan, new: Plan, path: object) -> None:
    """Check that every cell of the old plan is in the new plan, in the same folder and with the same settings.

    Args:
        path: of the ablation, for the message.

    Raises:
        ConfigError: one is not; the message names the setting.
    """
    before, after = dict(flattened(old.base)), dict(flattened(new.base))
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            raise ConfigError(
                f"{key.removesuffix('.name')} is {before.get(key)!r} in all cells of {path} and cannot become "
                f"{after.get(key)!r}: leave it out, or start a new ablation with it"
            )
    arms = {arm.slug: arm for arm in new.grid.arms}
    for arm in old.grid.arms:
        kept = arms.get(arm.slug)
        if kept is None or kept.layer != arm.layer:
            axes = {axis.key for axis in old.grid.axes}
            fresh = ", ".join(axis.label for axis in new.grid.axes if axis.key not in axes)
            raise ConfigError(
                f"{fresh or 'this'} is not varied in {path} and would change its arm {arm.name!r}: values can be added "
                f"to {', '.join(axis.label for axis in old.grid.axes)}; start a new ablation to vary something else"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """A cell and its state."""

    cell: Cell
    path: Path
    """The folder of its run."""
    error: str = ""
    """Why it failed, one line; empty if the run is complete."""


def _known_tuning(plan: Plan, folder: AblationFolder) -> Tuning:
    """What the arms have chosen. The file may come from somebody else, so it can only name what the plan lets them try.

    Raises:
        ConfigError: it has other values than the plan, or is damaged.
    """
    tuning = folder.read_tuning()
    names = {arm.slug: arm.name for arm in plan.grid.arms}
    for arm in tuning.arms:
        tried = plan.tried.get(arm.slug, ()) if names.get(arm.slug) == arm.arm else ()
        if not arm.values or any(value.settings not in tried for value in arm.values):
            raise ConfigError(
                f"{folder.tuning_path}: the values of arm {arm.slug!r} are not those of the plan; remove the file, and "
                "the arm chooses again"
            )
    return tuning


def _validation_loss(run: RunStore) -> tuple[float, float]:
    """Response NLL per byte on the validation part of the model that a run ended with, and its seconds of training."""
    evals = read_curves(read_json_lines(run.metrics_path)).evals
    losses = [record.response_nll_per_byte for record in evals]
    seconds = float(read_object(run.train_path)["seconds"])
    return (min(losses) if run.config().train.selects_best else losses[-1]), seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workers:
    """Who runs the cells."""

    jobs: int
    disabled: Sequence[str]
    elsewhere: Elsewhere | None


class Ablation:
    """A plan in a folder. Made by `start` or `reopen`."""

    def __init__(
        self, plan: Plan, folder: AblationFolder, registry: Registry, *, extension: Mapping[str, Any] | None = None
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.registry = registry
        self._extension = extension  # a new plan, written when its cells are run
        self.tuning = _known_tuning(plan, folder)

    @classmethod
    def start(cls, plan: Plan, registry: Registry, out: Path | None = None) -> Ablation:
        """Make the folder.

        Raises:
            ConfigError: it is in use, or cannot be made.
        """
        document = plan.document()
        remember(claims_of(document, registry))
        return cls(plan, AblationFolder.create(out, document), registry)

    @classmethod
    def reopen(
        cls, path: Path, registry: Registry, changes: dict[str, Any] | None = None, *, is_run: bool = True
    ) -> Ablation:
        """Continue an ablation from its folder.

        Args:
            changes: keys of `[ablate]` to change from now on: what is compared and how, never what is run.
            is_run: whether its cells will be run; a report calls no judge and needs no data.

        Raises:
            ConfigError: the folder is no ablation, or its plan needs something that the user has not accepted.
            SftframeError: something in its plan is missing now.
        """
        folder = AblationFolder.open(path)
        document = folder.read_plan()
        claims = claims_of(document, registry, inside=[path], asks_judge=is_run)
        require(path, claims if is_run else [claim for claim in claims if claim.key == "prompt.name"])
        plan = read_plan(merge(document, {"ablate": changes or {}}), registry, is_run=is_run)
        return cls(plan, folder, registry)

    @classmethod
    def extend(
        cls,
        path: Path,
        registry: Registry,
        changes: dict[str, Any] | None = None,
        *,
        seeds: int | Sequence[int] | None = None,
        axes: Sequence[Axis] = (),
        settings: Layer | None = None,
    ) -> Ablation:
        """Continue an ablation and add seeds and arms to it. The existing cells do not change.

        Args:
            changes: as for `reopen`.
            seeds: the new total number of seeds, or a list of seeds to add.
            axes: values to add to its axes, or new axes for options that its arms do not have.
            settings: keys with one value, which is added to an axis.

        Raises:
            SftframeError: as `reopen`; or the addition would change existing cells.
        """
        known = cls.reopen(path, registry, changes)
        document = known.folder.read_plan()
        extension = extended_document(known.plan.document(), seeds=seeds, axes=axes, settings=settings or {})
        plan = read_plan(extension, registry)
        check_cells_are_kept(known.plan, plan, path)
        written = plan.document()
        remember(claims_of(written, registry, inside=[path]))  # what was added comes from the user
        kept = {key: value for key, value in document["ablate"].items() if key in (changes or {})}
        table = {key: value for key, value in written["ablate"].items() if key not in (changes or {})}
        return cls(plan, known.folder, registry, extension={**written, "ablate": {**table, **kept}})

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, in the order in which they start."""
        return tuple(replace(self.plan.grid, arms=self.arms).cells())

    @property
    def arms(self) -> tuple[Arm, ...]:
        """All arms, with the settings that they have chosen."""
        return tuple(map(self.tuning.applied, self.plan.grid.arms))

    def state(self) -> list[CellResult]:
        """Every cell's state, read from its folder; nothing is run."""
        known = {state.run: state.error for state in self.folder.read_results().cells}
        cells = [(cell, self.folder.run_path(cell)) for cell in self.cells]
        errors = {path: known.get(str(path.relative_to(self.folder.path))) or "it is not complete" for _, path in cells}
        return [CellResult(cell=cell, path=path, error="" if is_done(path) else errors[path]) for cell, path in cells]

    def run(
        self,
        observer: AblationObserver,
        *,
        jobs: int = 1,
        disabled: Sequence[str] = (),
        elsewhere: Elsewhere | None = None,
    ) -> list[CellResult]:
        """Run the cells that are not complete yet, and return every cell's state in the order of the cells.

        Args:
            jobs: cells at the same time. More than one needs plugins that are installed.
            disabled: plugins that are not loaded.
            elsewhere: the launcher that runs the cells instead, with its resources; `jobs` counts for nothing then.

        Raises:
            ConfigError: the launcher cannot work; or a plugin has another version than in the cells that are complete.
            Interrupted: the user asked for a stop; the cells at work are saved.
        """
        if elsewhere is not None:
            elsewhere.launcher.check()
        cells = self.cells
        workers = _Workers(jobs=jobs, disabled=disabled, elsewhere=elsewhere)
        if not self._untuned:
            observer.planned(cells)
        errors: dict[int, str] = {}
        with self.folder.lock(), interruptible():
            try:
                await_earlier_workers(self.folder.workers_dir, observer)
                self._check_pieces(cells)
                if self._extension is not None:
                    self.folder.write_plan(self._extension)
                if self._untuned:
                    self._tune(observer, workers)
                    cells = self.cells
                    observer.planned(cells)
                for outcome in self._outcomes(self._jobs(cells, workers), observer, workers):
                    errors[outcome.number] = outcome.error
            except (KeyboardInterrupt, Interrupted):
                while_tuning = "while the arms were tuned, " if self._untuned else ""
                num_done = sum(is_done(self.folder.run_path(cell)) for cell in cells)
                raise Interrupted(
                    f"stopped {while_tuning}with {num_done} of {len(cells)} cells complete, the running cells are "
                    f"saved; continue with: sftframe ablate --resume {self.folder.path}"
                ) from None
        return [
            CellResult(cell=cell, path=self.folder.run_path(cell), error=errors[number])
            for number, cell in enumerate(cells)
        ]

    @property
    def _untuned(self) -> list[Arm]:
        """Arms that still have to choose."""
        return [arm for arm in self.plan.grid.arms if arm.slug in self.plan.tried and not self.tuning.of(arm.slug)]

    def _tune(self, observer: AblationObserver, workers: _Workers) -> None:
        """Let every arm choose, with runs that only train.

        Raises:
            TrainingError: all runs of an arm failed.
        """
        cells, work, arms = [], list[Job](), self._untuned
        for arm in arms:
            for number, settings in enumerate(self.plan.tried[arm.slug]):
                tried = with_settings(arm, settings)
                named = replace(tried, name=f"{arm.name} · {settings_in_words(settings)}", slug=f"{arm.slug}-{number}")
                for seed in self.plan.tune_seeds:
                    cells.append(Cell(arm=named, seed=seed))
                    work.append(
                        Job(
                            number=len(work),
                            path=self.folder.tried_path(arm, number, seed),
                            layer=merge(tried.layer, self._shared(workers), self._measured_once(tried), {"seed": seed}),
                            is_tuning=True,
                        )
                    )
        observer.note(f"tuning: {len(work)} runs that only train, measured on the validation part")
        observer.planned(cells)
        errors = {one.number: one.error for one in self._outcomes(work, observer, workers)}
        left = iter(work)
        found = [self._tuned_arm(arm, left, errors) for arm in arms]
        tuning = Tuning(seeds=self.plan.tune_seeds, arms=(*self.tuning.arms, *found))
        self.folder.write_tuning(tuning)
        self.tuning = tuning
        for job in work:
            with suppress(OSError):
                disk().remove(RunStore(job.path).model_dir)  # nothing reads these weights again

    def _tuned_arm(self, arm: Arm, jobs: Iterator[Job], errors: Mapping[int, str]) -> TunedArm:
        values = []
        for settings in self.plan.tried[arm.slug]:
            own = [next(jobs) for _ in self.plan.tune_seeds]
            measured = [(None, 0.0) if errors[job.number] else _validation_loss(RunStore(job.path)) for job in own]
            values.append(
                TriedValue(
                    settings=settings,
                    losses=tuple(loss for loss, _ in measured),
                    seconds=sum(seconds for _, seconds in measured),
                    error=next((errors[job.number] for job in own if errors[job.number]), ""),
                )
            )
        tuned = TunedArm(arm=arm.name, slug=arm.slug, values=tuple(values))
        if tuned.chosen.loss == math.inf:
            raise TrainingError(f"no value that is tuned can be trained in arm {arm.name}: {tuned.chosen.error}")
        return tuned

    def _measured_once(self, arm: Arm) -> Layer:
        """Settings that measure the whole validation part, at the end only if nothing depends on evaluations."""
        train = resolve(arm.layer, self.registry).train
        every = {} if train.keeps_best or train.patience else {"eval_every": ALL_EXAMPLES}
        return {"train": {"eval_examples": ALL_EXAMPLES, **every}}

    def _check_pieces(self, cells: Sequence[Cell]) -> None:
        """Check that every plugin has the version of the complete cells: cells of two versions cannot be compared."""
        paths = [self.folder.run_path(cell) for cell in cells]
        done = [path for path in paths if is_done(path)]
        if len(done) == len(paths):
            return
        for path in done:
            for seam, known in RunStore(path).manifest()["components"].items():
                is_recorded = isinstance(known, Mapping) and {"name", "plugin", "version"} <= known.keys()
                if seam == Seam.JUDGE or not is_recorded:
                    continue
                now = self.registry.provider(Seam(seam), str(known["name"]))
                made_with = (known["plugin"], known["version"])
                if made_with != (now.id, now.version):
                    raise ConfigError(
                        f"{path} was made with {known['name']} from {made_with[0]} {made_with[1]}, and now it is from "
                        f"{now.id} {now.version}: their cells cannot be compared; install the old version again, or "
                        "start a new ablation"
                    )

    def _outcomes(self, jobs: Sequence[Job], observer: AblationObserver, workers: _Workers) -> Iterator[CellOutcome]:
        left = [job for job in jobs if not job.is_done]
        yield from run_here([job for job in jobs if job not in left], self.registry, observer)
        if workers.elsewhere is not None:
            yield from run_elsewhere(
                left, workers.elsewhere, self.registry, disabled=workers.disabled, folder=self.folder, observer=observer
            )
        elif workers.jobs == 1:
            yield from run_here(left, self.registry, observer)
        else:
            yield from run_in_processes(
                left,
                num_processes=workers.jobs,
                disabled=workers.disabled,
                locks_dir=self.folder.workers_dir,
                observer=observer,
            )

    def _shared(self, workers: _Workers) -> Layer:
        """Settings of a cell that depend on how many are run at a time, and where."""
        if workers.elsewhere is not None:
            return {"threads": workers.elsewhere.cpus}
        if workers.jobs == 1:
            return {}
        total = self.plan.base.get("threads") or physical_cores()
        return {"threads": max(1, total // workers.jobs)}

    def _jobs(self, cells: Sequence[Cell], workers: _Workers) -> list[Job]:
        shared = {"before": self.plan.config.before, **self._shared(workers)}
        return [
            Job(
                number=number,
                path=self.folder.run_path(cell),
                layer=merge(cell.arm.layer, shared, {"seed": cell.seed}),
            )
            for number, cell in enumerate(cells)
        ]
