"""Attention over a compact batch, in blocks of rows on a CPU, by torch's kernels over padded rows or by a kernel for
rows of different lengths, and its definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sftframe import CompactBatch, GroupedAttention
from sftframe.compaction.blocks import KEPT_KEYS, QUERIES, BlockAttention
from sftframe.compaction.padded import PaddedAttention
from sftframe.compaction.scoring import Scoring
from sftframe.compaction.varlen import VarlenAttention
from tests.compaction.layouts import bare, layout_of


@dataclass(frozen=True, kw_only=True)
class Case:
    """Rows, heads and scores of an attention layer."""

    num_shared: int = 0
    rests: Sequence[int] = (3,)
    num_groups: int = 2
    num_together: int = 2
    """Heads of a group."""
    width: int = 4
    value_width: int = 4
    scale: float = 0.5
    window: int | None = None
    softcap: float | None = None
    has_sinks: bool = False

    @property
    def num_positions(self) -> int:
        return self.num_shared + sum(self.rests)

    @property
    def scoring(self) -> Scoring:
        return Scoring(scale=self.scale, window=self.window, softcap=self.softcap)

    def numbers(self, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Queries, keys and values, heads first, and the sinks, if there are any."""
        num_heads = self.num_groups * self.num_together
        shapes = [
            (num_heads, self.num_positions, self.width),
            (self.num_groups, self.num_positions, self.width),
            (self.num_groups, self.num_positions, self.value_width),
            *([(num_heads,)] if self.has_sinks else []),
        ]
        generator = torch.Generator().manual_seed(7)
        return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def defined(case: Case, query: Tensor, key: Tensor, value: Tensor, sinks: Tensor | None = None) -> Tensor:
    """Every row by itself, the shared beginning written out in front of it, keys and values written out for every
    head, all scores at once."""
    first, mixed = case.num_shared, []
    for rest in case.rests:
        row = torch.cat([torch.arange(case.num_shared), torch.arange(first, first + rest)])
        first += rest
        of_heads = [x[:, row].repeat_interleave(case.num_together, dim=0) for x in (key, value)]
        scores = query[:, row] @ of_heads[0].mT * case.scale  # (H, T, T)
        if case.softcap is not None:
            scores = case.softcap * torch.tanh(scores / case.softcap)
        behind = torch.arange(len(row))[:, None] - torch.arange(len(row))
        is_hidden = (behind < 0) | (behind >= (case.window or len(row)))
        scores = scores.masked_fill(is_hidden, -torch.inf)
        if sinks is not None:
            scores = torch.cat([scores, sinks[:, None, None].expand(-1, len(row), 1)], dim=2)
        shares = scores.softmax(dim=2)[..., : len(row)]
        mixed.append((shares @ of_heads[1]).transpose(0, 1))  # (T, H, E)
    return torch.cat([mixed[0][: case.num_shared], *(one[case.num_shared :] for one in mixed)])


def flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_borders: Tensor,
    key_borders: Tensor,
    _longest_query: int,
    _longest_key: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """What torch's documentation says of `varlen_attn`: the last query of a row stands at its last key; a window of
    (w, 0) lets it see w keys before its own, one of (-1, 0) all of them."""
    assert enable_gqa
    assert window_size[1] == 0
    mixed = []
    for row in range(len(query_borders) - 1):
        queries = slice(int(query_borders[row]), int(query_borders[row + 1]))
        keys = slice(int(key_borders[row]), int(key_borders[row + 1]))
        own = query[queries].transpose(0, 1)  # (H, q, D)
        of_key, of_value = (
            x[keys].transpose(0, 1).repeat_interleave(len(own) // x.shape[1], dim=0) for x in (key, value)
        )
        at = torch.arange(own.shape[1])[:, None] + of_key.shape[1] - own.shape[1]
        before = at - torch.arange(of_key.shape[1])
        is_seen = before >= 0 if window_size[0] < 0 else (before >= 0) & (before <= window_size[0])
        scores = (own @ of_key.mT * scale).masked_fill(~is_seen, -torch.inf)
        mixed.append((scores.softmax(dim=2) @ of_value).transpose(0, 1))
    return torch.cat(mixed)


Way = Callable[..., Tensor]


def ways(case: Case, dtype: torch.dtype = torch.float64) -> dict[str, Way]:
    layout = bare(case.num_shared, case.rests)
    found: dict[str, Way] = {
        "blocks": BlockAttention(case.num_shared, case.rests, dtype),
        "padded": PaddedAttention(layout),
    }
    if case.softcap is None and not case.has_sinks:
        found["varlen"] = VarlenAttention(layout, flash)
    return found


def worst_difference(ours: Tensor, theirs: Tensor, inputs: Sequence[Tensor]) -> float:
    """Of the result and of the gradient of everything that came in, relative in norm."""
    direction = torch.randn(theirs.shape, dtype=theirs.dtype, generator=torch.Generator().manual_seed(3))
    gradients = [torch.autograd.grad(one, inputs, direction, retain_graph=True) for one in (ours, theirs)]
    pairs = [(ours.detach(), theirs.detach()), *zip(*gradients, strict=True)]
    return max(float((a - b).norm() / b.norm().clamp(min=1e-3)) for a, b in pairs)


def check(case: Case, *, limit: float = 1e-12, dtype: torch.dtype = torch.float64, which: str | None = None) -> None:
    inputs = case.numbers(dtype)
    theirs = defined(case, *inputs)
    for name, way in ways(case, dtype).items():
        if which in (None, name):
            parts = [x.transpose(0, 1) for x in inputs[:3]]
            ours = way(*parts, case.scoring, *inputs[3:]).view_as(theirs)
            assert worst_difference(ours, theirs, inputs) < limit, name


def numbers_or_none(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), numbers)


