"""Finds out, for a loaded network, whether compact positions give what padded rows give: by computing both.

Nothing here knows a family of models. Three short rows of different lengths with the same beginning are computed as
transformers computes them and as a compact batch. Hidden states, loss and gradients must be equal, and no row may
depend on what another row alone has. Windows are made short for this, because a probe never fills a window of
thousands of positions.

Shapes: B rows, T positions, N positions that matter, C width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from sftframe import IGNORED, Batch
from sftframe_plugins.hf.attention import UnsuitedError
from sftframe_plugins.hf.passes import Passes, Scored, evaluating

LENGTHS = (9, 14, 7)
"""Of the probe's rows; the first five tokens are the same in all."""
SHARED = 5
WINDOW = 3
"""Of the attention, while windows are tested: shorter than the beginning and than every rest."""

STATES = 1e-4
"""Largest relative difference of hidden states in float32. Rounding alone gives 1e-6 to 1e-5; a wrong position, window
or slope gave more than 3e-4 in every family that was tried, also with untrained weights."""
GRADIENTS = 1e-3
"""And of a gradient."""
ROUNDING = 1e-6
"""What may be left of a gradient that is zero in exact arithmetic (a bias of keys), as a share of the largest one."""

SMALL = 65_536
"""Parameters of at most this number of values have their gradients compared; larger ones get theirs from the same
states and the same gradients of states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the probe has shown."""

    is_compact: bool
    """Whether compact positions give the same as padded rows."""
    reason: str = ""
    """Why not, in words."""
    limit: int | None = None
    """Rows with more positions than this are computed padded; None = any length is alike."""
    has_plain_head: bool = False
    """Whether logits are the hidden states times one matrix."""


def prove(module: PreTrainedModel, passes: Passes) -> Proof:
    """Compute the probe in both ways; weights, modes and random numbers stay as they were."""
    has_plain_head = find_head(module, passes)
    with _probing(module), torch.enable_grad(), _needing_gradients(module):
        try:
            _check(module, passes)
        except UnsuitedError as error:
            return Proof(is_compact=False, reason=str(error), has_plain_head=has_plain_head)
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError) as error:
            words = str(error).partition("\n")[0] or type(error).__name__
            return Proof(is_compact=False, reason=f"it refuses them ({words})", has_plain_head=has_plain_head)
        return Proof(is_compact=True, limit=_limit(module, passes), has_plain_head=has_plain_head)


def find_head(module: PreTrainedModel, passes: Passes) -> bool:
    """Find out whether logits are the hidden states times one matrix, and tell the passes; many scale or cap them."""
    with _probing(module):
        passes.has_plain_head = _is_head_plain(module, passes)
    return passes.has_plain_head


@contextmanager
def _probing(module: PreTrainedModel) -> Iterator[None]:
    """Without dropout and rounding; weights, modes and random numbers are afterwards what they were."""
    with ExitStack() as stack:
        stack.enter_context(evaluating(module))
        stack.enter_context(_in_float32(module))
        stack.enter_context(torch.inference_mode(False))  # a model may be asked first while it is evaluated
        stack.enter_context(torch.autocast(module.device.type, enabled=False))
        yield


def _check(module: PreTrainedModel, passes: Passes) -> None:
    """Compare the two ways.

    Raises:
        UnsuitedError: they differ.
    """
    batch = _probe(module)
    _check_leak(module, passes, batch)
    plain, compacted = _measured(module, passes, batch, is_compact=False), _measured(module, passes, batch)
    if _difference(compacted.states, plain.states) > STATES:
        raise UnsuitedError("a position depends on more than its number and the tokens before it in its row")
    if not _are_equal(compacted.gradients, plain.gradients):
        raise UnsuitedError("its gradients are not those of padded rows")


@dataclass(frozen=True, slots=True)
class _Measured:
    states: Tensor
    """(number of counted targets, C or V)."""
    gradients: Sequence[Tensor]


