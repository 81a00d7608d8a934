import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sftframe.errors import ConfigError
from sftframe.files import JsonLines, plain, read_json_lines, replace_dir, whole_dir, write_json, write_whole
from sftframe.records import JudgeSummary, Role, Segment, Verdict, Yardsticks

on_unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither umask nor resource limits")


def run_with_small_files(code: str, folder: Path) -> None:
    """Run code in a process in which no file may grow over 1,000 bytes: a disk that is full."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    done = subprocess.run([sys.executable, "-c", limit + code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_file_is_made_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, b"old, and longer")
    write_whole(path, "é\r\n")
    assert path.read_bytes() == b"\xc3\xa9\r\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@on_unix
def test_a_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@on_unix
def test_a_write_that_fails_half_way_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "old")
    run_with_small_files(
        """
from pathlib import Path
from sftframe.errors import ConfigError
from sftframe.files import write_whole
try:
    write_whole(Path("a.txt"), "x" * 2000)
except ConfigError as error:
    assert str(error) == "cannot write a.txt: File too large", error
else:
    raise SystemExit("the disk was not full")
""",
        tmp_path,
    )
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_parent_that_vanished_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot write .*gone/a\.txt: No such file or directory$"):
        write_whole(tmp_path / "gone" / "a.txt", "x")


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "a" / "inside").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"^cannot write .*a: Is a directory$"):
        write_whole(tmp_path / "a", "x")
    assert [entry.name for entry in tmp_path.rglob("*")] == ["a", "inside"]


def test_records_are_written_as_nested_objects(tmp_path: Path) -> None:
    judged = JudgeSummary(name="reference", mean=61.5, ci95=(50.0, 73.0), num_scored=9, num_items=10)
    yardsticks = Yardsticks(
        response_nll_per_token=0.5, response_nll_per_byte=float("inf"), prompt_nll_per_token=float("nan"), judge=judged
    )
    write_json(tmp_path / "a.json", {"after": yardsticks, "run": Path("runs") / "a-1"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "after": {\n    "response_nll_per_token": 0.5,\n    "response_nll_per_byte": null,\n')
    assert text.endswith("}\n")
    assert json.loads(text)["after"]["judge"]["ci95"] == [50.0, 73.0]
    assert json.loads(text)["run"] == "runs/a-1"


def test_roles_are_written_by_their_names_as_values_and_as_keys() -> None:
    assert plain(Segment(Role.RESPONSE, "x")) == {"role": "response", "text": "x"}
    assert plain({Role.END: 1.0}) == {"end": 1.0}


def test_half_a_character_is_written_as_its_escape(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"raw": "ä \ud83d"})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"raw": "ä \ud83d"}


def test_a_value_that_is_not_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text() == "1\n"


def make_dir(path: Path, content: str) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "a.txt").write_text(content)
    return path


def test_a_finished_folder_gets_its_name(tmp_path: Path) -> None:
    replace_dir(make_dir(tmp_path / ".making", "new"), tmp_path / "model")
    assert (tmp_path / "model" / "deep" / "a.txt").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_finished_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    make_dir(tmp_path / "model", "old")
    (tmp_path / "model" / "stale.txt").write_text("x")
    make_dir(tmp_path / ".model.old", "left by a kill")
    replace_dir(make_dir(tmp_path / ".making", "new"), tmp_path / "model")
    assert [entry.name for entry in (tmp_path / "model").iterdir()] == ["deep"]
    assert (tmp_path / "model" / "deep" / "a.txt").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_cannot_be_renamed_leaves_the_old_one(tmp_path: Path) -> None:
    make_dir(tmp_path / "model", "old")
    with pytest.raises(ConfigError, match=r"^cannot write .*model: No such file or directory$"):
        replace_dir(tmp_path / "never-made", tmp_path / "model")
    assert (tmp_path / "model" / "deep" / "a.txt").read_text() == "old"


def test_a_file_in_the_place_of_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    with pytest.raises(ConfigError, match=r"^cannot write .*model: Not a directory$"):
        replace_dir(make_dir(tmp_path / ".making", "new"), tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


def test_a_folder_is_filled_beside_its_place(tmp_path: Path) -> None:
    with whole_dir(tmp_path / "model") as making:
        (making / "a.txt").write_text("new")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "a.txt").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_could_not_be_filled_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    make_dir(tmp_path / "model", "old")

    def fill() -> None:
        with whole_dir(tmp_path / "model") as making:
            (making / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert (tmp_path / "model" / "deep" / "a.txt").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


@dataclass(frozen=True)
class Line:
    n: int


def test_records_are_appended_across_openings(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with JsonLines(path) as lines:
        lines.append(Line(1))
        lines.append({"text": "ä\u2028\n"})
    with JsonLines(path) as lines:
        lines.append(Verdict(index=3, status="ok", score=float("nan")))
    assert path.read_bytes().count(b"\n") == 3
    first, second, third = read_json_lines(path)
    assert (first, second) == ({"n": 1}, {"text": "ä\u2028\n"})
    assert (third["index"], third["score"]) == (3, None)


def test_a_line_is_in_the_file_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "a.jsonl") as lines:
        lines.append(Line(1))
        assert (tmp_path / "a.jsonl").read_bytes() == b'{"n": 1}\n'


def test_a_kill_at_any_byte_costs_at_most_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    content = b'{"n": 1}\n{"n": 22}\n{"n": 3}\n'
    for cut in range(len(content) + 1):
        # a line is whole with its closing brace: the 8th, 18th and 27th byte
        whole = [{"n": n} for n, end in ((1, 8), (22, 18), (3, 27)) if end <= cut]
        path.write_bytes(content[:cut])
        assert read_json_lines(path) == whole
        with JsonLines(path) as lines:
            lines.append(Line(4))
        assert read_json_lines(path) == [*whole, {"n": 4}]


def test_zeros_that_a_power_cut_left_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n' + bytes(40))
    with JsonLines(path) as lines:
        lines.append(Line(2))
    assert path.read_bytes() == b'{"n": 1}\n{"n": 2}\n'


@on_unix
def test_a_line_that_does_not_fit_on_the_disk_leaves_those_before_it(tmp_path: Path) -> None:
    run_with_small_files(
        """
