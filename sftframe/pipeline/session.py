"""Work on one run: the stages in their order. Each can be done again from the run's folder alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from sftframe.config import Layer, RunConfig, merge
from sftframe.data import Dataset, counted, likely_families, num_duplicates, torn_groups, unused_columns_text
from sftframe.device import ForeignLoad, allowed_cores, choose_device, crowding, set_up_process
from sftframe.errors import ConfigError, DataError, Interrupted, JudgeError, TrainingError
from sftframe.files import RUNS_DIR, DiskError, check_inside, remove_leftovers
from sftframe.interrupts import interruptible
from sftframe.judging import Judgement, Judging
from sftframe.pipeline import manifest
from sftframe.pipeline.answers import answered_items, judge_files, mend, write_answers, write_responses_document
from sftframe.pipeline.reporting import build_summary, write_report
from sftframe.pipeline.setup import (
    Components,
    Setup,
    check_answers_fit,
    check_first_step,
    check_memory,
    check_resources,
    disk_bytes,
    prepare_data,
    resolve,
)
from sftframe.pipeline.training import FineTuning, drop_checkpoints
from sftframe.plugins import CausalLM
from sftframe.plugins.guard import is_out_of_memory
from sftframe.progress import Observer
from sftframe.prompts import control_tokens_in
from sftframe.records import AnsweredItem, Example, Summary
from sftframe.registry import Registry, load_registry
from sftframe.runs import AnswerFiles, RunStore, accept_changes, check_settings, read_changed_config
from sftframe.training import Callback, check_lora, checkpoints, walled
from sftframe.trust import claims_of, judge_claims, remember, require, require_run


class RunModels:
    """The untuned and the fine-tuned model of a run.

    Args:
        untuned: the untuned model where it is loaded already.
    """

    def __init__(self, setup: Setup, folder: RunStore, observer: Observer, *, untuned: CausalLM | None = None) -> None:
        self._setup = setup
        self._folder = folder
        self._observer = observer
        self._untuned = untuned
        self._tuned: CausalLM | None = None

    @property
    def is_trained(self) -> bool:
        """Whether the folder has the fine-tuned model and the summary of its training."""
        return self._folder.is_trained

    @property
    def untuned(self) -> CausalLM:
        """The model before training.

        Raises:
            SftframeError: its weights are missing, or are not those of the run's manifest.
        """
        if self._untuned is None:
            self._untuned = load(self._setup, self._observer)
            manifest.check_weights(self._folder, self._untuned)
        return self._untuned

    @property
    def tuned(self) -> CausalLM:
        """The model after training.

        Raises:
            ConfigError: the run has none yet.
        """
        if self._tuned is None:
            if not self.is_trained:
                raise ConfigError(f"{self._folder.path} has no model yet: train it first with sftframe run --resume")
            self._tuned = load(self._setup, self._observer, saved=self._folder.model_dir)
        return self._tuned

    def have_trained(self) -> None:
        """Note that training changed the untuned model in place; `untuned` then loads it again."""
        self._tuned, self._untuned = self._untuned, None


def load(setup: Setup, observer: Observer, saved: Path | None = None) -> CausalLM:
    """Load a run's model: the untuned one, or what training saved."""
    observer.begin("load model", None, "models")
    model = setup.components.backend.load(device=setup.device, dtype="float32", seed=setup.config.seed, saved=saved)
    observer.end()
    return model


@contextmanager
def locked_run(folder: RunStore) -> Iterator[None]:
    """Lock a run's folder, and turn Ctrl-C, SIGTERM and SIGHUP into a message that says how to continue.

    Raises:
        ConfigError: another process works on the run.
        DiskError: the disk is full, or cannot be written for another reason; what was done before it is saved.
        Interrupted: somebody stopped it; what was done is saved.
        TrainingError: memory ran out.
    """
    try:
        with interruptible(), folder.lock():
            remove_leftovers(folder.path)
            yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped, what was saved so far is kept; continue with: sftframe run --resume {folder.path}"
        ) from None
    except DiskError as error:
        raise DiskError(
            f"{error}; what was saved before it is kept: make room or repair the disk, then continue with: "
            f"sftframe run --resume {folder.path}"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            "out of memory while measuring or answering: lower generate.batch_size or "
            "generate.max_cache_bytes, and --batch-size, or choose a smaller model; "
            f"what was saved so far is kept in {folder.path}"
        ) from error


