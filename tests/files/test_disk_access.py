"""What touches the disk, read from the source: writes go through one seam, and nothing that is read can run code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("sftframe/**/*.py"), *ROOT.glob("plugins/**/*.py")])

CHANGES = {"write_text", "write_bytes", "mkdir", "rmdir", "unlink", "rmtree", "rename", "renames", "fsync", "touch"} | {
    "save_file",
    "save_model",
    "symlink_to",
    "hardlink_to",
    "truncate",
}
"""Names of calls that change a disk. `replace` is a string's too, and is looked for with one argument."""

WRITES_ELSEWHERE = {
    "sftframe/files/atomic.py": "the seam itself; half a line is taken back after a write that failed",
    "sftframe/training/checkpoints.py": "safetensors' writers, called through Disk.fill",
    "sftframe/files/folders.py": "a new numbered folder, which must fail where there is one",
    "sftframe/network/downloads.py": "the cache of downloads: not in a run's folder, hashed when read",
    "sftframe/cli/chat_turns.py": "the history of questions",
    "sftframe/ablation/folder.py": "empty folders, in which runs are made",
    "sftframe/ablation/elsewhere.py": "a temporary folder where a cell runs, and copies of plugins that are sent",
    "sftframe/ablation/cells.py": "an empty folder for the workers' locks",
    "sftframe/testing/elsewhere.py": "a temporary folder, shared with processes of its own",
    "sftframe/testing/model.py": "a temporary folder, in which a model under test is saved and moved",
    "sftframe/trust.py": "empty files in the user's cache",
    "sftframe/judging/cache.py": "SQLite's files in the user's cache, which SQLite keeps whole",
}
"""Core modules that may, and why."""

UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
"""Modules whose readers run what they read."""


OWN_PROCESSES = {
    "sftframe/testing/elsewhere.py": "to a process that it started, by a pipe or a file that only the two know",
    "sftframe/distributed/ranks.py": "to the ranks of one job, by torch's store, which trusts its network",
}
"""Modules that send what they made themselves to a process of their own, and how."""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """The last name of every function that is called in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr, node
            elif isinstance(node.func, ast.Name):
                yield node.func.id, node


def changes_disk(name: str, call: ast.Call) -> bool:
    """Whether a call is one of those that change a disk."""
    if name == "replace":  # Path.replace(target); str.replace has two arguments, dataclasses.replace has keywords
        return len(call.args) == 1 and not call.keywords and isinstance(call.func, ast.Attribute)
    if name == "open":
        modes = [
            part.value for part in ast.walk(call) if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        return any(set(mode) <= set("wabxr+t") and set(mode) & set("wax+") for mode in modes if mode)
    return name in CHANGES


def is_unsafe(name: str, call: ast.Call) -> bool:
    """Whether a call may run what it reads: torch.load without weights_only, numpy.load with pickles."""
    keywords = {key.arg: key.value for key in call.keywords}
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if name == "load" and isinstance(owner, ast.Name) and owner.id == "torch":
        safe = keywords.get("weights_only")
        return not (isinstance(safe, ast.Constant) and safe.value is True)
    allowed = keywords.get("allow_pickle")
    return allowed is not None and not (isinstance(allowed, ast.Constant) and allowed.value is False)


def code(text: str) -> tuple[str, ast.Call]:
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    return (call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id), call  # type: ignore[attr-defined]


def test_the_core_changes_the_disk_through_one_class() -> None:
    found = {
        f"{path.relative_to(ROOT).as_posix()}:{call.lineno} {name}"
        for path in SOURCES
        if path.is_relative_to(ROOT / "sftframe") and path.relative_to(ROOT).as_posix() not in WRITES_ELSEWHERE
        for name, call in calls(path)
        if changes_disk(name, call) and "disk()" not in ast.unparse(call.func)
    }
    assert found == set()


@pytest.mark.parametrize(
    "text",
    ["path.write_text('x')", "a.replace(b)", "open(p, 'w')", "p.open(mode='ab')", "os.fsync(1)", "save_file(t, p)"],
)
def test_the_rule_of_one_class_fires(text: str) -> None:
    assert changes_disk(*code(text))


@pytest.mark.parametrize(
    "text", ["'a'.replace('b', 'c')", "replace(record, x=1)", "p.open('rb')", "open(p)", "p.read()"]
)
def test_the_rule_of_one_class_lets_reading_pass(text: str) -> None:
    assert not changes_disk(*code(text))


def test_nothing_that_is_read_can_run_code() -> None:
    imported = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if name.partition(".")[0] in UNSAFE and path.relative_to(ROOT).as_posix() not in OWN_PROCESSES
    }
    called = {
        f"{path.relative_to(ROOT)}:{call.lineno} {name}"
        for path in SOURCES
        for name, call in calls(path)
        if is_unsafe(name, call)
    }
    assert imported | called == set()


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p, allow_pickle=True)",
        "torch.load(p, map_location='cpu')",
    ],
)
def test_the_rule_against_pickles_fires(text: str) -> None:
    assert is_unsafe(*code(text))


def test_the_rule_against_pickles_lets_weights_pass() -> None:
    assert not is_unsafe(*code("torch.load(p, weights_only=True)"))
    assert not is_unsafe(*code("np.load(p)"))
