"""What changes the weights once a step has its gradients."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sftframe.config import TrainConfig

NORM_ROW = 256
"""Values of a gradient whose squares are added in float32: few, so that no processor's order of additions matters."""


class OptimizerStep(ABC):
    """The last part of an optimizer step. Another kind of training, such as sharded weights, brings its own."""

    optimizer: torch.optim.Optimizer
    """What a checkpoint saves beside the weights."""
    can_skip: bool
    """Whether `apply` can skip a step by `is_bad`; if not, the caller reads the figures of each step before it."""

    @abstractmethod
    def clear(self) -> None:
        """Forget the gradients of the step before."""

    @abstractmethod
    def norm(self) -> Tensor:
        """The L2 norm of all gradients together, a scalar on their device; nothing is read from it."""

    @abstractmethod
    def apply(self, *, lr: float, norm: Tensor, is_bad: Tensor | None = None) -> None:
        """Change the weights, with gradients that are clipped.

        Args:
            norm: of the gradients.
            is_bad: a scalar on their device; 1 = change neither weights nor moments, 0 or None = go on. The caller
                keeps it at 1 for all later steps.
        """


class _PlainAdamW(torch.optim.AdamW):
    """torch's AdamW without the wrappers that import torch's compiler on their first call, which takes a second.

    The wrappers keep the compiler out of these functions. Nothing here is compiled: `train.compile` compiles layers.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    _step = inspect.unwrap(torch.optim.AdamW.step)

    def step(self, closure: Any = None) -> Any:
        with torch.no_grad():
            return self._step(closure)


class FusedAdamW(OptimizerStep):
    """AdamW with torch's fused kernels, which clip and skip while they read the gradients: that costs no extra pass.

    Args:
        parameters: those to train.
    """

    def __init__(self, parameters: Sequence[Tensor], config: TrainConfig) -> None:
        self._parameters = list(parameters)
        self._clip_norm = config.clip_norm
        self.can_skip = all(can_skip_on(parameter.device.type) for parameter in self._parameters)
        self.optimizer = _PlainAdamW(
            self._parameters,
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,  # 3x the default and 4x foreach on a CPU
        )

    def clear(self) -> None:
        self.optimizer.zero_grad()  # the first gradient is then used directly, without zeroing and adding

    def norm(self) -> Tensor:
        return gradient_norm([p.grad for p in self._parameters if p.grad is not None])

    def apply(self, *, lr: float, norm: Tensor, is_bad: Tensor | None = None) -> None:
        # as a gradient scaler sets them: the kernels divide by the one, and change nothing if the other is 1
        if self._clip_norm is not None:
            self.optimizer.grad_scale = (norm / self._clip_norm).clamp(min=1.0).float()  # type: ignore[attr-defined]
        if is_bad is not None:
            self.optimizer.found_inf = is_bad  # type: ignore[attr-defined]
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()


def can_skip_on(device_type: str) -> bool:
    """Whether AdamW's fused kernel is known to skip a step; Apple's is not.

    >>> can_skip_on("cpu"), can_skip_on("cuda"), can_skip_on("mps")
    (True, True, False)
    """
    return device_type in ("cpu", "cuda")


def gradient_norm(grads: Sequence[Tensor]) -> Tensor:
    """The L2 norm of all gradients together, a scalar on their device.

    On a CPU it is exact to 1e-6 on every processor and with any number of threads: the squares of 256 values are added
    in float32, these sums in float64. It reads the gradients once. It is faster than `torch.nn.utils.get_total_norm`,
    which adds all of them in float32 and has an error of up to 9e-4 over 124 million values.
    """
    if not grads or not all(grad.is_cpu and grad.dtype == torch.float32 for grad in grads):
        return torch.nn.utils.get_total_norm(grads)
    return torch.stack([_sum_of_squares(grad.flatten()) for grad in grads]).sum().sqrt().float()


def _sum_of_squares(values: Tensor) -> Tensor:
    """Norm of float32 values in one dimension; a float64 scalar."""
    num_in_rows = values.numel() // NORM_ROW * NORM_ROW
    rows, rest = values[:num_in_rows].view(-1, NORM_ROW), values[num_in_rows:]
    row_norms: Tensor = torch.linalg.vector_norm(rows, dim=1)  # torch's own kernel: each BLAS adds in its own order
    return row_norms.double().square().sum() + rest.double().square().sum()