def announce(setup: Setup, observer: Observer) -> None:
    """Report the pieces of the run, and warn of unused text and of cut, dropped or repeated examples."""
    config, lengths, parts = setup.config, setup.prepared.lengths, setup.prepared.split
    observer.note(
        f"model {config.model.name} · prompt {config.prompt.name} · collate {config.collate.name} · "
        f"judge {config.judge.name} · data {config.data.source} · seed {config.seed}"
    )
    observer.note(
        f"{len(parts.train)} train, {len(parts.test)} test and {len(parts.validation)} validation examples; "
        f"tokens: mean {lengths.mean:.1f}, longest {lengths.longest}, at most {lengths.max_length}"
    )
    announce_data(setup.prepared.dataset, observer)
    for line in about_turns(setup.config, setup.prepared.dataset):
        observer.note(line)
    for line in about_unweighted_tests(setup.prepared.test_examples()):
        observer.warn(line)
    if lengths.over_long:
        observer.warn(
            f"{len(lengths.over_long)} examples are over {lengths.max_length} tokens: {lengths.num_dropped} dropped, "
            f"{lengths.num_truncated} cut by {lengths.num_tokens_cut} tokens"
        )
    for line in _about_words(setup):
        observer.warn(line)
    num_repeated = num_duplicates(parts).test_in_train
    if num_repeated:
        observer.warn(f"{num_repeated} test examples are in the training data too")
    for line in _about_groups(setup):
        observer.note(line)
    if config.data.group is None and not any(example.group for example in parts.test):
        families = likely_families(parts.test, [example.output for example in parts.test])
        if families is not None:
            observer.note(
                f"{families.told}: if these go together, all count like as few as {families.fewest:,.0f} independent "
                f"ones, so {families.setting}, or say that they do not belong together with --set data.group=false"
            )


def _about_groups(setup: Setup) -> Iterator[str]:
    """That named groups are in two parts: what is measured on them is not about new groups.

    Nothing is said of the bundled data, whose families are in all parts on purpose.
    """
    data, parts = setup.config.data, setup.prepared.split
    num_examples, num_groups = torn_groups(parts)
    if not num_examples or not (data.group or data.keep_groups_together):
        return
    told = (
        f"{num_examples:,} of {len(parts.test):,} test examples are of {num_groups:,} "
        f"group{'s' * (num_groups != 1)} that the training data have too, so the answers say little about new groups"
    )
    if data.keep_groups_together:
        yield f"{told}: parts that have a file or entries of their own are kept as they are"
    else:
        yield f"{told}; data.keep_groups_together=true keeps every group in one part"


def _about_words(setup: Setup) -> Iterator[str]:
    """What the prompt style's own words and stop strings will do with this tokenizer and these outputs."""
    style, parts = setup.components.style, setup.prepared.split
    for name in control_tokens_in(style, setup.components.tokenizer):
        yield (
            f"prompt style {style.name!r} writes {name!r}, the name of a control token: this run trains it as the "
            "ordinary tokens of its letters, but other programs read one token, so the model cannot be exported"
        )
    for stop in style.stop_strings:
        cut = {
            label: count
            for label, part in (("train", parts.train), ("test", parts.test))
            if (count := sum(stop in example.output for example in part))
        }
        if cut:
            numbers = " and ".join(f"{count} {label}" for label, count in cut.items())
            yield (
                f"{numbers} outputs contain {stop!r}, the text at which prompt style {style.name!r} stops an answer: "
                "answers end there and are never the whole output; choose another style, or change the data"
            )


def about_turns(config: RunConfig, dataset: Dataset) -> Iterator[str]:
    """Which answers of conversations count; nothing about data without any."""
    talks = [example for example in dataset.examples if example.turns]
    if talks:
        is_last = config.collate.turns == "last"
        which = "the last answer alone counts" if is_last else "every answer counts"
        other = "all counts every answer" if is_last else "last counts the last one alone"
        num_earlier = 0 if is_last else sum(not turn.weight for example in talks for turn in example.turns)
        num_without = num_earlier + sum(not example.weight for example in talks)
        except_ = f", except {num_without:,} with the weight 0," if num_without else ","
        yield (
            f"{len(talks):,} of {len(dataset.examples):,} examples are conversations: {which}{except_} as collate "
            f"{config.collate.name} says (collate.turns={other})"
        )


