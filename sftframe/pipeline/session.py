"""Work on one run: the stages in their order. Each can be done again from the run's folder alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe.config import Layer, RunConfig, merge
from sftframe.device import ForeignLoad, allowed_cores, choose_device, crowding, set_up_process
from sftframe.errors import DataError, JudgeError, TrainingError
from sftframe.files import RUNS_DIR, DiskError, check_inside
from sftframe.judging import Judgement, Judging
from sftframe.pipeline import manifest
from sftframe.pipeline.announcement import announce
from sftframe.pipeline.answers import answered_items, judge_files, mend, write_answers, write_responses_document
from sftframe.pipeline.locks import locked_run
from sftframe.pipeline.models import RunModels, load
from sftframe.pipeline.reporting import build_summary, write_report
from sftframe.pipeline.setup import (
    Components,
    Setup,
    check_answers_fit,
    check_first_step,
    check_memory,
    check_resources,
    disk_bytes,
    place_of,
    prepare_data,
    resolve,
    with_global_batch,
)
from sftframe.pipeline.training import FineTuning, drop_checkpoints
from sftframe.plugins import CausalLM
from sftframe.progress import Observer
from sftframe.records import AnsweredItem, Summary
from sftframe.registry import Registry, load_registry
from sftframe.runs import AnswerFiles, RunStore, accept_changes, check_settings, read_changed_config
from sftframe.training import Callback, check_lora, checkpoints, walled
from sftframe.trust import claims_of, judge_claims, remember, require, require_run

if TYPE_CHECKING:
    from sftframe.distributed.ranks import Ranks


class Session:
    """A run with its configuration, components and data. Made by `start` or `reopen`."""

    def __init__(
        self,
        setup: Setup,
        folder: RunStore,
        observer: Observer,
        *,
        untuned: CausalLM | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.setup = setup
        self.folder = folder
        self._observer = observer
        self._models = RunModels(setup, folder, observer, untuned=untuned)
        self._callbacks = callbacks
        self._is_reconfigured = False
        self._judge_options_given: tuple[str, ...] | None = None  # None: the user has chosen the judge for this run

    @classmethod
    def start(
        cls,
        layer: Layer,
        registry: Registry,
        observer: Observer,
        *,
        force: bool = False,
        skip_memory_check: bool = False,
        needs_judge: bool = True,
        callbacks: Iterable[Callback] = (),
        ranks: Ranks | None = None,
    ) -> Session:
        """Check everything, load the model, then make the run's folder with its configuration and manifest.

        Args:
            force: replace the run in `out`. Until the next version it is also a warning, not an error, that
                memory may not suffice.
            skip_memory_check: train even if memory may not suffice.
            needs_judge: check that the judge is there.
            callbacks: hear of the training.
            ranks: the other processes that train together with this one.

        Raises:
            SftframeError: something is wrong; nothing was made.
        """
        callbacks, others = walled(callbacks), ForeignLoad()
        config = with_global_batch(resolve(layer, registry), place_of(ranks))
        components = Components.choose(config, registry)
        remember(claims_of(layer, registry, asks_judge=needs_judge))
        device = check_resources(config, components, needs_judge=needs_judge)
        if config.out is not None:
            RunStore.check_place(config.out, force=force)
        process = set_up_process(config.threads, num_sharing=place_of(ranks).local_world_size)
        prepared = prepare_data(config, components, observer)
        check_answers_fit(config, components, prepared, components.backend.context_length())
        check_first_step(config, components, prepared)
        setup = Setup(
            config=config,
            registry=registry,
            components=components,
            prepared=prepared,
            device=device,
            process=process,
            ranks=ranks,
        )
        if not skip_memory_check:
            _check_memory(setup, observer, force=force)
        model = load(setup, observer)
        if config.train.lora is not None:
            check_lora(model.module, config.train.lora)
        setup = replace(setup, process=replace(process, foreign_cores=others.cores()))
        RunStore(config.out or RUNS_DIR).require_space(disk_bytes(model, config))
        label = f"{config.model.name}-{config.prompt.name}-{config.collate.name}"
        try:
            folder = RunStore.create(config.out, label=label, force=force)
            manifest.write_config(folder, config, components)
            manifest.write_manifest(folder, setup, model)
            folder.write_dropped_rows(setup.prepared.dataset.dropped)
        except DiskError as error:
            raise DiskError(
                f"{error}; the run was not started: make room, or choose another folder with --out"
            ) from error
        return cls(setup, folder, observer, untuned=model, callbacks=callbacks)

    @classmethod
    def resume(
        cls,
        path: Path,
        registry: Registry,
        observer: Observer,
        *,
        needs_judge: bool = True,
        accepts_changes: bool = False,
        layer: Layer | None = None,
        callbacks: Iterable[Callback] = (),
        ranks: Ranks | None = None,
    ) -> Session:
        """Resume a run that was interrupted, or start it, if its process was killed before the first step.

        Args:
            accepts_changes: resume although `config.toml` was edited so that something else is trained from here on;
                the manifest says what and since which step.
            layer: where the data are now.
            callbacks: hear of the training from here on.
            ranks: as in `start`; their number may be another one than before.

        Raises:
            SftframeError: as `reopen`; or the judge is not there.
        """
        folder = RunStore(path)
        if path.is_dir() and folder.is_half_made:
            check_inside(path)
            observer.note(f"the process of {path} was killed before the run started: it starts now")
            layer = folder.config().model_dump(mode="json", exclude_none=True)
            layer.pop("out", None)
            require(path, claims_of(layer, registry, inside=[path], asks_judge=needs_judge))
            return cls.start(
                {**layer, "out": path}, registry, observer, needs_judge=needs_judge, callbacks=callbacks, ranks=ranks
            )
        if accepts_changes:
            cls._accept_changes(RunStore.open(path), observer)
        session = cls.reopen(path, registry, observer, layer=layer, callbacks=callbacks, ranks=ranks)
        if needs_judge:
            session.check_judge()
        return session

    @staticmethod
    def _accept_changes(folder: RunStore, observer: Observer) -> None:
        if folder.is_trained:
            check_settings(folder, is_trained=True)
            return
        newest, _ = checkpoints.latest(folder.checkpoints_dir)
        with folder.lock():
            words = accept_changes(folder, step=newest.step if newest else 0)
        if words:
            observer.warn(f"settings were changed after step {newest.step if newest else 0}: {words}")

    @classmethod
    def reopen(
        cls,
        path: Path,
        registry: Registry,
        observer: Observer,
        *,
        layer: Layer | None = None,
        callbacks: Iterable[Callback] = (),
        ranks: Ranks | None = None,
    ) -> Session:
        """Continue a run from its folder.

        Args:
            layer: settings that differ from then on, for instance another judge.
            callbacks: hear of the training, if there is some left.
            ranks: as in `resume`.

        Raises:
            SftframeError: the folder is no run, its template, tokenizer or data are not those it was made with, or the
                layer changes what a run keeps.
        """
        callbacks = walled(callbacks)
        folder, others = RunStore.open(path), ForeignLoad()
        config = read_changed_config(folder, layer or {})
        registry = registry.preferring(folder.providers())
        require_run(path, registry, layer or {})
        check_settings(folder, is_trained=folder.is_trained)
        saved = folder.model_dir if folder.model_dir.is_dir() else None
        components = Components.choose(config, registry, saved=saved)
        manifest.check_unchanged(folder, components)
        cuts_beginning = manifest.cuts_beginning(folder)
        try:
            prepared = prepare_data(
                config,
                components,
                observer,
                saved=saved,
                is_begun=True,
                unread=manifest.unread_columns(folder),
                cuts_beginning=cuts_beginning,
            )
        except DataError as error:
            raise DataError(
                f"{error}; if the data of {path} were moved, give the new place: --set data.source=FILE (its content "
                "must be the same)"
            ) from error
        manifest.check_unchanged(folder, components, prepared)
        device = choose_device(config.device)
        process = set_up_process(config.threads, num_sharing=place_of(ranks).local_world_size)
        process = replace(process, foreign_cores=others.cores())
        setup = Setup(
            config=config,
            registry=registry,
            components=components,
            prepared=prepared,
            device=device,
            process=process,
            ranks=ranks,
        )
        session = cls(setup, folder, observer, callbacks=callbacks)
        session._is_reconfigured = bool(layer)
        session._judge_options_given = tuple(merge(layer or {}).get("judge", ()))
        return session

    def at_work(self) -> AbstractContextManager[None]:
        """Lock the run's folder; see `locked_run` for what is raised."""
        return locked_run(self.folder, self.setup.ranks)

    def run_all(self) -> Summary:
        """Every stage that is not done yet."""
        with self.at_work():
            mend(self.folder, self.setup.prepared, self._observer.warn)
            self.announce()
            if self.setup.config.before:
                self.measure_before()
            self.train()
            self.answer()
            try:
                self.judge()
            except JudgeError:
                self.report()  # shows what there is, and how much is missing
                raise
            return self.report()

    def warn_of_neighbours(self) -> None:
        """Warn if other processes use the cores that training will need."""
        process = self.setup.process
        line = crowding(process.foreign_cores, threads=process.threads, cores=allowed_cores())
        if line is not None:
            self._observer.warn(line)

    def announce(self) -> None:
        """Say what is about to happen: the pieces, the split and the lengths."""
        announce(self.setup, self._observer)

    def measure_before(self) -> None:
        """Likelihoods, answers and verdicts of the untuned model."""
        setup, files = self.setup, self.folder.answers("before")
        if not self._is_answered(files):
            write_answers(setup.config, setup.components, setup.prepared, self._models.untuned, files, self._observer)
        self._judged(files).check(setup.config.max_failures)

    def train(self) -> None:
        """Fine-tune, unless that is done."""
        if self._models.is_trained:
            drop_checkpoints(self.folder, self.setup.config)  # a process that was killed may not have come to it
            return
        setup, model = self.setup, self._models.untuned
        FineTuning(
            setup.config,
            setup.components,
            setup.prepared,
            model,
            self.folder,
            self._observer,
            callbacks=self._callbacks,
            ranks=setup.ranks,
        ).run()
        self._models.have_trained()

    def answer(self, *, again: bool = False) -> None:
        """Likelihoods and answers of the fine-tuned model.

        Args:
            again: forget the existing answers and verdicts; the untuned model's too if it has any, so that both
                models always answer in the same way.
        """
        setup, files, before = self.setup, self.folder.answers("after"), self.folder.answers("before")
        is_compared = again and before.responses.exists()
        if again:
            # nothing is forgotten if a model is missing
            models = [self._models.tuned, *([self._models.untuned] if is_compared else [])]
            check_answers_fit(setup.config, setup.components, setup.prepared, models[0].context_length)
            for old in (files, before):
                old.forget()
        self._keep_configuration()
        if is_compared:
            write_answers(setup.config, setup.components, setup.prepared, self._models.untuned, before, self._observer)
        if not self._is_answered(files):
            write_answers(setup.config, setup.components, setup.prepared, self._models.tuned, files, self._observer)
        write_responses_document(setup.prepared, self.folder)

    def judge(
        self,
        *,
        num_repeats: int = 1,
        on_judgement: Callable[[str, Judgement], None] = lambda label, judgement: None,
    ) -> None:
        """Verdicts on all answers that have none by this judge, the fine-tuned model's first.

        Args:
            num_repeats: how often to judge the fine-tuned model's answers, to see the judge's own noise.
            on_judgement: gets `after` or `before` and the verdicts, even if too many failed.

        Raises:
            JudgeError: it failed on more than `max_failures` of the items; all verdicts so far are kept.
        """
        setup = self.setup
        self._require_known_judge()
        self._keep_configuration()
        manifest.record_judge(self.folder, setup.config, setup.components, setup.registry)
        for files, repeats in ((self.folder.answers("after"), num_repeats), (self.folder.answers("before"), 1)):
            if files.responses.exists():
                judgement = self._judged(files, repeats)
                on_judgement(files.label, judgement)
                judgement.check(setup.config.max_failures)

    def _judged(self, files: AnswerFiles, num_repeats: int = 1) -> Judgement:
        setup = self.setup
        judging = Judging.of(setup.config, setup.components.judge, setup.registry, self._observer)
        return judge_files(judging, setup.prepared.test_examples(), files, num_repeats=num_repeats)

    def check_judge(self) -> None:
        """Check that the judge is there.

        Raises:
            JudgeError: it is not.
        """
        self._require_known_judge()
        self.setup.components.judge.check()

    def _require_known_judge(self) -> None:
        if self._judge_options_given is not None:
            path = self.folder.path
            require(path, judge_claims(self.setup.components.judge, self._judge_options_given, inside=[path]))

    def report(self) -> Summary:
        """Write `summary.json`, `loss.png` and `report.html` from the run's files."""
        self._keep_configuration()
        self._observer.begin("report", None, "files")
        summary = write_report(self.folder, self.setup.config, self.setup.components, self.setup.prepared)
        self._observer.end()
        return summary

    def summary(self) -> Summary:
        """What the run's files say so far."""
        return build_summary(self.folder, self.setup.config, self.setup.prepared)

    def showcase(self, count: int) -> list[AnsweredItem]:
        """A few test examples with their answers, spread over the test part."""
        answered = answered_items(
            self.folder.answers("after"), self.setup.prepared, str(self.folder.manifest()["judge"])
        )
        return answered[:: max(1, len(answered) // count)][:count]

    def _keep_configuration(self) -> None:
        """Write changed settings; only after `forget`, or answers of the old settings would count as theirs."""
        if self._is_reconfigured:
            manifest.write_config(self.folder, self.setup.config, self.setup.components)
            self._is_reconfigured = False

    def _is_answered(self, files: AnswerFiles) -> bool:
        known = {response.index for response in files.known_responses()}
        return files.likelihoods.exists() and known.issuperset(self.setup.prepared.test.indices)


def _check_memory(setup: Setup, observer: Observer, *, force: bool) -> None:
    """As `check_memory`; with `force` it is still only a warning, as in the version before."""
    longest = int(setup.prepared.train.lengths.max())
    try:
        check_memory(
            setup.config,
            setup.components.backend,
            longest=longest,
            device=setup.device,
            place=place_of(setup.ranks),
        )
    except TrainingError as error:
        if not force:
            raise
        observer.warn(f"{error}; --force continues this time; in the next version it only replaces a run")


def run(
    config: RunConfig | None = None,
    *,
    registry: Registry | None = None,
    observer: Observer | None = None,
    callbacks: Iterable[Callback] = (),
    force: bool = False,
    skip_memory_check: bool = False,
) -> Summary:
    """Fine-tune, answer, judge and report, as `sftframe run` does.

    Args:
        config: what differs from the defaults; what is not set is the model's own proposal, or the default.
        registry: the plugins to choose from; by default all that are installed.
        observer: gets the progress.
        callbacks: hear of the training: trackers, for example.
        force: replace the run in `config.out`.
        skip_memory_check: train even if memory may not suffice.

    Returns:
        What the run's `summary.json` says; `Summary.run` is its folder.

    Raises:
        SftframeError: with a message for the user and the exit code that the command would end with.
    """
    layer: Layer = (config or RunConfig()).model_dump(exclude_unset=True)
    session = Session.start(
        layer,
        registry or load_registry(),
        observer or Observer(),
        force=force,
        skip_memory_check=skip_memory_check,
        callbacks=callbacks,
    )
    return session.run_all()


def resume(
    path: Path,
    *,
    registry: Registry | None = None,
    observer: Observer | None = None,
    callbacks: Iterable[Callback] = (),
) -> Summary:
    """Resume a run that was interrupted, as `sftframe run --resume` does; finished work is not done again.

    Args:
        path: the run's folder.
        registry: the plugins to choose from; by default all that are installed.
        observer: gets the progress.
        callbacks: hear of the rest of the training.

    Raises:
        SftframeError: the folder is no run, or template, tokenizer or data have changed since.
    """
    return Session.resume(path, registry or load_registry(), observer or Observer(), callbacks=callbacks).run_all()