def _measured(module: PreTrainedModel, passes: Passes, batch: Batch, *, is_compact: bool = True) -> _Measured:
    """States and gradients at every counted target of the padded batch, in the batch's order."""
    with _embedded(module) as embedded:
        scored = passes.compact(batch, share=True) if is_compact else passes.padded(batch)
        wanted = [p for p in module.parameters() if p.numel() <= SMALL]
        gradients = torch.autograd.grad(scored.loss(), [*embedded, *wanted], allow_unused=True)
    of_inputs = [_by_position(x, batch) for x in gradients[: len(embedded)] if x is not None]
    small = [torch.zeros(()) if x is None else x for x in gradients[len(embedded) :]]
    return _Measured(_at_targets(scored).detach(), [*of_inputs, *small])


def _at_targets(scored: Scored) -> Tensor:
    layout = scored.layout
    return scored.states[layout.term_states[layout.counted_terms]]


def _by_position(gradient: Tensor, batch: Batch) -> Tensor:
    """The gradient of what entered the first layer, (B, T, C) or (1, N, C), as (N, C) of the compact batch."""
    if len(gradient) == 1:
        return gradient[0]
    rows = [gradient[row, : length - 1] for row, length in enumerate(LENGTHS)]
    shared = torch.stack([row[:SHARED] for row in rows]).sum(dim=0)
    return torch.cat([shared, *(row[SHARED:] for row in rows)])


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """The norm of the difference over the norm; infinite for what is not a number."""
    if ours.shape != theirs.shape:
        return float("inf")
    size = float(theirs.double().norm())
    gap = float((ours.double() - theirs.double()).norm())
    if gap != gap:
        return float("inf")
    return gap / size if size else gap


def _are_equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    """Whether gradients agree; one that is nothing but rounding beside the others may be anything as small."""
    rounding = ROUNDING * max(float(x.norm()) for x in theirs)
    return all(
        float((x.double() - y.double()).norm()) <= GRADIENTS * float(y.norm()) + rounding
        for x, y in zip(ours, theirs, strict=True)
    )


def _check_leak(module: PreTrainedModel, passes: Passes, batch: Batch) -> None:
    """Raise `UnsuitedError` if the other rows depend on what the middle row alone has, however little.

    A gradient is exactly zero where there is no way from one position to another; a difference would drown in rounding
    where weights are small.
    """
    with _embedded(module) as embedded:
        states = _at_targets(passes.compact(batch, share=True))
        others = states[(batch.targets != IGNORED).nonzero()[:, 0] != 1]
        (gradient,) = torch.autograd.grad(others.square().sum(), embedded)
    start = LENGTHS[0] - 1
    if gradient[0, start : start + LENGTHS[1] - 1 - SHARED].count_nonzero():
        raise UnsuitedError("a row depends on the rows beside it")


def _probe(module: PreTrainedModel) -> Batch:
    """Three rows: tokens from all over the vocabulary, padded by the last one; from the third target on all count."""
    weight = module.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    size = weight.shape[0]
    ids = torch.full((len(LENGTHS), max(LENGTHS)), size - 1)
    for row, length in enumerate(LENGTHS):
        own = torch.arange(length)
        own[SHARED:] += 100 * (row + 1)
        ids[row, :length] = (own * 7919 + 11) % size
    targets = ids[:, 1:].clone()
    columns = torch.arange(targets.shape[1])
    lengths = torch.tensor(LENGTHS)[:, None] - 1
    targets[(columns < 2) | (columns >= lengths)] = IGNORED
    return Batch(inputs=ids[:, :-1].to(weight.device), targets=targets.to(weight.device))


def _is_head_plain(module: PreTrainedModel, passes: Passes) -> bool:
    """Whether hidden states times the head's matrix are the logits."""
    head = passes.head()
    if head is None:
        return False
    ids = _probe(module).inputs[:1]
    with torch.no_grad():
        logits = passes.logits(ids)
        states = getattr(module.base_model(input_ids=ids, use_cache=False), "last_hidden_state", None)
        return states is not None and _difference(F.linear(states, head), logits) <= STATES


