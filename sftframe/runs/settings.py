"""A run's settings after it was started: what may change, what was changed, and which changes are accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sftframe.config import Layer, RunConfig, flattened, merge, read_toml, validate
from sftframe.errors import ConfigError, brief
from sftframe.files import plain
from sftframe.plugins import SEAMS
from sftframe.runs.store import LoadedRun, RunStore, manifest_entry

_CHANGEABLE = ("judge", "generate", "before", "max_failures", "device", "threads", "out")
"""Sections and keys that may change each time a command works on a run."""
_FREE = tuple(
    f"train.{key}"
    for key in (
        "checkpoint_every",
        "keep_checkpoints",
        "keep_best",
        "log_every",
        "compile",
        "compact",
        "gradient_checkpointing",
        "parallel",
    )
)
"""Settings that change what is kept or how fast it is, but not what is trained."""
_ACCEPTABLE = ("train.", "seed", "dtype")
"""Settings that may be changed in the middle of a run, with `--accept-changes`."""


def read_changed_config(run: RunStore, layer: Layer) -> RunConfig:
    """The configuration of an existing run, changed by a layer.

    Raises:
        ConfigError: the layer changes what the run was made with; only judge, generation and machine may change.
    """
    recorded = run.config()
    config = validate(merge(recorded.model_dump(mode="json", exclude_none=True), _with_absolute_names(layer)))
    old, new = fixed_settings(recorded), fixed_settings(config)
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            raise ConfigError(
                f"{key} is {old.get(key)!r} in the run {run.path} and cannot become {new.get(key)!r}: "
                "leave it out, or make a new run with it"
            )
    return config


def _with_absolute_names(layer: Layer) -> Layer:
    """The layer with components' names as a run keeps them, so that the same name does not count as another one."""
    named = merge(layer)
    names = {seam: named[seam]["name"] for seam in SEAMS if isinstance(named.get(seam, {}).get("name"), str)}
    return merge(named, *({seam: {**named[seam], "name": absolute_path_or_text(name)}} for seam, name in names.items()))


def fixed_settings(config: RunConfig) -> dict[str, Any]:
    """What a run keeps from beginning to end, by full key; the data's hash takes the place of their paths."""
    pairs = flattened(config.model_dump(mode="json", exclude=set(_CHANGEABLE)))
    return {
        key: absolute_path_or_text(value) if isinstance(value, str) else value
        for key, value in pairs
        if key not in ("data.source", "data.test", "data.validation")
    }


def kept_settings(config: RunConfig) -> dict[str, Any]:
    """The settings that decide what is trained: those of `fixed_settings` that are set and not free."""
    kept = {key: value for key, value in fixed_settings(config).items() if value is not None and key not in _FREE}
    made: dict[str, Any] = plain(kept)
    return made


def changed_settings(run: RunStore) -> dict[str, tuple[Any, Any]]:
    """By full key the value in `config.toml` when the run was started and the value now, where these differ.

    Another path is no change by itself: the hashes of the files are compared.
    """
    recorded, now = run.manifest(), kept_settings(run.config())
    then = recorded.get("settings")
    if not isinstance(then, Mapping):  # an older run: what is known
        then = {key: recorded[key] for key in ("seed", "dtype") if key in recorded}
        now = {key: now.get(key) for key in then}
    # a default of a newer version is no change, also where a command of that version has written the whole file
    written = {key for key, _ in flattened(merge(read_toml(run.config_path)))}
    defaults = kept_settings(validate({}))
    now = {key: value for key, value in now.items() if key in then or (key in written and value != defaults.get(key))}
    pairs = {key: (then.get(key), now.get(key)) for key in sorted({*then, *now})}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1] and not all(map(_is_absolute, pair))}


def check_settings(run: RunStore, *, is_trained: bool) -> None:
    """Refuse to resume a run if its configuration was edited so that something else would be trained.

    Raises:
        ConfigError: the configuration was edited; the message says what was changed and what to do.
    """
    changes = changed_settings(run)
    if not changes:
        return
    listed = ", ".join(
        f"{key} is {setting_in_words(now)} and was {setting_in_words(then)}" for key, (then, now) in changes.items()
    )
    way = (
        f"or train its model further in a new run, with --set model.weights={run.model_dir}"
        if is_trained
        else f"accept the change with sftframe run --resume {run.path} --accept-changes, or make a new run"
    )
    raise ConfigError(f"{run.config_path} was changed since this run was started: {listed}; put it back, {way}")


def load_run(path: Path) -> LoadedRun:
    """A finished run, for a comparison: what it was trained with must be what its configuration says.

    Raises:
        ConfigError: there is none, it is not finished, a file is damaged, or the configuration was edited afterwards.
    """
    run = RunStore.open(path)
    loaded = run.load()
    if isinstance(loaded.manifest.get("settings"), Mapping):  # older runs do not say
        check_settings(run, is_trained=True)
    return loaded


def accept_changes(run: RunStore, *, step: int) -> str:
    """Write into the manifest which settings differ from a step on; the run continues with them.

    Args:
        step: the last step that was taken with the old settings.

    Returns:
        The changes in words; empty where there are none.

    Raises:
        ConfigError: a setting was changed that a run keeps from beginning to end.
    """
    changes = changed_settings(run)
    refused = [key for key in changes if not key.startswith(_ACCEPTABLE)]
    if refused:
        then, now = changes[refused[0]]
        raise ConfigError(
            f"{run.config_path}: {refused[0]} is {setting_in_words(now)} and was {setting_in_words(then)}: a run keeps "
            "it from beginning to end; put it back, or make a new run"
        )
    if not changes:
        return ""
    document = dict(run.manifest())
    known = document.get("changes")
    change = {
        "behind_step": step,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {key: {"was": then, "is": now} for key, (then, now) in changes.items()},
    }
    document["changes"] = [*(known if isinstance(known, list) else []), change]
    document["settings"] = kept_settings(run.config())
    run.write_manifest(document)
    return ", ".join(
        f"{key} {setting_in_words(then)} → {setting_in_words(now)}" for key, (then, now) in changes.items()
    )


def last_change(run: RunStore) -> int:
    """The step after which settings were last changed; 0 if they never were."""
    entries = run.manifest().get("changes")
    steps = [manifest_entry(one, "behind_step") for one in entries] if isinstance(entries, list) else []
    return max((step for step in steps if type(step) is int), default=0)


def _is_absolute(value: object) -> bool:
    return isinstance(value, str) and "\n" not in value and Path(value).is_absolute()


def setting_in_words(value: object) -> str:
    return "not set" if value is None else brief(value)


def absolute_path_or_text(value: str) -> str:
    """A path that exists, made absolute, so that the run can be resumed from another working directory.

    A component's name and a path after a colon, as in `hf:./folder`, keep the name.
    """
    named = _NAME_AND_TEXT.fullmatch(value)
    before, place = named.groups() if named else ("", value)
    path = Path(place)
    try:
        is_path = (bool(before) or "/" in place or len(path.parts) > 1 or path.suffix != "") and path.exists()
    except (OSError, ValueError):  # too long for a path, or with a character that no path has: a text
        return value
    return f"{before}{path.absolute()}" if is_path else value


_NAME_AND_TEXT = re.compile(r"([a-z0-9][a-z0-9._:-]+:)(.+)", re.DOTALL)
"""A component's name, of two letters or more (`c:` is a drive), and the text after it."""
