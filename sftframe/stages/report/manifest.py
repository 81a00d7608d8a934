"""A run's manifest as tables: nested names and values, flattened to one line per value."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

MAX_VALUES = 12
"""Values of a list that are shown."""

Table = tuple[str, tuple[tuple[str, str], ...]]
"""A caption and its lines of name and value."""


_WORDS = {
    "lengths.num_examples": "examples",
    "lengths.num_tokens": "tokens",
    "lengths.longest": "longest example, tokens",
    "lengths.mean": "mean length, tokens",
    "lengths.max_length": "limit of length, tokens",
    "lengths.over_long": "examples over the limit",
    "lengths.num_dropped": "examples left out",
    "lengths.num_truncated": "examples cut",
    "lengths.num_tokens_cut": "tokens cut off",
    "lengths.prompt_cut": "examples cut in the prompt",
    "data.sha256": "SHA-256",
    "data.train": "examples to train on",
    "data.test": "test items",
    "data.validation": "validation examples",
    "data.duplicates.test_in_train": "test items that are also in train",
    "data.duplicates.test_in_validation": "test items that are also in validation",
    "data.duplicates.validation_in_train": "validation examples that are also in train",
    "machine.os": "operating system",
    "machine.python": "Python",
    "machine.cpu": "processor",
    "machine.physical_cores": "physical cores",
    "machine.memory_bytes": "memory, bytes",
    "machine.torch": "PyTorch",
    "machine.threads_before": "threads before sftframe chose",
    "machine.keeps_freed_memory": "keeps freed memory",
    "machine.spin_count": "rounds that an idle thread waits (GOMP_SPINCOUNT)",
    "machine.foreign_cores": "cores that other programs used",
    "tokenizer.sha256": "SHA-256",
    "tokenizer.vocab_size": "tokens in the vocabulary",
    "template.sha256": "SHA-256",
    "pairing.initial_weights": "initial weights",
    "pairing.order": "order of batches",
    "run.dtype": "number format",
}
"""Words for the keys that manifests have today. Settings and components keep the names by which they are set."""


def key_words(name: str, caption: str) -> str:
    """A manifest's key in words; a key without words stays as it is.

    >>> key_words("physical_cores", "machine"), key_words("new_key", "machine")
    ('physical cores', 'new_key')
    """
    return _WORDS.get(f"{caption}.{name}", name)


def manifest_tables(manifest: Mapping[str, Any]) -> tuple[Table, ...]:
    """One table per nested entry of the manifest, after one for the values at its top.

    >>> manifest_tables({"seed": 1, "machine": {"cpu": {"cores": 2}, "device": "cpu"}, "versions": {}})
    (('run', (('seed', '1'),)), ('machine', (('cpu.cores', '2'), ('device', 'cpu'))))
    """
    top = {name: value for name, value in manifest.items() if not isinstance(value, Mapping)}
    groups: dict[str, Any] = {"run": top}
    groups |= {str(name): value for name, value in manifest.items() if isinstance(value, Mapping)}
    tables = ((caption, tuple(_lines(group))) for caption, group in groups.items())
    return tuple(table for table in tables if table[1])


def repeat_command(run: str) -> str:
    """The command that repeats a run, into a folder next to it.

    >>> repeat_command("runs/my run")
    "sftframe run --config 'runs/my run/config.toml' --out 'runs/my run-again'"
    """
    folder = run.rstrip("/")
    return shlex.join(["sftframe", "run", "--config", f"{folder}/config.toml", "--out", f"{folder}-again"])


def _lines(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _lines(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list) for item in value):
        for position, item in enumerate(value):
            yield from _lines(item, f"{path}[{position}]")
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        shown = ", ".join(_text(item) for item in value[:MAX_VALUES])
        return f"{shown}, … ({len(value)} in all)" if len(value) > MAX_VALUES else shown or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
