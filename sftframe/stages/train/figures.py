"""Loss and gradient norm of a step: how they are computed, when they are read, and the check that they are finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sftframe.errors import TrainingError
from sftframe.records import StepData

QUEUED_STEPS = 10
"""Steps queued on a CUDA device before their figures are read: enough that it never waits for the CPU."""

NORM_ROW = 256
"""Values of a gradient whose squares are added in float32: few, so that no processor's order of additions matters."""


def steps_between_readings(wanted: int | None, device_type: str) -> int:
    """Number of steps whose figures are read together: one on a CPU, where reading costs nothing.

    One on Apple's GPUs too: reading later relies on AdamW's fused kernel, which must skip a step that is not finite,
    and this is known only for the kernels for CPU and CUDA.

    >>> steps_between_readings(None, "cpu"), steps_between_readings(None, "cuda"), steps_between_readings(4, "cuda")
    (1, 10, 4)
    """
    if device_type == "mps":
        return 1
    return wanted or (QUEUED_STEPS if device_type == "cuda" else 1)


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


def require_finite(loss: float, norm: float, data: StepData) -> None:
    """Raise a `TrainingError` that names step and examples unless both are finite."""
    if math.isfinite(loss) and math.isfinite(norm):
        return
    indices = [index for batch in data.micro_batches for index in batch.indices]
    what = f"loss {loss}" if not math.isfinite(loss) else f"gradient norm {norm}"
    raise TrainingError(
        f"{what} in step {data.number} (examples {', '.join(map(str, indices))}): the step was not applied. "
        "Lower --lr, set train.clip_norm=1, or look at these examples with `sftframe preview`"
    )
