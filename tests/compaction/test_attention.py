"""Attention over a compact batch, row by row on a CPU or by torch's kernels over padded rows, and its definition."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from sftframe import CompactAttention
from sftframe.compaction.attention import KEPT_KEYS, QUERIES, RowAttention
from sftframe.compaction.padded import PaddedAttention
from tests.compaction.layouts import bare, layout_of

HEADS, WIDTH = 2, 8


def defined(joined: Tensor, num_shared: int, rests: Sequence[int]) -> Tensor:
    """Every row by itself, the shared beginning written out in front of it."""
    shared, *own = joined.split([num_shared, *rests])
    mixed = []
    for rest in own:
        row = torch.cat([shared, rest]).view(-1, 3, HEADS, WIDTH // HEADS).permute(1, 2, 0, 3)  # (3, H, T, D)
        mixed.append(F.scaled_dot_product_attention(*row, is_causal=True).transpose(0, 1).flatten(1))
    return torch.cat([mixed[0][:num_shared], *(one[num_shared:] for one in mixed)])


def worst_difference(ours: Tensor, joined: Tensor, num_shared: int, rests: Sequence[int]) -> float:
    """Of the result and the gradient of what came in, relative in norm."""
    theirs = defined(joined, num_shared, rests)
    direction = torch.randn(theirs.shape, dtype=theirs.dtype, generator=torch.Generator().manual_seed(3))
    gradients = [torch.autograd.grad(one, joined, direction)[0] for one in (ours, theirs)]
    pairs = [(ours.detach(), theirs.detach()), gradients]
    return max(float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in pairs)


def random_joined(num_positions: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(num_positions)
    return torch.randn(num_positions, 3 * WIDTH, dtype=dtype, generator=generator).requires_grad_()


@settings(max_examples=60, deadline=None)
@given(num_shared=st.integers(0, 20), rests=st.lists(st.integers(0, 12), min_size=1, max_size=5))
def test_both_ways_are_the_definition_for_any_rows(num_shared: int, rests: list[int]) -> None:
    if num_shared + max(rests) == 0:
        return
    joined = random_joined(num_shared + sum(rests))
    for way in (
        RowAttention(num_shared, rests, HEADS, torch.float64),
        CompactAttention(bare(num_shared, rests), HEADS, dropout=1e-300),  # so small that nothing is dropped
    ):
        assert worst_difference(way(joined), joined, num_shared, rests) < 1e-12


LONG = [
    pytest.param(0, [QUERIES, QUERIES + 1, 3], id="one query more than a piece"),
    pytest.param(40, [2 * QUERIES + 5, 7], id="three pieces behind a shared beginning"),
    pytest.param(5, [KEPT_KEYS - 5, KEPT_KEYS - 4], id="shares kept and computed again"),
    pytest.param(QUERIES + 9, [30, 50], id="a shared beginning of two pieces"),
]


@pytest.mark.parametrize(("num_shared", "rests"), LONG)
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_long_rows_are_taken_in_pieces(num_shared: int, rests: list[int], dtype: torch.dtype, limit: float) -> None:
    joined = random_joined(num_shared + sum(rests), dtype)
    attend = CompactAttention(layout_of(num_shared, rests), HEADS)
    assert worst_difference(attend(joined), joined, num_shared, rests) < limit


def test_what_comes_in_need_not_lie_in_one_piece() -> None:
    """A slice of something wider, as a map to more than queries, keys and values would give."""
    wide = torch.randn(9, 3 * WIDTH + 5, dtype=torch.float64).requires_grad_()
    joined = wide[:, : 3 * WIDTH]
    ours, theirs = RowAttention(4, [2, 3], HEADS, torch.float64)(joined), defined(joined, 4, [2, 3])
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def kept_bytes(num_shared: int, rests: Sequence[int]) -> int:
    """What the backward pass is kept waiting with, but for the numbers that came in."""
    sizes = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel() * tensor.element_size())
        return tensor

    joined = random_joined(num_shared + sum(rests))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        RowAttention(num_shared, rests, HEADS, torch.float64)(joined)
    return sum(sizes)


def test_memory_does_not_grow_with_the_square_of_long_rows() -> None:
    """Per position: three heads' worth of numbers and one result, and no shares beyond `KEPT_KEYS` keys."""
    num_long = 4 * KEPT_KEYS
    kept = HEADS * sum(min(QUERIES, KEPT_KEYS - start) * (start + QUERIES) for start in range(0, KEPT_KEYS, QUERIES))
    assert kept_bytes(0, [num_long]) == 8 * (4 * WIDTH * num_long + kept)


@pytest.mark.parametrize(
    ("num_shared", "rests", "way"),
    [(4, [3, 2], RowAttention), (0, [6, 5], RowAttention), (0, [5, 5], PaddedAttention), (0, [7], PaddedAttention)],
)
def test_even_rows_are_taken_together(num_shared: int, rests: list[int], way: type) -> None:
    attend = CompactAttention(layout_of(num_shared, rests), HEADS)
    attend(random_joined(num_shared + sum(rests)))
    assert type(attend._way) is (way if torch.backends.mkl.is_available() else PaddedAttention)


def test_dropout_is_left_to_the_kernels() -> None:
    attend = CompactAttention(layout_of(4, [3, 2]), HEADS, dropout=0.5)
    attend(random_joined(9))
    assert type(attend._way) is PaddedAttention


@pytest.mark.parametrize("is_autocast", [False, True])
def test_half_precision_is_computed_in_float32_and_goes_out_as_it_came(is_autocast: bool) -> None:
    joined = random_joined(9).detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast):
        ours = RowAttention(4, [3, 2], HEADS, torch.float32)(joined)
    exact = joined.detach().double().requires_grad_()
    theirs = defined(exact, 4, [3, 2])
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours, theirs.bfloat16()), "nothing is lost but the last rounding"
    (of_ours,) = torch.autograd.grad(ours.sum(), joined)
    (of_theirs,) = torch.autograd.grad(theirs.sum(), exact)
    assert of_ours.dtype == torch.bfloat16
    torch.testing.assert_close(of_ours.double(), of_theirs, rtol=2**-7, atol=1e-6)
