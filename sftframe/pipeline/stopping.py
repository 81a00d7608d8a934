"""Early stopping: when evaluations no longer get better, training ends, and the best weights are the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model


class EarlyStopping:
    """Watches the response NLL on the validation examples.

    Args:
        patience: evaluations in a row without a new best after which to stop.
        path: where the best weights are kept.
        past: lines of `metrics.jsonl` from before an interruption.
    """

    def __init__(self, patience: int, path: Path, past: Iterable[Mapping[str, Any]] = ()) -> None:
        self._patience = patience
        self._path = path
        self._values = [line["response_nll_per_token"] for line in past if line["kind"] == "eval" and line["step"] > 0]

    @property
    def is_over(self) -> bool:
        """Whether the last `patience` evaluations were no better than the best before them.

        >>> stopping = EarlyStopping(2, Path("best.safetensors"))
        >>> stopping._values = [3.0, 2.0, 2.5, 2.1]
        >>> stopping.is_over
        True
        """
        return len(self._values) - 1 - self._best >= self._patience

    def observe(self, response_nll: float, module: torch.nn.Module) -> None:
        """Take an evaluation of the module, and keep its weights where it is the best so far."""
        self._values.append(response_nll)
        if self._best == len(self._values) - 1:
            making = self._path.with_suffix(".part")
            self._path.parent.mkdir(exist_ok=True)
            save_model(module, str(making))
            making.replace(self._path)

    def restore_best(self, module: torch.nn.Module) -> None:
        """Put the best weights into the module."""
        if self._values:
            load_model(module, str(self._path))

    @property
    def _best(self) -> int:
        """Where the lowest value is, the first of equals; -1 without any."""
        return self._values.index(min(self._values)) if self._values else -1
