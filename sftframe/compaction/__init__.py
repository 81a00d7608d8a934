"""Exact batch compaction: a padded `Batch` as the positions that matter, each once, and the loss terms on them.

In a causal network a position is a function of the tokens up to it. So positions after a row's last counted target
change nothing, and where all rows begin alike, the beginning is computed only once, and all rows use its keys and
values. This is index arithmetic on the batch alone, whichever collate strategy made it, and the loss and its gradients
stay what the padded computation gives, up to the order of additions.

A model uses it in three places:

    layout = compact(batch)
    x = embed(layout.ids, layout.positions)                        # (N, C)
    attend = CompactAttention(layout, num_heads)                   # in every layer: attend(joined), (N, 3 C) to (N, C)
    loss = weighted_loss(x[layout.states], head_weight, layout)    # in float32

`GroupedAttention` is the same for other heads and scores: groups that use the same keys, windows, soft caps, sinks.

Everything between (norms, linear maps, activations) treats each position by itself and works on (N, C) as it is.

Shapes: B rows, T positions, N positions that matter, P of them shared by all rows, R rows with counted targets, S the
longest rest of a row after the shared positions, M positions with a counted target, K loss terms, C width, H heads,
D width of a head, V vocabulary.
"""

from sftframe.compaction.attention import CompactAttention
from sftframe.compaction.grouped import GroupedAttention
from sftframe.compaction.layout import CompactBatch, compact, select_states
from sftframe.compaction.loss import term_nll, weighted_loss
from sftframe.compaction.tied import tied_embedding

__all__ = [
    "CompactAttention",
    "CompactBatch",
    "GroupedAttention",
    "compact",
    "select_states",
    "term_nll",
    "tied_embedding",
    "weighted_loss",
]