def _limit(module: PreTrainedModel, passes: Passes) -> int | None:
    """The longest rows for which the probe speaks."""
    limits = [*_rotary_limits(module), *_other_windows(module)]
    with _short_windows(module) as windows:
        if windows:
            try:
                _check(module, passes)
            except (UnsuitedError, TypeError, ValueError, RuntimeError):
                limits += windows
    return min(limits, default=None)


@contextmanager
def _short_windows(module: nn.Module) -> Iterator[list[int]]:
    """Shorten every window, wherever the network keeps it; gives the windows that were there."""
    holders = [*module.modules(), *(layer.config for layer in module.modules() if hasattr(layer, "config"))]
    found = {id(holder): (holder, getattr(holder, _WINDOW)) for holder in holders if _is_window(holder)}
    for holder, _ in found.values():
        setattr(holder, _WINDOW, WINDOW)
    try:
        yield sorted({window for _, window in found.values()})
    finally:
        for holder, window in found.values():
            setattr(holder, _WINDOW, window)


_WINDOW = "sliding_window"


def _is_window(holder: Any) -> bool:
    window = vars(holder).get(_WINDOW)
    return isinstance(window, int) and not isinstance(window, bool) and window > 0


def _other_windows(module: PreTrainedModel) -> list[int]:
    """Sizes of windows and chunks by other names: the probe cannot shorten them."""
    return [
        value
        for name, value in module.config.to_dict().items()
        if ("window" in name or "chunk" in name)
        and not (name == _WINDOW or name.endswith(("_pattern", "_layers", "_feed_forward")))
        and isinstance(value, int)
        and not isinstance(value, bool)
        and value > 0
    ]


_FIXED = frozenset({"default", "linear", "yarn", "llama3", "proportional"})
"""Kinds of rotary positions whose angles depend on a position alone, whatever else is in the batch."""


def _rotary_limits(module: PreTrainedModel) -> list[int]:
    """Where rotary positions begin to depend on the longest row of a batch."""
    config = module.config
    most = getattr(config, "max_position_embeddings", None)
    limits = []
    for parameters in _rotary_parameters(getattr(config, "rope_parameters", None) or {}):
        if parameters.get("rope_type", "default") not in _FIXED:
            limit = parameters.get("original_max_position_embeddings") or most
            limits += [limit] if isinstance(limit, int) else [1]
    return limits


def _rotary_parameters(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One set for all layers, or one for each kind of layer."""
    return [x for x in found.values() if isinstance(x, dict) and "rope_type" in x] or [found]


@contextmanager
def _embedded(module: PreTrainedModel) -> Iterator[list[Tensor]]:
    """What the embedding gives from now on, with gradient."""
    found: list[Tensor] = []

    def keep(layer: nn.Module, given: Any, output: Tensor) -> Tensor:
        if not output.requires_grad:
            output = output.requires_grad_()
        found.append(output)
        return output

    handle = module.get_input_embeddings().register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


@contextmanager
def _needing_gradients(module: nn.Module) -> Iterator[None]:
    """Small parameters that were frozen need gradients for a while."""
    frozen = [p for p in module.parameters() if not p.requires_grad and p.numel() <= SMALL and p.is_floating_point()]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


@contextmanager
def _in_float32(module: nn.Module) -> Iterator[None]:
    """Half precision as float32 for a while; there and back, every value stays what it was."""
    halves = [p for p in module.parameters() if p.dtype in (torch.bfloat16, torch.float16)]
    dtypes = [p.dtype for p in halves]
    for parameter in halves:
        parameter.data = parameter.data.float()
    try:
        yield
    finally:
        for parameter, dtype in zip(halves, dtypes, strict=True):
            parameter.data = parameter.data.to(dtype)
