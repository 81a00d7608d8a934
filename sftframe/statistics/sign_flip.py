"""The sign-flip permutation test: if the arms do not differ, each difference could as well have the other sign.

It needs no distribution, only that differences are symmetric about zero where there is no effect.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sftframe.statistics.pairing import PairedDifferences
from sftframe.statistics.results import SignFlip

NUM_RESAMPLES = 9999
"""All sign patterns are tried up to 13 differences; beyond, so many random ones: p is then within 0.005 of exact."""


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
    from scipy.stats import permutation_test

    nonzero = values[values != 0]
    if len(nonzero) < 2:
        return 1.0  # one difference: both of its signs are as far from zero
    found = permutation_test(
        (nonzero,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=NUM_RESAMPLES,
        batch=max(1, 4_000_000 // len(nonzero)),  # at most 32 MB at a time
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)
