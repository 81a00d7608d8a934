"""The sign-flip permutation test: if the arms do not differ, both signs of each difference are equally likely.

It needs no distribution, only that differences are symmetric about zero where there is no effect.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sftframe.statistics.pairing import PairedDifferences
from sftframe.statistics.results import SignFlip

MOST_EXACT = 13
"""Differences up to which all sign patterns are tried."""
NUM_RESAMPLES = 9999
"""Random sign patterns for more differences: p is then within 0.005 of exact."""
_PATTERNS = np.array([[1.0 if byte >> bit & 1 else -1.0 for bit in range(8)] for byte in range(256)])
"""(256, 8): the signs that a random byte stands for."""


def sign_flip(differences: PairedDifferences, *, seed: int = 0) -> SignFlip:
    """Two-sided p over items (seeds averaged) and over seeds (items averaged).

    Items or seeds whose difference is exactly zero carry no information and are left out.

    Args:
        seed: of the random sign patterns.
    """
    values = differences.values
    num_seeds = values.shape[0]
    return SignFlip(
        items=_p_value(values.mean(axis=0), seed), seeds=_p_value(values.mean(axis=1), seed) if num_seeds > 1 else None
    )


def _p_value(values: NDArray[np.float64], seed: int) -> float:
    """Twice the share of sign patterns with a sum as large as the observed one, which counts as a pattern too."""
    sizes = np.abs(values[values != 0])
    if len(sizes) < 2:
        return 1.0  # one difference: both signs are equally far from zero
    threshold = abs(values.sum()) - 1e-12 * sizes.sum()  # sums that differ in rounding alone are equal
    if len(sizes) <= MOST_EXACT:
        patterns = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
        tail = float(((2 * patterns - 1) @ sizes >= threshold).mean())
    else:
        sums = _random_sums(sizes, np.random.default_rng(seed))
        tail = float(((sums >= threshold).sum() + 1) / (NUM_RESAMPLES + 1))
    return min(1.0, 2 * tail)


def _random_sums(sizes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(NUM_RESAMPLES,): sums of the sizes under random signs, eight sizes at a time by a table of their 256 sums."""
    padded = np.zeros(-(-len(sizes) // 8) * 8)
    padded[: len(sizes)] = sizes
    sums = np.zeros(NUM_RESAMPLES)
    for table in (_PATTERNS @ padded.reshape(-1, 8).T).T:  # (256,)
        sums += table[rng.integers(256, size=NUM_RESAMPLES, dtype=np.uint8)]
    return sums
