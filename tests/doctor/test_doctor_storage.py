"""Findings on disk and caches."""

from pathlib import Path

import pytest

from sftframe.doctor.surroundings import Place, check_cache, check_runs, look_at_cache, look_at_runs

GIB = 2**30


def place(**facts):
    return Place(**{"path": Path("there"), "error": "", "free_bytes": 100 * GIB, **facts})


def test_a_roomy_folder_is_in_order():
    [finding] = check_runs(place())
    assert (finding.status, finding.found) == ("ok", "runs would be made in there, 100.0 GiB free")


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"error": "nothing can be written there (Read-only file system)"}, "problem"),
        ({"free_bytes": 50 * 2**20}, "problem"),
        ({"free_bytes": 2 * GIB}, "note"),
    ],
)
def test_a_folder_without_room_or_rights_says_so(facts, status):
    [finding] = check_runs(place(**facts))
    assert finding.status == status
    assert "--out" in finding.advice


@pytest.mark.parametrize("facts", [{"error": "nothing can be written there"}, {"free_bytes": GIB}])
def test_a_cache_without_room_or_rights_is_noted_with_its_variable(facts):
    [finding] = check_cache(place(**facts), "SFTFRAME_CACHE")
    assert finding.status == "note"
    assert "SFTFRAME_CACHE" in finding.advice


def test_a_cache_tells_its_size_and_what_is_unfinished(tmp_path):
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2" / "weights.safetensors").write_bytes(bytes(3 * 2**20))
    (tmp_path / "gpt2" / "more.safetensors.part").write_bytes(b"")
    seen = look_at_cache(tmp_path)
    assert (seen.used_bytes, seen.unfinished, seen.error) == (3 * 2**20, 1, "")
    [size, unfinished] = check_cache(seen, "SFTFRAME_CACHE")
    assert "3.0 MiB used" in size.found
    assert unfinished.found.startswith("1 unfinished download in")


def test_a_folder_that_is_to_be_made_is_looked_for_above(tmp_path):
    seen = look_at_runs(tmp_path / "not" / "yet")
    assert (seen.error, seen.free_bytes > 0) == ("", True)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_made_that_is_found_out(tmp_path):
    (tmp_path / "file").write_text("")
    assert look_at_cache(tmp_path / "file" / "cache").error.startswith("nothing can be written there")
