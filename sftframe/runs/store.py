"""The only reader and writer of a run's files: their names, types and lock; how a run is made, found and loaded.

Which folders may be used is decided in `sftframe.files.folders`; files are written by the functions of
`sftframe.files`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from sftframe.config import RunConfig, flattened, read_toml, validate
from sftframe.errors import ConfigError, brief
from sftframe.files import (
    CONFIG,
    MANIFEST,
    RUNS_DIR,
    check_inside,
    check_place,
    disk,
    is_half_made,
    is_marked,
    is_run,
    is_taken,
    make_named,
    make_numbered,
    plain,
    read_json_lines,
    require_space,
    write_json,
    write_json_lines,
    write_whole,
)
from sftframe.files.locks import hold
from sftframe.plugins import RUN_SEAMS
from sftframe.records import AnsweredItem, Likelihood, Response, TrainSummary, Verdict
from sftframe.registry import Seam
from sftframe.runs.records import read_json, read_object, read_record, read_records

Record = TypeVar("Record", Response, Verdict, Likelihood)

_REQUIRED = ("components", "data", "template", "tokenizer", "judge")
"""What the stages of an existing run read from its manifest."""
_TEXTS = ("judge", "data.source", "data.sha256", "template.sha256", "tokenizer.sha256")
_SECTIONS = ("components", "components.prompt")
Label = Literal["before", "after"]
"""Which model: the untuned one, or the fine-tuned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFiles:
    """The files of one model's measurements on the test examples."""

    label: Label
    likelihoods: Path
    responses: Path
    verdicts: Path

    def known_responses(self) -> list[Response]:
        """The answers written so far."""
        return [replace(response, ids=tuple(response.ids)) for response in _records(self.responses, Response)]

    def known_verdicts(self, judge: str) -> list[Verdict]:
        """The verdicts so far of the judge with this identity; its last verdict on an item counts."""
        latest = {verdict.index: verdict for verdict in self.all_verdicts() if verdict.judge == judge}
        return [latest[index] for index in sorted(latest)]

    def all_verdicts(self) -> list[Verdict]:
        """The verdicts of every judge, in the order in which they came."""
        return _records(self.verdicts, Verdict)

    def known_likelihoods(self) -> list[Likelihood]:
        """The likelihoods, once all of them are there."""
        return _records(self.likelihoods, Likelihood)

    def forget(self) -> None:
        """Delete the older measurements; verdicts first, so that none is ever found next to other answers."""
        for path in (self.verdicts, self.responses, self.likelihoods):
            disk().remove(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRun:
    """A finished run, as its files say."""

    path: Path
    seed: int
    settings: Mapping[str, Any]
    """Flat configuration, `train.lr` and the like."""
    pairing_hashes: Mapping[str, str]
    """SHA-256 by name of what two runs must share to be compared item by item."""
    judge: str
    """Identity of the judge whose scores the items have."""
    items: tuple[AnsweredItem, ...]
    summary: Mapping[str, Any]
    """`summary.json`."""
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunStore:
    """The folder of one run. Making the object reads and writes nothing.

    >>> RunStore(Path("runs/nano-1")).metrics_path.as_posix()
    'runs/nano-1/metrics.jsonl'
    """

    path: Path

    @classmethod
    def create(cls, path: Path | None, *, label: str, force: bool = False) -> Self:
        """A new folder, empty but for its marker.

        Args:
            path: where; None = `runs/LABEL-N` under the current directory, N one more than the highest there is.
            label: what the run is of; all but letters, digits, `-`, `_` and `.` becomes `-`.
            force: replace the run in `path`. Only a folder in which a run was made is ever emptied.

        Raises:
            ConfigError: `path` is in use, or cannot be made or written to.
        """
        return cls(make_numbered(label) if path is None else make_named(path, force=force))

    @staticmethod
    def check_place(path: Path | None, *, force: bool = False) -> None:
        """Check that `create` would accept the path, without making anything; for use before a long preparation.

        Raises:
            ConfigError: as `create`.
        """
        if path is not None:
            check_place(path, force=force)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The run that is in `path`.

        Raises:
            ConfigError: there is none; the message says what is missing and names the newest run nearby. Or it contains
                links, see `check_inside`.
        """
        run = cls(path)
        if not path.is_dir():
            raise ConfigError(f"no run at {path}: {_nearest(path)}")
        if run.is_half_made:
            raise ConfigError(
                f"{path} is half a run: its process was killed while it made the folder; "
                f"start it with: sftframe run --resume {path}"
            )
        if run.is_empty:
            raise ConfigError(
                f"{path} has no settings: its process was killed before it wrote them; "
                f"run the same command again with --out {path}"
            )
        missing = [file.name for file in (run.config_path, run.manifest_path) if not file.is_file()]
        if missing:
            raise ConfigError(f"{path} is not a run: it has no {' and no '.join(missing)}; {_nearest(path)}")
        check_inside(path)
        return run

    @property
    def is_half_made(self) -> bool:
        """Whether its process was killed after it wrote the configuration and before the manifest: nothing was
        started."""
        return is_half_made(self.path)

    @property
    def is_empty(self) -> bool:
        """Whether its process was killed after it made the folder and before it wrote anything else."""
        return is_marked(self.path) and not is_taken(self.path)

    @property
    def config_path(self) -> Path:
        """The resolved configuration."""
        return self.path / CONFIG

    @property
    def manifest_path(self) -> Path:
        """Versions, plugin ids, hashes, seeds and the machine."""
        return self.path / MANIFEST

    @property
    def metrics_path(self) -> Path:
        """`StepRecord`s and `EvalRecord`s, one per line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints_dir(self) -> Path:
        """A folder `step-N` per checkpoint."""
        return self.path / "checkpoints"

    @property
    def model_dir(self) -> Path:
        """What `CausalLM.save` wrote after training."""
        return self.path / "model"

    @property
    def responses_path(self) -> Path:
        """`Response`s of the fine-tuned model to the test examples, one per line."""
        return self.path / "responses.jsonl"

    @property
    def responses_json_path(self) -> Path:
        """The test entries with `model_response` added, in the chapter's format."""
        return self.path / "responses.json"

    @property
    def verdicts_path(self) -> Path:
        """`Verdict`s on `responses_path`, one per line."""
        return self.path / "verdicts.jsonl"

    @property
    def before_responses_path(self) -> Path:
        """`Response`s of the model before fine-tuning."""
        return self.path / "responses-before.jsonl"

    @property
    def before_verdicts_path(self) -> Path:
        """`Verdict`s on `before_responses_path`."""
        return self.path / "verdicts-before.jsonl"

    @property
    def likelihoods_path(self) -> Path:
        """`Likelihood`s of the fine-tuned model on the test examples, one per line."""
        return self.path / "likelihoods.jsonl"

    @property
    def before_likelihoods_path(self) -> Path:
        """`Likelihood`s of the model before fine-tuning."""
        return self.path / "likelihoods-before.jsonl"

    @property
    def items_path(self) -> Path:
        """`AnsweredItem`s, one per line: every test item with its answer, likelihood and verdict."""
        return self.path / "items.jsonl"

    @property
    def train_path(self) -> Path:
        """The `TrainSummary`, once training is done."""
        return self.path / "train.json"

    @property
    def summary_path(self) -> Path:
        """The `Summary`."""
        return self.path / "summary.json"

    @property
    def dropped_rows_path(self) -> Path:
        """The rows of the data that were left out, one per line: file, entry, line, reason and message."""
        return self.path / "dropped-rows.jsonl"

    @property
    def loss_png_path(self) -> Path:
        """The loss curves."""
        return self.path / "loss.png"

    @property
    def report_path(self) -> Path:
        """The report, one self-contained page."""
        return self.path / "report.html"

    def answers(self, label: Label) -> AnswerFiles:
        """The measurements of one of the two models."""
        is_after = label == "after"
        return AnswerFiles(
            label=label,
            likelihoods=self.likelihoods_path if is_after else self.before_likelihoods_path,
            responses=self.responses_path if is_after else self.before_responses_path,
            verdicts=self.verdicts_path if is_after else self.before_verdicts_path,
        )

    @property
    def is_trained(self) -> bool:
        """Whether training has ended and its model is there."""
        return self.model_dir.is_dir() and self.train_path.exists()

    @property
    def is_finished(self) -> bool:
        """Whether its last report has been written."""
        return self.items_path.exists() and self.summary_path.exists()

    def config(self) -> RunConfig:
        """The configuration.

        Raises:
            ConfigError: it cannot be read, or a value is not allowed.
        """
        return validate(read_toml(self.config_path))

    def manifest(self) -> Mapping[str, Any]:
        """The manifest.

        Raises:
            ConfigError: it is missing or damaged.
        """
        document = read_object(self.manifest_path)
        missing = [key for key in _REQUIRED if key not in document]
        if missing:
            raise ConfigError(
                f"{self.manifest_path} has no {missing[0]!r}: it was not written by this version of sftframe, or "
                "changed"
            )
        for kind, names in ((str, _TEXTS), (Mapping, _SECTIONS)):
            wrong = next((name for name in names if not isinstance(manifest_entry(document, name), kind)), None)
            if wrong is not None:
                raise ConfigError(
                    f"{self.manifest_path}: {wrong} is {brief(manifest_entry(document, wrong))}, expected "
                    f"{'text' if kind is str else 'an object'}: the file was changed or is damaged"
                )
        return document

    def providers(self) -> dict[Seam, str]:
        """The plugin id of each component, as far as the manifest says."""
        components = self.manifest()["components"]
        found = {seam: manifest_entry(components, f"{seam.value}.plugin") for seam in RUN_SEAMS}
        return {seam: plugin for seam, plugin in found.items() if isinstance(plugin, str)}

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`; empty before training.

        Raises:
            ConfigError: a line is no JSON.
        """
        return read_json_lines(self.metrics_path) if self.metrics_path.exists() else []

    def train_summary(self) -> TrainSummary | None:
        """What training cost; None before its end."""
        if not self.train_path.exists():
            return None
        return read_record(TrainSummary, read_json(self.train_path), self.train_path)

    def items(self) -> tuple[AnsweredItem, ...]:
        """The test items as the last report shows them.

        Raises:
            ConfigError: there was no report yet, or a line is no item.
        """
        return tuple(read_records(AnsweredItem, self.items_path))

    def load(self) -> LoadedRun:
        """The whole run, for comparisons.

        Raises:
            ConfigError: the run is not finished, or a file is damaged.
        """
        if not self.is_finished:
            raise ConfigError(f"{self.path} is not finished: finish it with sftframe run --resume {self.path}")
        manifest, summary = read_object(self.manifest_path), read_object(self.summary_path)
        said = read_record(_Identity, manifest, self.manifest_path)
        read_record(_Measured, summary, self.summary_path)
        return LoadedRun(
            path=self.path,
            seed=said.seed,
            settings=dict(flattened(read_toml(self.config_path))),
            pairing_hashes=said.pairing,
            judge=said.judge,
            items=self.items(),
            summary=summary,
            manifest=manifest,
        )

    def write_config(self, document: Mapping[str, Any]) -> None:
        """Write `config.toml`."""
        import tomli_w

        write_whole(self.config_path, tomli_w.dumps(document))

    def write_manifest(self, document: Mapping[str, Any]) -> None:
        """Write `manifest.json`."""
        write_json(self.manifest_path, document)

    def write_items(self, items: Iterable[AnsweredItem]) -> None:
        """Write `items.jsonl`."""
        write_whole(self.items_path, "".join(f"{json.dumps(_line(item))}\n" for item in items))

    def write_dropped_rows(self, rows: Sequence[object]) -> None:
        """Write the rows that were left out; no file if there are none."""
        if rows:
            write_json_lines(self.dropped_rows_path, rows)

    def require_space(self, num_bytes: int) -> None:
        """Check early that a run fits on the disk.

        Raises:
            ConfigError: it does not.
        """
        require_space(self.path, num_bytes, "the run")

    def lock(self) -> AbstractContextManager[None]:
        """Lock the run, so that no other process writes to it; the lock ends with its process.

        Raises:
            ConfigError: another process has the lock; the message says which.
        """
        return hold(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """Required entries of a manifest."""

    seed: int
    pairing: dict[str, str]
    judge: str
    tokenizer: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    counted_share: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """Entries of a summary that are shown."""

    train: _Trained | None = None


def manifest_entry(document: object, name: str) -> object:
    """The value under a dotted name; None where there is none."""
    for key in name.split("."):
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def _records(path: Path, kind: type[Record]) -> list[Record]:
    return read_records(kind, path) if path.exists() else []


def _line(item: AnsweredItem) -> dict[str, Any]:
    """An item as a JSON object; without group and conversation as older versions wrote it."""
    line: dict[str, Any] = plain(item)
    default = {"group": "", "system": "", "turns": [], "speaker": "user", "tools": ""}
    return {key: value for key, value in line.items() if key not in default or value != default[key]}


def _nearest(path: Path) -> str:
    """What to try instead of a path that is no run: the newest run in it, next to it or in `runs/`."""
    for folder in (path, path.parent, RUNS_DIR):
        found = list(_runs_in(folder))
        if found:
            newest = max(found, key=lambda run: run.manifest_path.stat().st_mtime)
            return f"the newest run nearby is {newest.path}"
    return "there are no runs nearby; `sftframe run` makes one"


def _runs_in(folder: Path) -> Iterable[RunStore]:
    return (RunStore(path) for path in folder.glob("*") if is_run(path))