def about_unweighted_tests(examples: Sequence[Example]) -> Iterator[str]:
    """That answers which are not trained are measured as if they were right.

    Args:
        examples: of the test part.
    """
    number = sum(not example.weight for example in examples)
    if number:
        yield (
            f"{number:,} of {len(examples):,} test examples end in an answer with the weight 0, which is still the "
            "reference of the judge and the answer whose likelihood is measured: end these conversations with their "
            "last answer that counts, or read the last exchanges alone without these with data.turns=last and "
            "data.invalid=drop"
        )


def announce_data(dataset: Dataset, observer: Observer) -> None:
    """Report how a file was read: its shape if it is not the usual one, what was changed, dropped and not read.

    Dropped rows are a warning, and so are columns that are not read if one of them contains text.
    """
    if dataset.shape != _USUAL_SHAPE:
        observer.note(f"{dataset.source}: read as {dataset.shape}")
    for done, count in dataset.changes.items():
        observer.note(f"{dataset.source}: {done} (in {count:,} of {dataset.num_rows:,} entries)")
    if dataset.dropped:
        reasons = [
            f"{count:,} × {reason}" for reason, count in counted([row.reason for row in dataset.dropped]).items()
        ]
        more = f", … ({len(reasons)} reasons in all)" if len(reasons) > _MOST_REASONS else ""
        observer.warn(
            f"{dataset.source}: {len(dataset.dropped):,} of {dataset.num_rows:,} entries dropped: "
            f"{', '.join(reasons[:_MOST_REASONS])}{more}"
        )
    columns = dataset.unused_columns
    if not columns:
        return
    message = f"{dataset.source}: {unused_columns_text(columns, dataset.num_rows)}"
    if any(column.has_text for column in columns):
        way = "" if all(one.is_message_key for one in columns) else ". --set data.fields.FIELD=NAME reads a column"
        observer.warn(f"{message}; the model does not see them{way}")
    else:
        observer.note(message)


_USUAL_SHAPE = "instruction/input/output"
_MOST_REASONS = 8


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
    ) -> Session:
        """Check everything, load the model, then make the run's folder with its configuration and manifest.

        Args:
            force: replace the run in `out`. Until the next version it is also a warning, not an error, that
                memory may not suffice.
            skip_memory_check: train even if memory may not suffice.
            needs_judge: check that the judge is there.
            callbacks: hear of the training.

        Raises:
            SftframeError: something is wrong; nothing was made.
        """
        callbacks, others = walled(callbacks), ForeignLoad()
        config = resolve(layer, registry)
        components = Components.choose(config, registry)
        remember(claims_of(layer, registry, asks_judge=needs_judge))
        device = check_resources(config, components, needs_judge=needs_judge)
        if config.out is not None:
            RunStore.check_place(config.out, force=force)
        process = set_up_process(config.threads)
        prepared = prepare_data(config, components, observer)
        check_answers_fit(config, components, prepared, components.backend.context_length())
        check_first_step(config, components, prepared)
        setup = Setup(
            config=config, registry=registry, components=components, prepared=prepared, device=device, process=process
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
    ) -> Session:
        """Resume a run that was interrupted, or start it, if its process was killed before the first step.

        Args:
            accepts_changes: resume although `config.toml` was edited so that something else is trained from here on;
                the manifest says what and since which step.
            layer: where the data are now.
            callbacks: hear of the training from here on.

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
            return cls.start({**layer, "out": path}, registry, observer, needs_judge=needs_judge, callbacks=callbacks)
        if accepts_changes:
            cls._accept_changes(RunStore.open(path), observer)
        session = cls.reopen(path, registry, observer, layer=layer, callbacks=callbacks)
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
    ) -> Session:
        """Continue a run from its folder.

        Args:
            layer: settings that differ from then on, for instance another judge.
            callbacks: hear of the training, if there is some left.

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
        process = replace(set_up_process(config.threads), foreign_cores=others.cores())
        setup = Setup(
            config=config, registry=registry, components=components, prepared=prepared, device=device, process=process
        )
        session = cls(setup, folder, observer, callbacks=callbacks)
        session._is_reconfigured = bool(layer)
        session._judge_options_given = tuple(merge(layer or {}).get("judge", ()))
        return session

    def at_work(self) -> AbstractContextManager[None]:
        """Lock the run's folder; see `locked_run` for what is raised."""
        return locked_run(self.folder)

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
        check_memory(setup.config, setup.components.backend, longest=longest, device=setup.device)
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
