"""The hashes that prove what two runs have in common."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sftframe.pipeline import Session
from sftframe.training import weights_hash


def hashes(session: Session) -> dict[str, str]:
    found: dict[str, str] = json.loads((session.folder.path / "manifest.json").read_text(encoding="utf-8"))["pairing"]
    return found


@pytest.fixture
def differing(start: Callable[..., Session], tmp_path: Path) -> Callable[..., set[str]]:
    """`differing(train={"lr": 1})`: which hashes are others than those of a plain run."""
    plain = hashes(start(out=tmp_path / "plain"))

    def compare(**changes: Any) -> set[str]:
        changed = hashes(start(out=tmp_path / "changed", **changes))
        assert changed.keys() == plain.keys() == {"data", "split", "test", "initial_weights", "order"}
        return {name for name in plain if plain[name] != changed[name]}

    return compare


@pytest.mark.parametrize(
    "changes",
    [{}, {"collate": "mask-instruction"}, {"prompt": "alpaca"}, {"train": {"lr": 1.0}}, {"judge": "reference"}],
    ids=str,
)
def test_arms_that_differ_in_masks_prompts_or_rates_share_everything(
    differing: Callable[..., set[str]], changes: dict[str, Any]
) -> None:
    assert differing(**changes) == set()


def test_another_seed_is_another_order_and_other_random_weights(differing: Callable[..., set[str]]) -> None:
    assert differing(seed=7) == {"initial_weights", "order"}


def test_another_batch_size_is_another_order(differing: Callable[..., set[str]]) -> None:
    assert differing(train={"batch_size": 2}) == {"order"}


def test_another_split_is_another_test_set_and_another_order(differing: Callable[..., set[str]]) -> None:
    assert differing(data={"shuffle_split": 1}) == {"split", "test", "order"}


def test_examples_that_one_template_alone_drops_break_the_pair(differing: Callable[..., set[str]]) -> None:
    # the longest examples have 36 tokens
    assert differing(tokens={"max_length": 35, "over_long": "drop"}) >= {"split", "order"}


def test_a_changed_bit_of_one_weight_changes_the_hash() -> None:
    module = nn.Linear(3, 2)
    before = weights_hash(module)
    with torch.no_grad():
        module.bias[1] += 1e-7
    assert weights_hash(module) != before
