"""Verdicts that are kept: found for the same question only, by several processes, through kills and damage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import JudgeItem, JudgePair, Preference, Verdict
from sftframe.judging.cache import VerdictCache

ITEM = JudgeItem(index=4, instruction="Name it.", input="France", reference="Paris.", answer="Lyon.")
PAIR = JudgePair(index=4, instruction="Name it.", input="", reference="Paris.", first="Lyon.", second="Paris.")
VERDICT = Verdict(index=4, status="ok", score=12.5, reason="another city", raw='{"score": 12.5}', judge="j#1")
PREFERENCE = Preference(index=4, status="ok", winner="second", judge="j#1")


@pytest.fixture
def cache(tmp_path: Path) -> Callable[..., VerdictCache]:
    """`cache(judge)`: the file in `tmp_path`, opened anew; a warning fails the test."""

    def make(*judge: str) -> VerdictCache:
        return VerdictCache(judge or ("1.0", "j#1"), warn=pytest.fail, path=tmp_path / "verdicts.sqlite")

    return make


def test_a_verdict_is_found_again_word_for_word_under_the_new_index(cache: Callable[..., VerdictCache]) -> None:
    with cache() as kept:
        kept.keep(ITEM, VERDICT)
    with cache() as kept:
        asked = dataclasses.replace(ITEM, index=9)
        assert kept.find([asked], Verdict) == {9: dataclasses.replace(VERDICT, index=9)}


def test_items_that_ask_the_same_are_all_found(cache: Callable[..., VerdictCache]) -> None:
    with cache() as kept:
        kept.keep(ITEM, VERDICT)
        assert sorted(kept.find([dataclasses.replace(ITEM, index=index) for index in (3, 1)], Verdict)) == [1, 3]


@pytest.mark.parametrize("field", ["instruction", "input", "reference", "answer"])
def test_another_question_or_answer_is_not_known(cache: Callable[..., VerdictCache], field: str) -> None:
    with cache() as kept:
        kept.keep(ITEM, VERDICT)
        assert kept.find([dataclasses.replace(ITEM, **{field: "x"})], Verdict) == {}


@pytest.mark.parametrize("judge", [("1.1", "j#1"), ("1.0", "j#2"), ("1.0j#1",)])
def test_another_judge_or_version_knows_nothing_of_it(cache: Callable[..., VerdictCache], judge: tuple[str]) -> None:
    with cache() as kept:
        kept.keep(ITEM, VERDICT)
    with cache(*judge) as other:
        assert other.find([ITEM], Verdict) == {}


def test_the_first_verdict_is_no_answer_to_the_second_asking(cache: Callable[..., VerdictCache]) -> None:
    with cache() as kept:
        kept.keep(ITEM, VERDICT)
        assert kept.find([ITEM], Verdict, repeat=1) == {}
        kept.keep(ITEM, dataclasses.replace(VERDICT, score=90.0), repeat=1)
        found = [kept.find([ITEM], Verdict, repeat=repeat)[4].score for repeat in (0, 1)]
    assert found == [12.5, 90.0]


def test_a_preference_is_known_in_the_order_that_was_shown(cache: Callable[..., VerdictCache]) -> None:
    with cache() as kept:
        kept.keep(PAIR, PREFERENCE)
        assert kept.find([PAIR], Preference) == {4: PREFERENCE}
        assert kept.find([dataclasses.replace(PAIR, first="Paris.", second="Lyon.")], Preference) == {}


@pytest.mark.parametrize("status", ["unparsable", "timeout", "error"])
def test_a_failure_is_not_kept(cache: Callable[..., VerdictCache], status: Any) -> None:
    with cache() as kept:
        kept.keep(ITEM, Verdict(index=4, status=status, score=None))
        assert kept.find([ITEM], Verdict) == {}


def test_any_text_can_be_asked_about(cache: Callable[..., VerdictCache]) -> None:
    odd = dataclasses.replace(ITEM, answer="\x00 \ud800 👋🏽 \u202e" + "x" * 100_000)
    with cache() as kept:
        kept.keep(odd, dataclasses.replace(VERDICT, reason="\ud800"))
        assert kept.find([odd], Verdict)[4].reason == "\ud800"


def test_more_items_than_a_query_takes_are_found(cache: Callable[..., VerdictCache]) -> None:
    items = [dataclasses.replace(ITEM, index=index, answer=str(index)) for index in range(1100)]
    with cache() as kept:
        for item in items:
            kept.keep(item, dataclasses.replace(VERDICT, index=item.index, score=item.index / 11))
        found = kept.find(items, Verdict)
    assert [found[index].score for index in (0, 550, 1099)] == [0.0, 50.0, 1099 / 11]


def test_the_file_lies_under_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "elsewhere"))
    with VerdictCache(("j",), warn=pytest.fail) as kept:
        assert kept.path.parent == tmp_path / "elsewhere"
        assert kept.path.is_file()


WRITER = """
import sys
from pathlib import Path
from sftframe import JudgeItem, Verdict
from sftframe.judging.cache import VerdictCache