@settings(max_examples=80, deadline=None)
@given(
    case=st.builds(
        Case,
        num_shared=st.integers(0, 12),
        rests=st.lists(st.integers(0, 9), min_size=1, max_size=5),
        num_groups=st.integers(1, 3),
        num_together=st.integers(1, 3),
        width=st.integers(1, 5),
        value_width=st.integers(1, 5),
        scale=st.floats(0.1, 2.0),
        window=numbers_or_none(st.integers(1, 12)),
        softcap=numbers_or_none(st.floats(0.5, 5.0)),
        has_sinks=st.booleans(),
    )
)
def test_every_way_is_the_definition_for_any_rows_heads_and_scores(case: Case) -> None:
    if case.num_positions:
        check(case, limit=1e-10)


LONG = [
    pytest.param(0, [QUERIES, QUERIES + 1, 3], id="one query more than a piece"),
    pytest.param(40, [2 * QUERIES + 5, 7], id="three pieces after a shared beginning"),
    pytest.param(5, [KEPT_KEYS - 5, KEPT_KEYS - 4], id="shares kept and computed again"),
    pytest.param(QUERIES + 9, [30, 50], id="a shared beginning of two pieces"),
    pytest.param(20, [9, 30, 12, 31, 30, 25, 60, 44, 10] * 3, id="several blocks of rows of different lengths"),
]


@pytest.mark.parametrize(("num_shared", "rests"), LONG)
@pytest.mark.parametrize(
    "scores",
    [
        pytest.param({}, id="plain"),
        pytest.param({"window": 3}, id="a small window"),
        pytest.param({"window": QUERIES + 20}, id="a window longer than a piece"),
        pytest.param({"window": 30, "softcap": 2.0, "has_sinks": True}, id="everything"),
    ],
)
def test_long_rows_are_taken_in_pieces(num_shared: int, rests: list[int], scores: dict[str, Any]) -> None:
    case = Case(num_shared=num_shared, rests=rests, **scores)
    check(case, which="blocks")
    check(case, which="blocks", limit=3e-6, dtype=torch.float32)


def test_gradients_are_those_of_finite_differences() -> None:
    case = Case(num_shared=2, rests=[3, 1], width=2, value_width=3, window=3, softcap=1.5, has_sinks=True)
    inputs = case.numbers()
    blocks = ways(case)["blocks"]
    assert torch.autograd.gradcheck(
        lambda q, k, v, sinks: blocks(*(x.transpose(0, 1) for x in (q, k, v)), case.scoring, sinks), inputs
    )


@pytest.mark.parametrize("rests", [[0, 0], [0, 4], [4, 0, 0]])
def test_rows_may_have_nothing_of_their_own(rests: list[int]) -> None:
    check(Case(num_shared=5, rests=rests))


