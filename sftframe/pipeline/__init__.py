"""The only package that knows every stage: a whole run, and its stages one by one, as Python functions."""

from __future__ import annotations

from pathlib import Path

from sftframe.config import Layer, RunConfig
from sftframe.pipeline.session import Session
from sftframe.progress import Observer
from sftframe.records import Summary
from sftframe.registry import Registry, load_registry

__all__ = ["Session", "resume", "run"]


def run(
    config: RunConfig | None = None,
    *,
    registry: Registry | None = None,
    observer: Observer | None = None,
    force: bool = False,
    skip_memory_check: bool = False,
) -> Summary:
    """Fine-tune, answer, judge and report, as `sftframe run` does.

    Args:
        config: what differs from the defaults; what is not set is the model's own proposal, or the default.
        registry: the plugins to choose from; by default all that are installed.
        observer: gets the progress.
        force: replace the run in `config.out`.
        skip_memory_check: train even if memory may not suffice.

    Returns:
        What the run's `summary.json` says; `Summary.run` is its folder.

    Raises:
        SftframeError: with a message for the user and the exit code that the command would end with.
    """
    layer: Layer = (config or RunConfig()).model_dump(exclude_unset=True)
    session = Session.start(
        layer, registry or load_registry(), observer or Observer(), force=force, skip_memory_check=skip_memory_check
    )
    return session.run_all()


def resume(path: Path, *, registry: Registry | None = None, observer: Observer | None = None) -> Summary:
    """Resume a run that was interrupted; finished work is not done again.

    Raises:
        SftframeError: the folder is no run, or template, tokenizer or data have changed since.
    """
    return Session.resume(path, registry or load_registry(), observer or Observer()).run_all()
