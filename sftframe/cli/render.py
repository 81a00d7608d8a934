"""Prints progress and warnings on stderr, and the results of a run on stdout.

A pipe gets lines without bars or colours.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sftframe.cli.console import Talk, err, one_line, out, prose, talk
from sftframe.cli.streams import write_json
from sftframe.escaping import escape_controls
from sftframe.progress import Observer, Sample
from sftframe.records import EvalRecord, Summary, Yardsticks

if TYPE_CHECKING:
    from sftframe.analysis import Yardstick
    from sftframe.pipeline import Session
    from sftframe.records import AnsweredItem


def fail(message: str) -> None:
    """Print an error, the last line of a command."""
    prose(err(), Text.assemble(("error: ", "bold red"), _in_one_line(message)))


def note(message: str) -> None:
    """Print information; not with `-q`."""
    if talk.get() > Talk.QUIET:
        prose(err(), Text(escape_controls(message)))


def warn(message: str) -> None:
    """Print a warning."""
    prose(err(), Text.assemble(("warning: ", "yellow"), _in_one_line(message)))


class TerminalObserver(Observer):
    """Shows bars in a terminal, and one line per stage elsewhere. Used as a context manager around a run."""

    def __init__(self) -> None:
        self._console = err()
        self._is_quiet = talk.get() is Talk.QUIET
        self._progress = Progress(
            SpinnerColumn("line" if self._console.options.ascii_only else "dots", finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            *([_Bar(bar_width=20)] if self._console.width >= 100 else []),
            _Figures(self._console.width),
            console=self._console,
            disable=not self._console.is_terminal or self._is_quiet,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._unit = ""
        self._done = 0
        self._started = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, stage: str, total: int | None, unit: str) -> None:
        self._stage, self._unit, self._done, self._started = stage, unit, 0, time.monotonic()
        self._task = self._progress.add_task(stage, total=total, unit=unit, figures={})

    def advance(self, amount: int = 1, **figures: float) -> None:
        self._done += amount
        if self._task is not None:
            known = self._progress.tasks[self._task].fields["figures"]
            self._progress.update(self._task, advance=amount, figures={**known, **figures})

    def end(self) -> None:
        seconds = time.monotonic() - self._started
        if self._task is not None:
            self._progress.update(self._task, total=self._done, completed=self._done)
        if not self._console.is_terminal and not self._is_quiet:
            counted = f"{self._done} {self._unit} in " if self._done else ""
            self._console.print(f"{self._stage}: {counted}{seconds:.1f} s", highlight=False)

    def note(self, text: str) -> None:
        if not self._is_quiet:
            prose(self._console, Text(escape_controls(text)))

    def warn(self, text: str) -> None:
        warn(text)

    def evaluated(self, record: EvalRecord, sample: Sample) -> None:
        if self._is_quiet:
            return
        question = " ".join(part for part in (sample.instruction, sample.input) if part)
        prose(
            self._console,
            Text.assemble(
                (f"step {record.step}", "bold"),
                f"  validation loss {record.validation_loss:.3f}, response NLL {record.response_nll_per_token:.3f}\n",
                ("  asked    ", "dim"),
                one_line(question),
                ("\n  answered ", "dim"),
                one_line(sample.answer),
            ),
        )


class MessageObserver(Observer):
    """Prints notes and warnings on stderr, but no progress."""

    def note(self, text: str) -> None:
        note(text)

    def warn(self, text: str) -> None:
        warn(text)


def show_result(session: Session, summary: Summary, *, as_json: bool) -> None:
    """Print the last table of a run, a few answers, and the paths of the files."""
    if as_json:
        _write_summary(summary)
        return
    console = out()
    console.print(_yardstick_table(summary))
    console.print(_cost_line(summary))
    for answered in session.showcase(3):
        console.print(_answer_panel(answered))
    folder = session.folder
    _print_lines(
        f"Report   {folder.report_path}",
        f"Answers  {folder.responses_json_path}",
        f"Loss     {folder.loss_png_path}",
        f"Model    {folder.model_dir}",
    )


def show_trained(session: Session, *, as_json: bool) -> None:
    """Print the result of `train`."""
    if as_json:
        _write_summary(session.summary())
        return
    out().print(_cost_line(session.summary()))
    _print_lines(f"Model  {session.folder.model_dir}", f"Next   sftframe generate {session.folder.path}")


def show_answered(session: Session, *, as_json: bool) -> None:
    """Print the result of `generate`."""
    if as_json:
        _write_summary(session.summary())
        return
    for answered in session.showcase(3):
        out().print(_answer_panel(answered))
    folder = session.folder
    _print_lines(f"Answers  {folder.responses_json_path}", f"Next     sftframe judge {folder.path}")


def _write_summary(summary: Summary) -> None:
    from sftframe.report import summary_document

    write_json(summary_document(summary))


def _print_lines(*lines: str) -> None:
    for line in lines:
        out().print(Text(line), soft_wrap=True)


def _in_one_line(message: str) -> str:
    """A message on one line, even if it quotes several."""
    line = escape_controls(" ".join(message.splitlines()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 500]} … {line[-500:]}"


_LONGEST = 2000
"""Most characters of a message; what it quotes may be long."""


class _Bar(BarColumn):
    """A bar while a counted stage runs; none when it is done or its length is not known."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]  # rich says a bar
        return Text() if task.finished or not task.total else super().render(task)


