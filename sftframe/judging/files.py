"""Judges answers that belong to no run: those of a file, or any list of items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sftframe.config import RunConfig
from sftframe.errors import Interrupted
from sftframe.interrupts import interruptible
from sftframe.judging.answered import read_answered_file
from sftframe.judging.asking import Judgement, Judging
from sftframe.progress import Observer
from sftframe.records import JudgeItem
from sftframe.registry import Registry, load_registry


def judge_file(
    path: Path | str,
    config: RunConfig | None = None,
    *,
    registry: Registry | None = None,
    observer: Observer | None = None,
    num_repeats: int = 1,
) -> Judgement:
    """Judge the answers in a JSON or JSON Lines file, as `sftframe judge FILE` does.

    Args:
        config: its `judge`, `max_failures` and `data.fields` count.
        num_repeats: how often every answer is judged, to measure the judge's own noise.

    Returns:
        One verdict per entry, in the file's order, failures too. `Judgement.check` says whether enough of them have a
        score.

    Raises:
        SftframeError: the file or the judge cannot be used.
    """
    config, observer = config or RunConfig(), observer or Observer()
    items = read_answered_file(Path(path), config).items
    judging = choose_judge(config, registry or load_registry(), observer)
    return judge_items(judging, items, num_repeats=num_repeats)


def choose_judge(config: RunConfig, registry: Registry, observer: Observer) -> Judging:
    """The judge that a configuration names, ready to be asked.

    Raises:
        ConfigError: the judge or an option does not exist.
        JudgeError: it cannot work here.
    """
    judge = registry.judge(config.judge.name, config.judge.options)
    judge.check()
    return Judging.of(config, judge, registry, observer)


def judge_items(judging: Judging, items: Sequence[JudgeItem], *, num_repeats: int = 1) -> Judgement:
    """Verdicts on items that belong to no run.

    Raises:
        Interrupted: the user or the system stopped it.
        JudgeError: the judge cannot continue.
    """
    with explained_interrupt(judging):
        return judging.judge_answers(items, stage="judge", num_repeats=num_repeats)


@contextmanager
def explained_interrupt(judging: Judging) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a message that says what is kept."""
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        kept = "the verdicts so far are in the cache: the same command continues" if judging.is_caching else ""
        raise Interrupted(f"stopped; {kept or 'no verdict is kept: the same command starts again'}") from None
