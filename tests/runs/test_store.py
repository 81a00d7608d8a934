import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sftframe.errors import ConfigError
from sftframe.files import free_bytes
from sftframe.runs import RunStore

HOLDER = """
import sys
from pathlib import Path
from sftframe.runs.store import RunStore
with RunStore(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty current directory, with a home elsewhere."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return here


def make_run(path: Path, age_s: int = 0) -> RunStore:
    """A run as the pipeline leaves one, last written to `age_s` seconds after the epoch."""
    run = RunStore.create(path, label="x")
    for file in (run.config_path, run.manifest_path):
        file.write_text("{}")
        os.utime(file, (age_s, age_s))
    run.checkpoints_dir.mkdir()
    (run.checkpoints_dir / "deep.bin").write_bytes(b"x")
    return run


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_every_file_of_a_run_has_its_place() -> None:
    run = RunStore(Path("r"))
    places = (
        run.config_path,
        run.manifest_path,
        run.metrics_path,
        run.checkpoints_dir,
        run.model_dir,
        run.responses_path,
        run.responses_json_path,
        run.verdicts_path,
        run.before_responses_path,
        run.before_verdicts_path,
        run.likelihoods_path,
        run.before_likelihoods_path,
        run.train_path,
        run.summary_path,
        run.loss_png_path,
        run.report_path,
    )
    assert [place.name for place in places] == [
        "config.toml",
        "manifest.json",
        "metrics.jsonl",
        "checkpoints",
        "model",
        "responses.jsonl",
        "responses.json",
        "verdicts.jsonl",
        "responses-before.jsonl",
        "verdicts-before.jsonl",
        "likelihoods.jsonl",
        "likelihoods-before.jsonl",
        "train.json",
        "summary.json",
        "loss.png",
        "report.html",
    ]
    assert {place.parent for place in places} == {Path("r")}


def test_runs_without_a_folder_are_numbered() -> None:
    made = [RunStore.create(None, label="nano").path for _ in range(2)]
    assert made == [Path("runs/nano-1"), Path("runs/nano-2")]
    assert all(path.is_dir() for path in made)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("hf:acme/one@v1-alpaca", "hf-acme-one-v1-alpaca-1"),
        ("hf:/home/me/models/tiny-alpaca", "hf-home-me-models-tiny-alpaca-1"),
        ("hf:../tiny-alpaca", "hf-..-tiny-alpaca-1"),
        ("../..", "run-1"),
        ("x" * 300 + "-alpaca", "x" * 93 + "-alpaca-1"),
    ],
)
def test_a_label_of_any_text_names_one_folder(label: str, name: str) -> None:
    assert RunStore.create(None, label=label).path == Path("runs") / name


def test_the_number_is_one_more_than_the_highest_of_the_same_label() -> None:
    for name in ("nano-9", "nano-x", "nano-prompt-12", "other-30", "7"):
        Path("runs", name).mkdir(parents=True)
    assert RunStore.create(None, label="nano").path == Path("runs/nano-10")


def test_runs_that_start_at_once_get_folders_of_their_own() -> None:
    together, made = threading.Barrier(8), []

    def start() -> None:
        together.wait()
        made.append(RunStore.create(None, label="nano").path)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [Path(f"runs/nano-{n}") for n in range(1, 9)]


def test_a_file_in_the_way_of_runs_is_said_so() -> None:
    Path("runs").write_text("")
    with pytest.raises(
        ConfigError, match=r"^cannot make the run's folder runs: File exists; choose another with --out$"
    ):
        RunStore.create(None, label="nano")


def test_a_new_folder_is_made_with_its_parents() -> None:
    run = RunStore.create(Path("a/b"), label="x")
    assert run.path == Path("a/b")
    assert run.path.is_dir()


def test_an_empty_folder_is_taken_and_so_is_one_that_a_run_left_before_its_first_file() -> None:
    Path("a").mkdir()
    RunStore.create(Path("a"), label="x")
    with RunStore.create(Path("a"), label="x").lock():
        pass
    assert RunStore.create(Path("a"), label="x").path == Path("a")


def test_a_run_is_never_overwritten_without_force() -> None:
    make_run(Path("a"))
    before = names(Path("a"))
    with pytest.raises(ConfigError) as caught:
        RunStore.create(Path("a"), label="x")
    assert str(caught.value) == "a contains a run already: choose another --out, or replace it with --force"
    assert caught.value.exit_code == 2
    assert names(Path("a")) == before


def test_force_empties_the_folder_of_a_run() -> None:
    make_run(Path("a"))
    Path("a/.part").write_text("litter")
    run = RunStore.create(Path("a"), label="x", force=True)
    assert [name for name in names(run.path) if name not in (".sftframe", ".lock")] == []


def test_force_empties_what_a_run_left_that_broke_off_before_its_manifest() -> None:
    run = RunStore.create(Path("a"), label="x")
    run.config_path.write_text("")
    RunStore.create(Path("a"), label="x", force=True)
    assert not run.config_path.exists()


def test_force_knows_a_run_whose_hidden_files_were_not_copied() -> None:
    run = make_run(Path("a"))
    (run.path / ".sftframe").unlink()
    RunStore.create(Path("a"), label="x", force=True)
    assert not run.manifest_path.exists()


@pytest.mark.parametrize("name", ["thesis.tex", "config.toml", "manifest.json", "metrics.jsonl"])
@pytest.mark.parametrize("force", [False, True])
def test_a_strangers_folder_is_left_alone_with_and_without_force(name: str, force: bool) -> None:
    Path("a").mkdir()
    Path("a", name).write_text("mine")
    with pytest.raises(
        ConfigError, match=r"^a is not empty and not a run: sftframe does not change it, even with --force; "
    ):
        RunStore.create(Path("a"), label="x", force=force)
    assert Path("a", name).read_text() == "mine"
    assert names(Path("a")) == [name]


def test_force_leaves_alone_what_came_into_a_folder_after_its_run_was_moved_away() -> None:
    RunStore.create(Path("a"), label="x")
    Path("a/thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="not a run: sftframe does not change it"):
        RunStore.create(Path("a"), label="x", force=True)
    assert Path("a/thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("place", [".", "..", "../home"])
def test_home_and_the_current_directory_are_left_alone_even_if_they_look_like_a_run(place: str) -> None:
    folder = Path(place)
    folder.mkdir(exist_ok=True)
    for name in ("config.toml", "manifest.json", ".sftframe"):
        (folder / name).write_text("mine")
    with pytest.raises(ConfigError, match="not a run: sftframe does not change it"):
        RunStore.create(folder, label="x", force=True)
    assert (folder / "config.toml").read_text() == "mine"


def test_force_follows_no_links_out_of_the_run() -> None:
    Path("precious").mkdir()
    Path("precious/data.json").write_text("mine")
    run = make_run(Path("a"))
    run.model_dir.symlink_to(Path("precious").resolve(), target_is_directory=True)
    RunStore.create(Path("a"), label="x", force=True)
    assert not run.model_dir.is_symlink()
    assert Path("precious/data.json").read_text() == "mine"


def test_force_does_not_empty_a_run_that_is_going_on() -> None:
    run = make_run(Path("a"))
    with run.lock(), pytest.raises(ConfigError, match=rf"^a is in use by process {os.getpid()} on \S+ since \d{{4}}-"):
        RunStore.create(Path("a"), label="x", force=True)
    assert run.manifest_path.exists()


def test_a_file_is_no_place_for_a_run() -> None:
    Path("a").write_text("mine")
    with pytest.raises(ConfigError, match=r"^a is a file: --out needs a folder, a new one or an empty one$"):
        RunStore.create(Path("a"), label="x", force=True)
    assert Path("a").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_told_with_the_reason() -> None:
    Path("a").write_text("")
    message = r"^cannot make the run's folder a/b: Not a directory; choose another with --out$"
    with pytest.raises(ConfigError, match=message):
        RunStore.create(Path("a/b"), label="x")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path: Path) -> None:
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may write everywhere, nobody may not
    else:
        tmp_path.joinpath("here").chmod(0o500)
    try:
        with pytest.raises(ConfigError, match=r"^cannot make the run's folder .*here/a: Permission denied; "):
            RunStore.create(tmp_path / "here" / "a", label="x")
    finally:
        os.seteuid(me)
        tmp_path.joinpath("here").chmod(0o700)


def test_a_place_is_checked_without_making_anything() -> None:
    make_run(Path("a"))
    before = names(Path("a"))
    RunStore.check_place(None)
    RunStore.check_place(Path("new/one"))
    RunStore.check_place(Path("a"), force=True)
    with pytest.raises(ConfigError, match=r"^a contains a run already: "):
        RunStore.check_place(Path("a"))
    assert names(Path("a")) == before
    assert names(Path()) == ["a"]


def test_a_run_is_opened() -> None:
    make_run(Path("a"))
    assert RunStore.open(Path("a")) == RunStore(Path("a"))


def test_a_run_that_is_not_there_is_told_with_the_newest_beside_it() -> None:
    make_run(Path("all/old"), age_s=100)
    make_run(Path("all/new"), age_s=300)
    make_run(Path("all/middle"), age_s=200)
    with pytest.raises(ConfigError) as caught:
        RunStore.open(Path("all/nwe"))
    assert str(caught.value) == "no run at all/nwe: the newest run nearby is all/new"


def test_a_folder_of_runs_is_told_with_the_newest_in_it() -> None:
    make_run(Path("runs/a-1"), age_s=100)
    make_run(Path("runs/a-2"), age_s=200)
    with pytest.raises(ConfigError) as caught:
        RunStore.open(Path("runs"))
    assert str(caught.value) == (
        "runs is not a run: it has no config.toml and no manifest.json; the newest run nearby is runs/a-2"
    )


def test_what_is_missing_of_a_run_is_said_so() -> None:
    make_run(Path("a")).manifest_path.unlink()
    with pytest.raises(ConfigError, match=r"^a is not a run: it has no manifest\.json; there are no runs nearby; "):
        RunStore.open(Path("a"))


def test_a_run_that_is_a_file_is_no_run() -> None:
    Path("a").write_text("")
    with pytest.raises(ConfigError, match=r"^no run at a: there are no runs nearby; `sftframe run` makes one$"):
        RunStore.open(Path("a"))


def test_the_disk_is_asked_before_anything_is_spent() -> None:
    run = RunStore(Path("not/made/yet"))
    run.require_space(1)
    assert abs(free_bytes(run.path) - shutil.disk_usage(".").free) < 1e9
    message = r"^not enough disk: the run in not/made/yet needs 1000000000\.0 GB, \d+\.\d GB are free; make room, .*"
    with pytest.raises(ConfigError, match=message):
        run.require_space(10**18)


def test_a_lock_is_free_again_after_its_block() -> None:
    run = RunStore.create(Path("a"), label="x")
    for _ in range(2):
        with run.lock():
            pass
    assert names(run.path) == [".lock", ".sftframe"]


def test_a_run_that_another_process_holds_is_told_with_the_process_until_it_is_killed() -> None:
    run = RunStore.create(Path("a"), label="x")
    command = [sys.executable, "-c", HOLDER, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = rf"^a is in use by process {holder.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\S*: wait "
        with pytest.raises(ConfigError, match=message), run.lock():
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with run.lock():
        pass


def test_a_holder_that_did_not_say_who_it_is_is_another_process() -> None:
    run = RunStore.create(Path("a"), label="x")
    with run.lock():
        (run.path / ".lock-owner.json").unlink()
        with (
            pytest.raises(ConfigError, match=r"^a is in use by another process: wait for it to end, or stop it$"),
            run.lock(),
        ):
            pass


def test_what_is_no_folder_cannot_be_locked() -> None:
    Path("a").write_text("")
    with (
        pytest.raises(ConfigError, match=r"^cannot lock a: (Not a directory|File exists)$"),
        RunStore(Path("a")).lock(),
    ):
        pass