path, start = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
with VerdictCache(("j",), warn=sys.exit, path=path) as kept:
    for index in range(start, start + 100):
        item = JudgeItem(index=index, instruction=str(index), input="", reference="", answer="")
        kept.keep(item, Verdict(index=index, status="ok", score=float(index % 100), judge="j"))
        print(index, flush=True)
    sys.stdin.readline()
"""


def start_writer(path: Path, start: int) -> subprocess.Popen[str]:
    """A process that writes the verdicts `start` to `start + 99` once it gets a line, and stays until another."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start)], stdin=-1, stdout=-1, stderr=-1, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def read_all(path: Path, count: int) -> list[int]:
    items = [
        JudgeItem(index=index, instruction=str(index), input="", reference="", answer="") for index in range(count)
    ]
    with VerdictCache(("j",), warn=pytest.fail, path=path) as kept:
        return sorted(kept.find(items, Verdict))


def test_several_processes_write_into_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.sqlite"
    children = [start_writer(path, start) for start in (0, 100, 200, 300)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _, error = child.communicate("done\n", timeout=60)
        assert (child.returncode, error) == (0, "")
    assert read_all(path, 400) == list(range(400))


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is of POSIX")
def test_what_was_kept_before_a_kill_is_there_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.sqlite"
    child = start_writer(path, 0)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    told = [int(child.stdout.readline()) for _ in range(37)]
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    assert set(told) <= set(read_all(path, 100))


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside_with_a_warning_and_a_new_one_begun(tmp_path: Path, content: bytes) -> None:
    path, warnings = tmp_path / "verdicts.sqlite", []
    path.write_bytes(content)
    with VerdictCache(("j",), warn=warnings.append, path=path) as kept:
        kept.keep(ITEM, VERDICT)
        assert kept.find([ITEM], Verdict) == {4: VERDICT}
    assert [warning.partition(" is damaged: it is renamed to ")[2] for warning in warnings] == [
        f"{path}.damaged, and a new one is started"
    ]
    assert path.with_name("verdicts.sqlite.damaged").read_bytes() == content


def test_damage_that_shows_only_when_reading_is_met_in_the_same_way(tmp_path: Path) -> None:
    path, warnings = tmp_path / "verdicts.sqlite", []
    with VerdictCache(("j",), warn=warnings.append, path=path) as kept:
        for index in range(300):
            kept.keep(dataclasses.replace(ITEM, answer=str(index)), VERDICT)
    with path.open("r+b") as file:  # every page but the first, which holds the table's definition
        file.seek(4096)
        file.write(b"\xab" * (path.stat().st_size - 4096))
    with VerdictCache(("j",), warn=warnings.append, path=path) as kept:
        assert kept.find([dataclasses.replace(ITEM, answer="7")], Verdict) == {}
        kept.keep(ITEM, VERDICT)
        assert kept.find([ITEM], Verdict) == {4: VERDICT}
    assert len(warnings) == 1


def test_a_verdict_that_cannot_be_read_is_not_known(tmp_path: Path, cache: Callable[..., VerdictCache]) -> None:
    with cache() as kept:
        kept.keep(ITEM, VERDICT)
    connection = sqlite3.connect(tmp_path / "verdicts.sqlite")
    with connection:
        connection.execute("""UPDATE verdicts SET word = '{"status": "ok", "mark": 12}'""")
    connection.close()
    with cache() as kept:
        assert kept.find([ITEM], Verdict) == {}


def test_without_a_place_to_write_there_is_one_warning_and_no_cache(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    warnings: list[str] = []
    with VerdictCache(("j",), warn=warnings.append, path=tmp_path / "taken" / "verdicts.sqlite") as kept:
        kept.keep(ITEM, VERDICT)
        assert kept.find([ITEM], Verdict) == {}
    (warning,) = warnings
    assert warning.startswith("verdicts are not cached: the file ")


def test_a_question_with_other_accepted_references_is_another_one(cache: Callable[..., VerdictCache]) -> None:
    with cache() as kept:
        kept.keep(ITEM, VERDICT)
        assert kept.find([dataclasses.replace(ITEM, references=("Lutetia.",))], Verdict) == {}


def test_verdicts_from_before_items_had_several_references_are_found(
    cache: Callable[..., VerdictCache], tmp_path: Path
) -> None:
    seen = {"instruction": "Name it.", "input": "France", "reference": "Paris.", "answer": "Lyon."}
    asked = json.dumps(["JudgeItem", ["1.0", "j#1"], seen, 0], sort_keys=True)
    with cache() as kept:
        kept.keep(ITEM, VERDICT)
    with sqlite3.connect(tmp_path / "verdicts.sqlite") as file:
        ((key,),) = file.execute("SELECT key FROM verdicts")
    assert key == hashlib.sha256(asked.encode()).digest()
