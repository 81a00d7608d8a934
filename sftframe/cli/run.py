"""`sftframe run`, and its stages as single commands: `train`, `generate` and `report`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli import completion
from sftframe.cli.options import Run, argument, option
from sftframe.cli.ranks import NumProcesses, other_ranks, start_processes
from sftframe.cli.settings import MADE_WITH_THE_RUN, Settings, takes_settings
from sftframe.cli.streams import saved, write
from sftframe.errors import ConfigError

if TYPE_CHECKING:
    from sftframe.pipeline import Session
    from sftframe.progress import Observer


class ReportFormat(StrEnum):
    """Formats of a report."""

    HTML = "html"
    MD = "md"
    CSV = "csv"


Out = Annotated[
    Path | None,
    option("--out", metavar="DIR", help="The run's folder. Default: runs/NAME-N."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the run in the folder --out.")]
SkipMemoryCheck = Annotated[
    bool, typer.Option("--skip-memory-check", help="Train even if there may be too little memory.")
]
Reported = Annotated[
    Path,
    argument("DIR", "A run's or an ablation's folder.", completion.runs_and_ablations),
]
DocumentFormat = Annotated[
    ReportFormat,
    typer.Option("--format", help="For an ablation: html writes report.html; md and csv go to standard output."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Resume = Annotated[
    Path | None,
    option(
        "--resume", metavar="RUN", help="Continue an interrupted run with its own settings.", complete=completion.runs
    ),
]


AcceptChanges = Annotated[
    bool,
    typer.Option("--accept-changes", help="With --resume: continue even if config.toml was edited, and record that."),
]


@takes_settings()
def run(
    settings: Settings,
    out: Out = None,
    force: Force = False,
    skip_memory_check: SkipMemoryCheck = False,
    resume: Resume = None,
    accept_changes: AcceptChanges = False,
    nproc: NumProcesses = None,
    as_json: Json = False,
) -> None:
    """Fine-tune, answer the test questions, judge the answers and report.

    Example: sftframe run --prompt alpaca --collate mask-instruction
    """
    from sftframe.cli.render import TerminalObserver, show_result

    start_processes(nproc)
    with TerminalObserver() as observer:
        session = _session(
            settings,
            observer,
            out=out,
            force=force,
            skip_memory_check=skip_memory_check,
            resume=resume,
            accept_changes=accept_changes,
        )
        session.warn_of_neighbours()
        summary = session.run_all()
    with saved(session.folder.path):
        show_result(session, summary, as_json=as_json)


@takes_settings("--judge")
def train(
    settings: Settings,
    out: Out = None,
    force: Force = False,
    skip_memory_check: SkipMemoryCheck = False,
    resume: Resume = None,
    accept_changes: AcceptChanges = False,
    nproc: NumProcesses = None,
    as_json: Json = False,
) -> None:
    """Only fine-tune: the run's folder gets a model, but no answers yet.

    Example: sftframe train --epochs 1 --out runs/mine
    """
    from sftframe.cli.render import TerminalObserver, show_trained

    start_processes(nproc)
    with TerminalObserver() as observer:
        session = _session(
            settings,
            observer,
            out=out,
            force=force,
            skip_memory_check=skip_memory_check,
            resume=resume,
            accept_changes=accept_changes,
            needs_judge=False,
        )
        session.warn_of_neighbours()
        with session.at_work():
            session.announce()
            session.train()
    with saved(session.folder.path):
        show_trained(session, as_json=as_json)


@takes_settings("--judge", *MADE_WITH_THE_RUN)
def generate(path: Run, settings: Settings, nproc: NumProcesses = None, as_json: Json = False) -> None:
    """Answer the test questions again with a run's model, and with the untuned model if the run has its answers.

    Example: sftframe generate runs/mine --set generate.temperature=0.7
    """
    from sftframe.cli.render import TerminalObserver, show_answered

    start_processes(nproc)
    with TerminalObserver() as observer:
        session = _reopened(path, settings, observer)
        with session.at_work():
            session.answer(again=True)
    with saved(session.folder.path):
        show_answered(session, as_json=as_json)


@takes_settings("--judge", "--device", "--threads", *MADE_WITH_THE_RUN)
def report(
    path: Reported, settings: Settings, document_format: DocumentFormat = ReportFormat.HTML, as_json: Json = False
) -> None:
    """Write the report of a run or an ablation again. It does not train, answer or judge.

    It also writes a run's summary.json and loss.png, or an ablation's ablation.json.

    Example: sftframe report runs/mine
    """
    from sftframe.ablation import AblationFolder
    from sftframe.cli.render import TerminalObserver, show_result
    from sftframe.network.offline import no_network

    if AblationFolder(path).plan_path.is_file():
        with no_network("sftframe report"):
            _report_ablation(path, settings, document_format, as_json=as_json)
        return
    if document_format is not ReportFormat.HTML:
        raise ConfigError(
            f"--format {document_format.value} is for an ablation's folder, but {path} is a run's: leave --format out"
        )
    with no_network("sftframe report"), TerminalObserver() as observer:
        session = _reopened(path, settings, observer)
        with session.at_work():
            summary = session.report()
    with saved(session.folder.path):
        show_result(session, summary, as_json=as_json)


def _report_ablation(path: Path, settings: Settings, document_format: ReportFormat, *, as_json: bool) -> None:
    from sftframe.ablation import Ablation, conclude
    from sftframe.cli.ablate_render import show_comparison
    from sftframe.cli.render import warn
    from sftframe.report import comparison_csv, comparison_markdown

    if settings.layer(asks_judge=False):
        raise ConfigError(
            f"the report of an ablation takes no settings: change its yardstick, margin or baseline with "
            f"sftframe ablate --resume {path}"
        )
    ablation = Ablation.reopen(path, settings.registry(), is_run=False)
    cells = ablation.state()
    result = conclude(ablation, cells, asks_judge=False, warn=warn)
    if result is None:
        raise ConfigError(f"{path} has fewer than two arms with a complete run: sftframe ablate --resume {path}")
    if document_format is ReportFormat.HTML:
        with saved(path):
            show_comparison(ablation, cells, result, as_json=as_json)
    else:
        document = comparison_markdown if document_format is ReportFormat.MD else comparison_csv
        write(document(result))


def _session(
    settings: Settings,
    observer: Observer,
    *,
    out: Path | None,
    force: bool,
    skip_memory_check: bool,
    resume: Path | None,
    accept_changes: bool,
    needs_judge: bool = True,
) -> Session:
    """A new run, or the one to resume."""
    from sftframe.config import flattened, merge
    from sftframe.pipeline import Session

    if resume is None:
        if accept_changes:
            raise ConfigError("--accept-changes is for a resumed run: give --resume RUN too")
        settings = settings.with_found_config()
        settings.explain()
        layer = merge(settings.layer(asks_judge=needs_judge), {} if out is None else {"out": out})
        _check_force(settings, out, force=force)
        return Session.start(
            layer,
            settings.registry(),
            observer,
            force=force,
            skip_memory_check=skip_memory_check,
            needs_judge=needs_judge,
            ranks=other_ranks(),
        )
    layer = settings.layer(asks_judge=False)
    is_changed = any(key != "data.source" for key, _ in flattened(layer))
    if is_changed or out is not None or force or skip_memory_check:
        raise ConfigError(
            "a resumed run keeps its settings: leave the other settings out, except --data if the data are in another "
            "place now"
        )
    return Session.resume(
        resume,
        settings.registry(),
        observer,
        needs_judge=needs_judge,
        accepts_changes=accept_changes,
        layer=layer,
        ranks=other_ranks(),
    )


def _reopened(path: Path, settings: Settings, observer: Observer) -> Session:
    from sftframe.pipeline import Session

    return Session.reopen(
        path, settings.registry(), observer, layer=settings.layer(asks_judge=False), ranks=other_ranks()
    )


def _check_force(settings: Settings, out: Path | None, *, force: bool) -> None:
    """Check that a folder to replace is named by the user, not by a file."""
    if force and out is None and "out" not in settings.given() and "out" in settings.file_layer(asks_judge=False):
        raise ConfigError(
            f"--force replaces the folder that you name, and {settings.config_path} names another: give --out DIR too"
        )