from pathlib import Path
from sftframe.errors import ConfigError
from sftframe.files import JsonLines
lines = JsonLines(Path("a.jsonl"))
lines.append({"n": 1})
try:
    lines.append({"text": "x" * 2000})
except ConfigError as error:
    assert str(error) == "cannot write a.jsonl: File too large", error
else:
    raise SystemExit("the disk was not full")
lines.append({"n": 2})
lines.close()
""",
        tmp_path,
    )
    assert (tmp_path / "a.jsonl").read_bytes() == b'{"n": 1}\n{"n": 2}\n'


@pytest.mark.parametrize("bad", [b'{"n": ', b"[1]", b"", b"\xff"], ids=["cut", "list", "blank", "not UTF-8"])
def test_a_bad_line_before_the_last_is_named(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n' + bad + b'\n{"n": 3}\n')
    with pytest.raises(
        ConfigError,
        match=r"a\.jsonl: line 2 is not a JSON object with finite numbers: the file was changed or is damaged$",
    ):
        read_json_lines(path)


def test_a_file_of_lines_that_is_missing_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot read .*a\.jsonl: No such file or directory$"):
        read_json_lines(tmp_path / "a.jsonl")


def test_lines_cannot_be_written_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot write .*gone/a\.jsonl: No such file or directory$"):
        JsonLines(tmp_path / "gone" / "a.jsonl")


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "a.jsonl")
    lines.close()
    lines.close()
    assert read_json_lines(tmp_path / "a.jsonl") == []