def grouped(case: Case, inputs: Sequence[Tensor], layout: CompactBatch | None = None) -> Tensor:
    attend = GroupedAttention(layout or bare(case.num_shared, case.rests))
    sinks = inputs[3] if case.has_sinks else None
    return attend(*inputs[:3], scale=case.scale, window=case.window, softcap=case.softcap, sinks=sinks)


@pytest.mark.parametrize("rests", [[7], [4, 4], [5, 2, 3]])
@pytest.mark.parametrize("scores", [{}, {"window": 2}, {"softcap": 1.0}, {"has_sinks": True}, {"value_width": 3}])
def test_the_public_class_is_the_definition_whatever_it_chooses(rests: list[int], scores: dict[str, Any]) -> None:
    for num_shared in (0, 4):
        case = Case(num_shared=num_shared, rests=rests, **scores)
        inputs = case.numbers()
        assert worst_difference(grouped(case, inputs), defined(case, *inputs), inputs) < 1e-12


def test_a_window_as_long_as_the_longest_row_hides_nothing() -> None:
    case = Case(num_shared=4, rests=[2, 3])
    inputs = case.numbers()
    everything = grouped(case, inputs)
    assert torch.equal(grouped(replace(case, window=7), inputs), everything)
    assert not torch.allclose(grouped(replace(case, window=6), inputs), everything)


def joined_maps(case: Case) -> tuple[Tensor, list[Tensor]]:
    """Queries, keys and values as one map gives them, side by side, as Phi-3 has them."""
    widths = [case.num_groups * case.num_together * case.width, *[case.num_groups * case.width] * 2]
    joined = torch.randn(case.num_positions, sum(widths), dtype=torch.float64).requires_grad_()
    parts = joined.split(widths, dim=1)
    return joined, [x.view(case.num_positions, -1, case.width).transpose(0, 1) for x in parts]


def joined_heads(case: Case) -> tuple[Tensor, list[Tensor]]:
    """The same head by head, as GPT-NeoX has them; and one number more that nobody uses."""
    num_heads = case.num_groups
    joined = torch.randn(case.num_positions, num_heads * (3 * case.width + 1), dtype=torch.float64).requires_grad_()
    parts = joined.view(case.num_positions, num_heads, -1)[..., 1:].chunk(3, dim=2)
    return joined, [x.transpose(0, 1) for x in parts]


@pytest.mark.parametrize(("make", "num_together"), [(joined_maps, 2), (joined_heads, 1)])
def test_what_comes_in_need_not_lie_in_one_piece(make: Callable[..., Any], num_together: int) -> None:
    case = Case(num_shared=4, rests=[2, 3], num_together=num_together)
    joined, inputs = make(case)
    ours, theirs = grouped(case, inputs), defined(case, *(x.contiguous() for x in inputs))
    assert worst_difference(ours, theirs, [joined]) < 1e-12


def test_a_gradient_that_is_one_number_everywhere_is_taken_too() -> None:
    case = Case(num_shared=4, rests=[2, 3])
    inputs = case.numbers()
    ours, theirs = (torch.autograd.grad(f(case, *x).sum(), inputs) for f, x in ((grouped, [inputs]), (defined, inputs)))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


class Products(TorchDispatchMode):
    """Counts the multiplications of batched products."""

    def __init__(self) -> None:
        super().__init__()
        self.num_multiplications = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket is torch.ops.aten.bmm:
            self.num_multiplications += args[0].numel() * args[1].shape[2]
        return func(*args, **(kwargs or {}))


def multiplications(case: Case) -> int:
    with Products() as products:
        ways(case)["blocks"](*(x.transpose(0, 1) for x in case.numbers()), case.scoring)
    return products.num_multiplications


def test_keys_that_no_query_of_a_piece_sees_are_not_computed() -> None:
    case = Case(num_shared=QUERIES, rests=[4 * QUERIES, 3 * QUERIES])
    per_query_and_key = case.num_groups * case.num_together * case.width * 2  # scores, and what is mixed
    everything = [QUERIES * one for one in (1, *range(2, 6), *range(2, 5))]  # the keys of each piece
    assert multiplications(case) == per_query_and_key * QUERIES * sum(everything)
    seen = [QUERIES, *[QUERIES + 15] * 7]
    assert multiplications(replace(case, window=16)) == per_query_and_key * QUERIES * sum(seen)


