"""The base class of collate strategies: which targets count in the loss, and with what weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sftframe.interfaces.component import Component
from sftframe.records import Batch, Role, TokenizedExample

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The target that does not count; `torch.nn.functional.cross_entropy` ignores it by default."""


class CollateStrategy(Component):
    """A PyTorch `collate_fn`: a sequence of `TokenizedExample` to a padded, shifted `Batch`.

    A strategy says how much each role of target weighs; the base class does the rest:

        class ResponseOnly(CollateStrategy):
            name = "response-only"
            summary = "only the response and its end count"

            def role_weight(self, role):
                return 1.0 if role in (Role.RESPONSE, Role.END) else 0.0

    For rules that need more than the role, override `target_weights`; for other layouts, `__call__`.
    Rows keep the order of the examples.
    """

    def __init__(self, options: Any = None, *, pad_id: int = 0) -> None:
        super().__init__(options)
        self.pad_id = pad_id

    def role_weight(self, role: Role) -> float:
        """The weight of a target of this role, 0 or more; 0 = it does not count."""
        return 1.0

    @property
    def padding_weight(self) -> float:
        """The weight of a padding target; 0 for every strategy that is meant to be used."""
        return 0.0

    def target_weights(self, example: TokenizedExample) -> Sequence[float] | torch.Tensor:
        """One weight per id of the example, as a target; the first is never a target and is ignored."""
        import torch

        table = torch.tensor([self.role_weight(role) for role in Role], dtype=torch.float32)
        return table[torch.as_tensor(example.roles, dtype=torch.int64)]

    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        """Pad to the longest example and shift by one; T = longest - 1. Row lengths decide what is padding, not ids."""
        import torch

        shape = len(examples), max(len(example.ids) for example in examples) - 1
        inputs = torch.full(shape, self.pad_id, dtype=torch.int64)  # (B, T)
        targets = torch.full(shape, self.pad_id, dtype=torch.int64)  # (B, T)
        weights = torch.full(shape, self.padding_weight, dtype=torch.float32)  # (B, T)
        for row, example in enumerate(examples):
            ids = torch.as_tensor(example.ids, dtype=torch.int64)
            inputs[row, : len(ids) - 1] = ids[:-1]
            targets[row, : len(ids) - 1] = ids[1:]
            row_weights = torch.as_tensor(self.target_weights(example), dtype=torch.float32)
            weights[row, : len(ids) - 1] = row_weights[1:]
        targets[weights == 0] = IGNORED
        is_plain = bool(((weights == 0) | (weights == 1)).all())
        return Batch(
            inputs=inputs,
            targets=targets,
            weights=None if is_plain else weights,
            indices=tuple(example.index for example in examples),
        )
