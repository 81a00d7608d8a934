"""Head and loss at the counted targets of a `CompactBatch`, and nowhere else.

Shapes: M positions with a counted target, m of them at a time, K loss terms, C width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe.compaction.layout import CompactBatch


def weighted_loss(states: Tensor, head: Tensor, layout: CompactBatch) -> Tensor:
    """Sum of the weighted losses of all terms, a float32 scalar (float64 for float64 states) with gradient.

    Args:
        states: (M, C), the normalised hidden states at `layout.states`.
        head: (V, C), the weight of the linear map to logits.
    """
    terms = layout.term_states, layout.term_targets, layout.term_weights, layout.chunks
    loss: Tensor = _HeadLoss.apply(states, head, *terms)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def term_nll(states: Tensor, head: Tensor, layout: CompactBatch) -> Tensor:
    """Negative log-likelihood of every term, (K,), nats, without gradient; see `CompactBatch.spread`."""
    losses = states.new_empty(len(layout.term_targets), dtype=_exact(states.dtype))
    for rows, terms in layout.chunks:
        logits = _logits(states[rows], head)
        own = layout.term_states[terms] - rows.start
        losses[terms] = logits.logsumexp(dim=1)[own] - logits[own, layout.term_targets[terms]]
    return losses


class _HeadLoss(torch.autograd.Function):
    """Head and cross-entropy as one step: the logits' gradient is made where the logits were, chunk by chunk.

    With one chunk, its probabilities wait for the backward pass, which knows what the loss is divided by; with more,
    the products are made at once, so that only one chunk's logits exist.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        head: Tensor,
        term_states: Tensor,
        term_targets: Tensor,
        term_weights: Tensor,
        chunks: tuple[tuple[slice, slice], ...],
    ) -> Tensor:
        total = states.new_zeros((), dtype=_exact(states.dtype))
        products = _Products(states, head, ctx.needs_input_grad[:2])
        ctx.products, ctx.waiting = products, None
        for rows, terms in chunks:
            logits = _logits(states[rows], head)  # (m, V)
            own, targets = term_states[terms] - rows.start, term_targets[terms]
            weights = term_weights[terms].to(logits.dtype)
            of_targets = logits[own, targets]
            levels, shares = _normalised(logits)
            total += ((levels[own] - of_targets) * weights).sum()
            if not any(ctx.needs_input_grad):
                continue
            if len(chunks) == 1:
                ctx.waiting = shares, own, targets, weights
            else:
                products.add(_logit_grad(shares, own, targets, weights), rows)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        products, waiting = ctx.products, ctx.waiting
        ctx.products = ctx.waiting = None
        if waiting is None:
            return *products.scaled(grads[0]), None, None, None, None
        shares, own, targets, weights = waiting
        products.add(_logit_grad(shares, own, targets, weights * grads[0]), slice(0, len(shares)))
        return products.state_grad, products.head_grad, None, None, None, None


def _normalised(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, (m, V), to their log-sum-exps, (m,), and their softmax, which takes their place.

    The exponentials are taken once: the largest share says what the sum was.
    """
    largest = logits.amax(dim=1)
    shares = torch.softmax(logits, dim=1, out=logits)
    return largest - shares.amax(dim=1).log(), shares


def _logit_grad(shares: Tensor, own: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The gradient of the logits, in place of their softmax."""
    row_weights = shares.new_zeros(len(shares)).index_add_(0, own, weights)
    return shares.mul_(row_weights[:, None]).index_put_((own, targets), -weights, accumulate=True)


class _Products:
    """The gradients of states and head, from the gradient of their logits."""

    def __init__(self, states: Tensor, head: Tensor, needed: tuple[bool, bool]) -> None:
        self._states, self._head = states.detach(), head.detach()
        self.state_grad = torch.empty_like(states) if needed[0] else None  # the chunks together are all of it
        self.head_grad: Tensor | None = None
        self._needs_head = needed[1]

    def add(self, logit_grad: Tensor, rows: slice) -> None:
        """Take the gradient of a chunk's logits, (m, V)."""
        grad = logit_grad.to(self._states.dtype)
        if self.state_grad is not None:
            torch.matmul(grad, self._head.to(grad.dtype), out=self.state_grad[rows])
        if self._needs_head:
            if self.head_grad is None:
                self.head_grad = (grad.T @ self._states[rows]).to(self._head.dtype)
            else:
                self.head_grad += grad.T @ self._states[rows]

    def scaled(self, factor: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Both gradients times the gradient of the loss."""
        states, head = self.state_grad, self.head_grad
        return (
            None if states is None else states * factor.to(states.dtype),
            None if head is None else head * factor.to(head.dtype),
        )


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _logits(states: Tensor, head: Tensor) -> Tensor:
    logits = F.linear(states, head.to(states.dtype))
    return logits.to(_exact(states.dtype))