def test_heads_of_a_group_are_one_product() -> None:
    """As many multiplications as for heads of their own, in products of a third as many matrices."""
    case = Case(num_shared=4, rests=[2, 3], num_groups=2, num_together=3)
    shapes = []

    class Shapes(Products):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.overloadpacket is torch.ops.aten.bmm:
                shapes.append(tuple(args[0].shape))
            return super().__torch_dispatch__(func, types, args, kwargs)

    with Shapes():
        ways(case)["blocks"](*(x.transpose(0, 1) for x in case.numbers()), case.scoring)
    # the shared beginning, then both rests together: scores, and what is mixed
    assert shapes == [(2, 12, 4), (2, 12, 4), (4, 9, 4), (4, 9, 7)]


def kept_bytes(case: Case) -> int:
    """What the backward pass is kept waiting with, but for the numbers that came in."""
    sizes = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel() * tensor.element_size())
        return tensor

    parts = [x.transpose(0, 1) for x in case.numbers()]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        ways(case)["blocks"](*parts, case.scoring)
    return sum(sizes)


def test_memory_does_not_grow_with_the_square_of_long_rows() -> None:
    """Per position: queries, keys, values and one result, and no shares beyond `KEPT_KEYS` keys."""
    case = Case(rests=[4 * KEPT_KEYS], num_groups=2, num_together=3, width=4, value_width=5)
    shares = 6 * sum(min(QUERIES, KEPT_KEYS - start) * (start + QUERIES) for start in range(0, KEPT_KEYS, QUERIES))
    per_position = 6 * (4 + 5) + 2 * (4 + 5)
    assert kept_bytes(case) == 8 * (per_position * 4 * KEPT_KEYS + shares)


@pytest.mark.parametrize("is_autocast", [False, True])
def test_half_precision_is_computed_in_float32_and_goes_out_as_it_came(is_autocast: bool) -> None:
    case = Case(num_shared=4, rests=[3, 2], softcap=3.0, has_sinks=True)
    inputs = [x.detach().bfloat16().requires_grad_() for x in case.numbers()]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast):
        ours = grouped(case, inputs)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    theirs = defined(case, *exact)
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours, theirs.bfloat16()), "nothing is lost but the last rounding"
    of_ours, of_theirs = torch.autograd.grad(ours.sum(), inputs), torch.autograd.grad(theirs.sum(), exact)
    for a, b in zip(of_ours, of_theirs, strict=True):
        assert a.dtype == torch.bfloat16
        torch.testing.assert_close(a.double(), b, rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize(
    ("num_shared", "rests", "scores", "way"),
    [
        (4, [3, 2], {}, BlockAttention),
        (0, [6, 5], {}, BlockAttention),
        (0, [5, 5], {}, PaddedAttention),
        (0, [7], {}, PaddedAttention),
        (0, [7], {"window": 3}, BlockAttention),
        (0, [7], {"softcap": 3.0}, BlockAttention),
        (0, [7], {"has_sinks": True}, BlockAttention),
        (0, [7], {"value_width": 2}, BlockAttention),
    ],
)
def test_torch_takes_rows_without_padding_if_it_knows_their_scores(
    num_shared: int, rests: list[int], scores: dict[str, Any], way: type
) -> None:
    case = Case(num_shared=num_shared, rests=rests, **scores)
    attend, inputs = GroupedAttention(layout_of(num_shared, rests)), case.numbers()
    sinks = inputs[3] if case.has_sinks else None
    attend(*inputs[:3], scale=1.0, window=case.window, softcap=case.softcap, sinks=sinks)
    assert set(attend._ways) == {way if torch.backends.mkl.is_available() else PaddedAttention}


@pytest.mark.parametrize("scores", [{}, {"softcap": 2.0}])
def test_under_dropout_a_share_is_dropped_or_made_larger(scores: dict[str, Any]) -> None:
    """The first position sees only itself, so its share is one."""
    case = Case(rests=[3] * 50, **scores)
    query, key, value = case.numbers()
    torch.manual_seed(1)
    attend = GroupedAttention(layout_of(0, case.rests), dropout=0.25)
    mixed = attend(query, key, value, scale=case.scale, softcap=case.softcap)[::3].transpose(0, 1)  # (H, 50, E)
    whole = value[:, ::3].repeat_interleave(2, dim=0) / 0.75
    is_dropped = (mixed == 0).all(dim=2)
    torch.testing.assert_close(mixed[~is_dropped], whole[~is_dropped])
    assert 20 < is_dropped.sum() < 80, "a quarter of 200"
