"""One pass of a transformers network over a batch: hidden states or logits at the counted targets, in several ways.

Shapes: B rows, T positions, N positions that matter, M positions with a counted target, C width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from sftframe import (
    Batch,
    CompactBatch,
    GroupedAttention,
    compact,
    select_states,
    term_nll,
    tied_embedding,
    weighted_loss,
)
from sftframe_plugins.hf.attention import ARGUMENT, Switch


@dataclass(frozen=True, slots=True)
class Scored:
    """What a pass gave at the counted targets."""

    layout: CompactBatch
    states: Tensor
    """(M, C) hidden states, normalised; with no `head`, the logits, (M, V)."""
    head: Tensor | None
    """(V, C)."""

    def loss(self) -> Tensor:
        """The sum of the weighted losses, float32 (float64 of float64 states), with gradient."""
        if self.head is not None:
            return weighted_loss(self.states, self.head, self.layout)
        losses = _nll(self.states, self.layout)
        return (losses * self.layout.term_weights.to(losses.dtype)).sum()

    def nll(self) -> Tensor:
        """The negative log-likelihood of every counted target, (B, T); with gradient where it is wanted."""
        if self.head is None:
            return self.layout.spread(_nll(self.states, self.layout))
        if torch.is_grad_enabled():
            return self.layout.spread(_nll(F.linear(self.states, self.head), self.layout))
        return self.layout.spread(term_nll(self.states, self.head, self.layout))


def _nll(logits: Tensor, layout: CompactBatch) -> Tensor:
    """(M, V) to the losses of the terms, (K,)."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    levels = logits.logsumexp(dim=1)  # (M,)
    return levels[layout.term_states] - logits[layout.term_states, layout.term_targets]


class Passes:
    """The passes of one network.

    Args:
        module: its layers may be changed later, by adapters for instance.
    """

    def __init__(self, module: PreTrainedModel) -> None:
        self._module = module
        self._switch = Switch(module)
        self.has_plain_head: bool | None = None
        """Whether logits are the hidden states times one matrix, and nothing else; None = nobody has looked."""

    def logits(self, ids: Tensor) -> Tensor:
        """int64 (B, T) to (B, T, V)."""
        self.own_attention()
        logits: Tensor = self._module(input_ids=ids, use_cache=False).logits
        return logits

    def compact(self, batch: Batch, *, share: bool, is_recomputing: bool = False) -> Scored:
        """Every position that matters once.

        Raises:
            UnsuitedError: the network cannot do it.
        """
        layout = compact(batch, share=share)
        if not len(layout.states):
            return self.padded(batch)  # networks do not take rows without any position
        given = {
            "input_ids": layout.ids[None],
            "position_ids": layout.positions[None],
            "use_cache": False,
            ARGUMENT: GroupedAttention(layout),
        }
        with self._switch.compact(stays_on=is_recomputing):
            head = self._head()
            if head is None:
                return Scored(layout, self._module(**given, logits_to_keep=layout.states).logits[0], None)
            hidden, head = self._hidden(given, head, layout)
        return Scored(layout, select_states(hidden[0], layout.states), head)

    def padded(self, batch: Batch) -> Scored:
        """Rows of one length, as transformers computes them; padding comes after a row's end and changes nothing."""
        self.own_attention()
        layout = compact(batch, share=False)
        places = _places(layout)  # (M,)
        longest = int(places.remainder(batch.inputs.shape[1]).max()) + 1 if len(places) else 1
        places = places // batch.inputs.shape[1] * longest + places % batch.inputs.shape[1]
        given = {"input_ids": batch.inputs[:, :longest], "use_cache": False}
        head = self._head()
        if head is None:
            logits = self._module(**given).logits
            return Scored(layout, logits.flatten(0, 1).index_select(0, places), None)
        hidden, head = self._hidden(given, head, layout)
        return Scored(layout, select_states(hidden.flatten(0, 1), places), head)

    def own_attention(self) -> None:
        """Let the network use its own attention again; it has to before anything but `compact` is called."""
        self._switch.off()

    def head(self) -> Tensor | None:
        """The matrix from hidden states to logits, (V, C), if the network's last layer is one."""
        head: object = self._module.get_output_embeddings()
        return head.weight if type(head) is nn.Linear and head.bias is None else None

    def _hidden(self, given: Mapping[str, Any], head: Tensor, layout: CompactBatch) -> tuple[Tensor, Tensor]:
        """Hidden states, (B, T, C) or (1, N, C), and the head for them.

        An embedding that is also the head gets one gradient: the rows that were looked up are added to the head's. With
        no counted target the head has none.
        """
        embedding = self._module.get_input_embeddings()
        if not _is_plain(embedding) or embedding.weight is not head or not len(layout.states):
            return self._module.base_model(**given).last_hidden_state, head
        heads: list[Tensor] = []

        def forward(ids: Tensor) -> Tensor:
            if heads:
                return F.embedding(ids, head, embedding.padding_idx)
            tokens, tied = tied_embedding(head, ids, embedding.padding_idx)
            heads.append(tied)
            return tokens

        vars(embedding)["forward"] = forward
        try:
            hidden = self._module.base_model(**given).last_hidden_state
        finally:
            del vars(embedding)["forward"]
        return hidden, heads[0] if heads else head

    def _head(self) -> Tensor | None:
        return self.head() if self.has_plain_head else None


def _is_plain(embedding: nn.Module) -> TypeGuard[nn.Embedding]:
    """Whether it looks up rows, and does nothing else."""
    return (
        type(embedding) is nn.Embedding
        and "forward" not in vars(embedding)
        and embedding.max_norm is None
        and not embedding.scale_grad_by_freq
        and not embedding.sparse
    )


def _places(layout: CompactBatch) -> Tensor:
    """int64 (M,): where in the flattened (B, T) the states are, for a layout that shares nothing."""
    places = layout.states.new_zeros(len(layout.states))
    places[layout.term_states[layout.counted_terms]] = layout.counted_positions
    return places


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch dropout off for a while."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