class _Figures(ProgressColumn):
    """The progress of a stage: units done, loss, speed, time taken and time left."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def render(self, task: Task) -> Text:
        figures = task.fields["figures"]
        parts = [_counted(task)] if task.completed or task.total else []
        if "loss" in figures:
            parts.append(f"loss {figures['loss']:.3f}")
        if self._width >= 100 and "tokens" in figures and figures.get("seconds"):
            parts.append(f"{figures['tokens'] / figures['seconds']:,.0f} tokens/s")
        return Text(", ".join([*parts, *_times(task)]), style="cyan", no_wrap=True, overflow="ellipsis")


def _counted(task: Task) -> str:
    unit, done = task.fields["unit"], int(task.completed)
    if unit == "bytes":
        return f"{done / 1e6:,.1f} MB" if task.finished or not task.total else f"{done / task.total:.0%}"
    is_over = task.finished or not task.total
    return f"{done:,} {unit}" if is_over else f"{done:,} of {int(task.total or 0):,} {unit}"


def _times(task: Task) -> list[str]:
    """The time of a task: taken, or taken and left; empty if it is short."""
    elapsed = task.finished_time if task.finished else task.elapsed
    if elapsed is None or elapsed < _INSTANT_S:
        return []
    if task.finished:
        return [f"in {_clock(elapsed)}"]
    left = [] if task.time_remaining is None else [f"{_clock(task.time_remaining)} left"]
    return [f"{_clock(elapsed)} elapsed", *left]


_INSTANT_S = 0.5
"""Seconds; a shorter stage is shown without its time."""


def _clock(seconds: float) -> str:
    """A time as text.

    >>> _clock(7.4), _clock(64), _clock(3700)
    ('0:07', '1:04', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _yardstick_table(summary: Summary) -> Table:
    table = Table(
        title=f"{summary.model} · {summary.prompt} · {summary.collate} · {summary.data} · seed {summary.seed}",
        title_justify="left",
    )
    table.add_column("on the test examples")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    from sftframe.analysis import YARDSTICKS

    shown = [yardstick for yardstick in YARDSTICKS if yardstick.key not in _NOT_SHOWN]
    for yardstick in sorted(shown, key=lambda yardstick: (yardstick.is_share, yardstick.score is not None)):
        label = yardstick.label[0].lower() + yardstick.label[1:]
        table.add_row(label, _figure(summary.before, yardstick), _figure(summary.after, yardstick))
    table.add_row(_judge_label(summary), _judged(summary.before), _judged(summary.after))
    return table


_NOT_SHOWN = ("judge", "length_ratio", "prompt_nll_per_token")
"""The judge has a row of its own, with the number of answers; the others are in the report."""


def _figure(yardsticks: Yardsticks | None, yardstick: Yardstick) -> str:
    value = None if yardsticks is None else yardsticks.figure(yardstick.key)
    if value is None:
        return "–"
    return f"{value:.1%}" if yardstick.is_share else f"{value:.3f}"


def _judge_label(summary: Summary) -> str:
    judge = next((y.judge for y in (summary.after, summary.before) if y is not None and y.judge), None)
    return f"judge {judge.name}, mean of 0-100" if judge else "judge"


def _judged(yardsticks: Yardsticks | None) -> str:
    judge = None if yardsticks is None else yardsticks.judge
    if judge is None or judge.mean is None:
        return "–"
    return f"{judge.mean:.1f} ({judge.num_scored} of {judge.num_items})"


def _cost_line(summary: Summary) -> Text:
    train = summary.train
    if train is None:
        return Text("not trained yet")
    return Text(
        f"{train.steps} steps, {train.tokens_seen:,} tokens in {train.seconds:.1f} s "
        f"({train.tokens_per_s:,.0f} tokens/s), peak memory {train.peak_memory_bytes / 2**30:.2f} GiB"
    )


def _answer_panel(item: AnsweredItem) -> Panel:
    number = len(item.turns)
    lines = [Text(f"after {number} {'exchange' if number == 1 else 'exchanges'}:", style="dim")] if number else []
    lines.append(Text(escape_controls(item.instruction), style="bold"))
    if item.input:
        lines.append(Text(escape_controls(item.input)))
    lines.append(Text.assemble(("reference  ", "dim"), escape_controls(item.reference)))
    lines.append(Text.assemble(("answer     ", "dim"), escape_controls(item.answer)))
    if item.verdict is not None:
        score = "no score" if item.score is None else f"{item.score:.0f}"
        lines.append(Text.assemble(("judge      ", "dim"), f"{score}  {escape_controls(item.reason)}"))
    return Panel(Group(*lines), title=f"test example {item.index}", title_align="left")
