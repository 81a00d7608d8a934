"""Differences as the statistics take them, and arms with a planted difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sftframe.analysis.pairs import PairedDifferences


@pytest.fixture
def paired() -> Callable[..., PairedDifferences]:
    """Differences from rows of seeds; all weights 1."""

    def make(rows: Sequence[Sequence[float]]) -> PairedDifferences:
        values = np.array(rows, dtype=float)
        return PairedDifferences(values=values, weights=np.ones(values.shape[-1]))

    return make


@pytest.fixture
def planted() -> Callable[..., dict[str, dict[int, dict[int, float]]]]:
    """Arms whose scores are 50, an item's own luck, noise of standard deviation 10, and what the arm adds."""

    def make(
        added: dict[str, float], num_seeds: int = 5, num_items: int = 200
    ) -> dict[str, dict[int, dict[int, float]]]:
        rng = np.random.default_rng(0)
        luck = rng.normal(0, 20, num_items)
        return {
            arm: {
                seed: dict(enumerate((50 + luck + effect + rng.normal(0, 10, num_items)).tolist()))
                for seed in range(num_seeds)
            }
            for arm, effect in added.items()
        }

    return make
