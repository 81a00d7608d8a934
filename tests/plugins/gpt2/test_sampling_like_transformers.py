"""Temperature, top-k and top-p leave the tokens, and the shares, that transformers' warpers leave."""

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from sftframe import GenerationSettings, Sampler

LOGITS = torch.randn(40, generator=torch.Generator().manual_seed(9)) * 2
NUM_DRAWS = 4000


@pytest.mark.parametrize(
    ("settings", "warpers"),
    [
        ({"temperature": 0.7}, [("TemperatureLogitsWarper", 0.7)]),
        ({"temperature": 1.0, "top_k": 5}, [("TopKLogitsWarper", 5)]),
        ({"temperature": 1.0, "top_p": 0.8}, [("TopPLogitsWarper", 0.8)]),
        (
            {"temperature": 1.5, "top_k": 12, "top_p": 0.7},
            [("TemperatureLogitsWarper", 1.5), ("TopKLogitsWarper", 12), ("TopPLogitsWarper", 0.7)],
        ),
    ],
)
def test_draws_have_the_shares_of_transformers(settings, warpers):
    import transformers

    scores = LOGITS[None]
    for name, value in warpers:
        scores = getattr(transformers, name)(value)(None, scores)
    shares = scores.softmax(dim=-1)[0].double()
    sampler = Sampler(GenerationSettings(seed=3, **settings))
    drawn = Counter(sampler.pick(LOGITS.expand(NUM_DRAWS, -1), [0] * NUM_DRAWS).tolist())
    possible = [token for token in range(40) if shares[token] > 0]
    assert set(drawn) <= set(possible)
    expected = torch.stack([shares[token] for token in possible])
    found = [drawn[token] for token in possible]
    assert chisquare(found, (expected / expected.sum() * NUM_DRAWS).numpy()).pvalue > 1e-3
