"""One weight as embedding and as head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sftframe import tied_embedding


@pytest.mark.parametrize("uses", ["both", "embedding", "head"])
def test_the_tied_weights_gradient_is_the_sum_of_its_two_uses(uses: str) -> None:
    ids = torch.tensor([[1, 3, 1]])
    weight = torch.arange(10.0).view(5, 2).requires_grad_()
    tokens, head = tied_embedding(weight, ids)
    loss = {
        "both": 2 * tokens.sum() + (torch.ones(1, 2) @ head.T).sum(),
        "embedding": 2 * tokens.sum(),
        "head": (torch.ones(1, 2) @ head.T).sum(),
    }[uses]
    loss.backward()
    of_tokens = torch.tensor([0.0, 4.0, 0.0, 2.0, 0.0]) * (uses != "head")  # 1 is looked up twice
    of_head = torch.ones(5) * (uses != "embedding")
    torch.testing.assert_close(weight.grad, (of_tokens + of_head)[:, None].expand(5, 2))


def test_padding_gives_the_embedding_no_gradient_and_the_head_its_own() -> None:
    embedding = nn.Embedding(5, 2, padding_idx=3)
    ids = torch.tensor([1, 3, 1])
    tokens, head = tied_embedding(embedding.weight, ids, embedding.padding_idx)
    assert torch.equal(tokens, embedding(ids))
    (tokens.sum() + head.sum()).backward()
    assert embedding.weight.grad is not None
    assert embedding.weight.grad[:, 0].tolist() == [1, 3, 1, 1, 1]
