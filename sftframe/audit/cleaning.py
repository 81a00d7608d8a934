"""A cleaned file: the rows that are kept, and beside it the rows that are not, with the reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sftframe.audit.examination import Audit
from sftframe.audit.kinds import KINDS, Kind, find_kind
from sftframe.data import DroppedRow
from sftframe.errors import ConfigError
from sftframe.files import write_json_lines
from sftframe.records import Example, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """Which rows are kept."""

    kept: tuple[Example, ...]
    dropped: tuple[tuple[Example, tuple[str, ...]], ...]
    """Each with the names of all kinds for which it is left out."""
    part_of: Mapping[int, str] = field(default_factory=dict)
    """By index the part of a row: it stays in it, whatever other rows go."""
    invalid: tuple[DroppedRow, ...] = ()
    """Entries that cannot be read, and so cannot be written again."""

    def reasons(self) -> dict[str, int]:
        """Dropped rows by their first reason, in the order of `KINDS`; they sum up to all of them."""
        first = [reasons[0] for _, reasons in self.dropped]
        return {kind.name: first.count(kind.name) for kind in KINDS if kind.name in first}


def kinds_to_drop(add: Iterable[str], keep: Iterable[str]) -> tuple[Kind, ...]:
    """The kinds that a cleaned file leaves out: those that are always wrong, with changes.

    Raises:
        ConfigError: an unknown kind, or one that is both added and kept.

    >>> [kind.name for kind in kinds_to_drop(["refusal"], ["duplicate"])]
    ['empty-output', 'refusal']
    """
    added, kept = ({find_kind(name).name for name in names} for names in (add, keep))
    both = sorted(added & kept)
    if both:
        raise ConfigError(f"{both[0]!r} is both in --drop and in --keep; expected one of them")
    return tuple(kind for kind in KINDS if kind.name in added or (kind.is_dropped and kind.name not in kept))


def clean(examples: Sequence[Example], found: Audit, kinds: Collection[Kind]) -> Cleaning:
    """Choose the rows that stay when the rows of these kinds go."""
    reasons: dict[int, list[str]] = {}
    for finding in found.findings:
        if finding.kind in kinds:
            for index in finding.to_drop:
                reasons.setdefault(index, []).append(finding.kind.name)
    return Cleaning(
        kept=tuple(example for example in examples if example.index not in reasons),
        dropped=tuple((example, tuple(reasons[example.index])) for example in examples if example.index in reasons),
        part_of=found.part_of,
        invalid=found.invalid,
    )


def dropped_path(path: Path) -> Path:
    """Where the rows that are left out go: `clean.dropped.jsonl` beside `clean.jsonl`."""
    return path.with_name(f"{path.stem}.dropped.jsonl")


def check_target(path: Path) -> None:
    """Check before any work that a cleaned file can be written there.

    Raises:
        ConfigError: another ending than .jsonl, or it exists already.
    """
    if path.suffix != ".jsonl":
        raise ConfigError(f"--write {path}: expected a name that ends in .jsonl")
    for target in (path, dropped_path(path)):
        if target.exists():
            raise ConfigError(f"{target} exists already and is not changed: give another name, or move it away first")


def write_clean(path: Path, cleaning: Cleaning) -> None:
    """Write the rows that are kept, and those that are not with their index and reasons; both whole or not at all."""
    unread = ({"reasons": ["invalid"], **asdict(row)} for row in cleaning.invalid)
    left_out = (
        {"index": example.index, "reasons": reasons, **_entry_with_part(example, cleaning)}
        for example, reasons in cleaning.dropped
    )
    write_json_lines(dropped_path(path), (*unread, *left_out))
    write_json_lines(path, (_entry_with_part(example, cleaning) for example in cleaning.kept))


def settings_for(cleaning: Cleaning) -> tuple[str, ...]:
    """The settings with which a cleaned file is read as it was: the fields of parts and groups."""
    has_groups = any(example.group for example in cleaning.kept)
    return (*(("data.part=part",) if cleaning.part_of else ()), *(("data.group=group",) if has_groups else ()))


def _entry_with_part(example: Example, cleaning: Cleaning) -> dict[str, Any]:
    part = cleaning.part_of.get(example.index)
    return entry(example) if part is None else {**entry(example), "part": part}


def entry(example: Example) -> dict[str, Any]:
    """A row in the form in which sftframe reads it again.

    >>> entry(Example(instruction="Add.", input="1 2", output="3", index=7))
    {'instruction': 'Add.', 'input': '1 2', 'output': '3'}
    >>> turn = Turn(instruction="Hi.", output="Hello.", weight=0)
    >>> entry(Example(instruction="Bye.", output="Bye.", turns=(turn,), index=0))["messages"][1]
    {'role': 'assistant', 'content': 'Hello.', 'weight': 0}
    """
    group = {"group": example.group} if example.group else {}
    exchanges: tuple[Turn | Example, ...] = (*example.turns, example)
    is_plain = not example.tools and all(
        one.weight == 1 and one.speaker == "user" and not one.is_call for one in exchanges
    )
    if is_plain:
        output = example.output if not example.references else [example.output, *example.references]
        history = {"history": [[_asked(turn), turn.output] for turn in example.turns]} if example.turns else {}
        system = {"system": example.system} if example.system else {}
        return {
            "instruction": example.instruction,
            "input": example.input,
            "output": output,
            **system,
            **history,
            **group,
        }
    messages: list[dict[str, Any]] = []
    if example.system:
        messages.append({"role": "system", "content": example.system})
    for turn in example.turns:
        messages += _exchange(turn)
    messages += _exchange(example)
    return {"messages": messages, **({"tools": example.tools} if example.tools else {}), **group}


def _asked(turn: Turn | Example) -> str:
    return "\n\n".join(part for part in (turn.instruction, turn.input) if part)


def _exchange(turn: Turn | Example) -> list[dict[str, Any]]:
    answer: dict[str, Any] = {"role": "function_call" if turn.is_call else "assistant", "content": turn.output}
    if turn.weight != 1:
        answer["weight"] = turn.weight
    return [{"role": turn.speaker, "content": _asked(turn)}, answer]
