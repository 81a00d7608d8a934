"""Runs with the same settings have to be made of the same pieces, or nothing compares."""

from collections.abc import Callable
from typing import Any

import pytest

from sftframe.analysis import compare, group_into_arms
from sftframe.errors import DataError
from sftframe.runs import LoadedRun

Runs = Callable[..., LoadedRun]


def pieces(seam: str, version: str) -> dict[str, Any]:
    return {"components": {seam: {"name": "x", "plugin": "acme:x", "version": version}}}


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({"template": {"sha256": "a" * 64}}, {"template": {"sha256": "b" * 64}}, r"prompt text.*aaaaaaaa….*bbbbbbbb…"),
        (
            {"template": {"sha256": "a", "prompt_ids": [[1, 2]]}},
            {"template": {"sha256": "a", "prompt_ids": [[1, 3]]}},
            "prompt ids",
        ),
        ({"tokenizer": {"sha256": "c" * 64}}, {"tokenizer": {"sha256": "d" * 64}}, "tokenizer"),
        ({"weights": {"weights": "x"}}, {"weights": {"weights": "y"}}, "weights"),
        (
            pieces("collate", "1.4"),
            pieces("collate", "1.5"),
            r"plugin of the collate strategy.*acme:x 1\.4.*acme:x 1\.5",
        ),
        (pieces("prompt", "7"), pieces("prompt", "8"), "plugin of the prompt style"),
        (pieces("model", "7"), pieces("model", "8"), "plugin of the model"),
        (pieces("judge", "7"), pieces("judge", "8"), "plugin of the judge"),
    ],
)
def test_cells_of_one_arm_that_are_not_the_same_piece_are_refused_and_named(
    run: Runs, one: Any, other: Any, told: str
) -> None:
    runs = [
        run("a1", seed=1, manifest=one),
        run("b1", seed=1, collate="pad-only", manifest=one),
        run("a7", seed=7, manifest=other),
    ]
    with pytest.raises(DataError, match=rf"not the same {told}") as refused:
        compare(group_into_arms(runs))
    assert "mask-pad · seed 1 (" in str(refused.value)
    assert "mask-pad · seed 7 (" in str(refused.value)


def test_arms_of_a_grid_share_the_pieces_that_are_not_varied(run: Runs) -> None:
    arms = group_into_arms(
        [
            run("a", manifest={"template": {"sha256": "a" * 64}}),
            run("b", collate="pad-only", manifest={"template": {"sha256": "b" * 64}}),
        ]
    )
    with pytest.raises(DataError, match=r"not the same prompt text.*aaaaaaaa… in mask-pad.*bbbbbbbb… in pad-only"):
        compare(arms, by_design={})
    (note,) = compare(arms).notes
    assert note.startswith("arms with the same settings differ in their prompt text: aaaaaaaa… in mask-pad · seed 1")


def test_pieces_that_the_settings_vary_and_places_may_differ(run: Runs) -> None:
    here, there = {"weights": {"weights": "/here/model"}}, {"weights": {"weights": "C:\\there\\model"}}
    moved = group_into_arms([run("d", manifest=here), run("e", seed=2, manifest=there), run("f", collate="pad-only")])
    assert compare(moved, by_design={}).notes == ()
    arms = group_into_arms(
        [
            run("a", prompt={"name": "x"}, manifest={"template": {"sha256": "a"}, **pieces("prompt", "1")}),
            run("b", prompt={"name": "y"}, manifest={"template": {"sha256": "b"}, **pieces("prompt", "2")}),
            run("c", prompt={"name": "y"}, seed=2),  # of a version that recorded nothing
        ]
    )
    assert compare(arms, by_design={}).notes == ()
