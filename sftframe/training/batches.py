"""The examples of each batch, and the targets that really count in it.

The order of an epoch depends only on seed and epoch. The counted targets are measured on the training batches, and
compared with the promises of the collate strategy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from sftframe.config import TrainConfig
from sftframe.errors import DataError, PluginError, SftframeError
from sftframe.plugins import IGNORED, CollateStrategy
from sftframe.records import Batch, EvalBatch, Role, StepData, TokenizedExample


def to_device(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of one type on a device, copied together; to a CUDA device from pinned memory and without waiting.

    The device runs later work after the copy, and torch keeps the pinned memory until the copy is done.

    >>> [part.tolist() for part in to_device([torch.tensor([1, 2]), torch.tensor([[3]])], torch.device("cpu"))]
    [[1, 2], [[3]]]
    """
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    # on other devices a copy without waiting may read memory that is already used for something else
    is_pinned = device.type == "cuda"
    moved = (flat.pin_memory() if is_pinned else flat).to(device, non_blocking=is_pinned)
    parts = torch.split(moved, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def batch_on(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; it keeps the one in the CPU's memory, see `Batch.host`."""
    if batch.inputs.device == device:
        return batch
    inputs, targets = to_device([batch.inputs, batch.targets], device)
    weights = None if batch.weights is None else to_device([batch.weights], device)[0]
    return Batch(inputs=inputs, targets=targets, weights=weights, indices=batch.indices, host=batch)


def epoch_order(num_examples: int, *, seed: int, epoch: int, shuffle: bool = True) -> list[int]:
    """The order of one epoch, counted from 0.

    With shuffling this is the order of the epoch-th pass over a `torch.utils.data.DataLoader(shuffle=True)` after
    `torch.manual_seed(seed)`: each pass draws one random number for its workers and one as the seed of the permutation.
    """
    if not shuffle:
        return list(range(num_examples))
    draws = torch.empty(2 * (epoch + 1), dtype=torch.int64)
    base = torch.Generator().manual_seed(seed)
    for i in range(len(draws)):
        draws[i] = torch.empty((), dtype=torch.int64).random_(generator=base)
    order = torch.randperm(num_examples, generator=torch.Generator().manual_seed(int(draws[-1])))
    return [int(i) for i in order]


def batch_rows(order: Sequence[int], batch_size: int, *, drop_last: bool = False) -> Iterator[list[int]]:
    """The order cut into batches; the last one may be smaller, or is left out.

    >>> list(batch_rows([4, 2, 0, 1, 3], 2))
    [[4, 2], [0, 1], [3]]
    """
    for start in range(0, len(order), batch_size):
        rows = list(order[start : start + batch_size])
        if len(rows) == batch_size or not drop_last:
            yield rows


PADDING = len(Role)
"""The code of padding positions, after the codes of the roles."""

LABELS = (*(role.label for role in Role), "padding")
_NUM_OLD_LABELS = 6
"""Before there were the roles `system` and `tool`."""


def counted_weights(batch: Batch) -> Tensor:
    """The weight of every target, 0 where it does not count: float32 (B, T)."""
    counted = (batch.targets != IGNORED).float()
    return counted if batch.weights is None else counted * batch.weights


def target_roles(examples: Sequence[TokenizedExample], num_positions: int) -> Tensor:
    """The role of every target, `PADDING` after a row's end: uint8 (B, T)."""
    roles = torch.full((len(examples), num_positions), PADDING, dtype=torch.uint8)
    for row, example in enumerate(examples):
        known = torch.as_tensor(example.roles[1 : num_positions + 1])
        roles[row, : len(known)] = known
    return roles


@dataclass(slots=True)
class TargetCounts:
    """Targets per role (and padding), all of them and those that count."""

    all: Tensor = field(default_factory=lambda: torch.zeros(len(LABELS), dtype=torch.int64))
    counted: Tensor = field(default_factory=lambda: torch.zeros(len(LABELS), dtype=torch.int64))
    left_out: Tensor = field(default_factory=lambda: torch.zeros(len(LABELS), dtype=torch.int64))
    """Of answers whose exchange has the weight 0; no strategy can make them count."""

    def add(self, batch: Batch, examples: Sequence[TokenizedExample]) -> None:
        """Count one batch."""
        num_positions = batch.targets.shape[1]
        roles = target_roles(examples, num_positions).long()
        self.all += torch.bincount(roles.flatten(), minlength=len(LABELS))
        self.counted += torch.bincount(roles[counted_weights(batch) > 0], minlength=len(LABELS))
        factors = turn_factors(examples, num_positions)
        if factors is not None:
            self.left_out += torch.bincount(roles[factors == 0], minlength=len(LABELS))

    @property
    def state(self) -> dict[str, list[int]]:
        """The counts as JSON values."""
        return {"all": self.all.tolist(), "counted": self.counted.tolist(), "left_out": self.left_out.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, list[int]]) -> TargetCounts:
        """The counts of a `state`; older ones know fewer roles."""
        left_out = state.get("left_out", [0])
        return cls(*(_for_all_roles(numbers) for numbers in (state["all"], state["counted"], left_out)))

    @staticmethod
    def is_state(state: Mapping[str, list[int]]) -> bool:
        """Whether these are counts of this version or of one that had fewer roles."""
        sizes = {len(numbers) for numbers in state.values()}
        if state.keys() == {"all", "counted"}:
            return sizes == {_NUM_OLD_LABELS}
        return state.keys() == {"all", "counted", "left_out"} and sizes == {len(LABELS)}

    @property
    def shares(self) -> dict[str, float]:
        """Share of targets that count, per role that occurs, 0-1."""
        pairs = zip(LABELS, self.counted.tolist(), self.all.tolist(), strict=True)
        return {label: counted / total for label, counted, total in pairs if total}


def turn_factors(examples: Sequence[TokenizedExample], num_positions: int) -> Tensor | None:
    """What the weight of every target is multiplied with: the weight of its exchange at targets of an answer, else 1.

    float32 (B, T); None where all are 1, as without conversations.
    """
    if all(weight == 1 for example in examples for weight in example.turn_weights):
        return None
    factors = torch.ones(len(examples), num_positions)
    for row, example in enumerate(examples):
        roles = np.asarray(example.roles)[1 : num_positions + 1]
        own = np.asarray(example.turn_weights, dtype=np.float32)[example.turns[1 : num_positions + 1]]
        is_answer = (roles == Role.RESPONSE) | (roles == Role.END)
        factors[row, : len(roles)] = torch.from_numpy(np.where(is_answer, own, np.float32(1)))
    return factors


def _weighted(batch: Batch, examples: Sequence[TokenizedExample]) -> Batch:
    """The batch with the weights of its exchanges; a target of weight 0 does not count."""
    factors = turn_factors(examples, batch.targets.shape[1])
    if factors is None:
        return batch
    targets = batch.targets.masked_fill(factors == 0, IGNORED)
    weights = torch.where(targets != IGNORED, counted_weights(batch) * factors, 0)
    is_plain = bool(((weights == 0) | (weights == 1)).all())
    return replace(batch, targets=targets, weights=None if is_plain else weights)


def _check_turn_ends(strategy: CollateStrategy, batch: Batch, examples: Sequence[TokenizedExample]) -> None:
    """Check that every exchange of which an answer's target counts has an end that counts."""
    for row, example in enumerate(examples):
        if len(example.turn_starts) == 1:
            continue
        counted = (counted_weights(batch)[row] > 0).numpy()
        roles, turns = np.asarray(example.roles)[1:], example.turns[1:]
        counted = counted[: len(roles)]
        for turn in np.unique(turns[counted & (roles == Role.RESPONSE)]):
            ends = np.flatnonzero((turns == turn) & (roles == Role.END))
            if len(ends) and not counted[ends[-1]]:
                raise _broken(
                    strategy,
                    f"counts the answer of exchange {turn} of example {example.index}, but not its end",
                    "expected both or neither, or a role_weight of 0 for Role.END; without ends no answer stops",
                )


def _for_all_roles(numbers: Sequence[int]) -> Tensor:
    """One number per label; the last of the given ones is of padding."""
    *of_roles, of_padding = numbers
    return torch.tensor([*of_roles, *([0] * (len(Role) - len(of_roles))), of_padding])


def check_promise(strategy: CollateStrategy, counts: TargetCounts) -> None:
    """Compare the counted targets with the strategy's weights of roles and padding.

    A strategy with its own rules (`target_weights` overridden) promises nothing about roles. A strategy that makes its
    batches itself (`__call__` overridden) and gives weights of roles promises that a role of weight 0 never counts.

    Raises:
        PluginError: targets counted that should not, or did not count although they should.
    """
    kind = type(strategy)
    is_own_batch = kind.__call__ is not CollateStrategy.__call__
    promised = {} if strategy.padding_weight > 0 and is_own_batch else {"padding": float(strategy.padding_weight > 0)}
    if kind.target_weights is CollateStrategy.target_weights:
        roles = {role.label: float(strategy.role_weight(strategy.known_role(role)) > 0) for role in Role}
        promised |= {label: share for label, share in roles.items() if not (is_own_batch and share)}
    numbers = zip(LABELS, counts.all.tolist(), counts.counted.tolist(), counts.left_out.tolist(), strict=True)
    for label, total, counted, left_out in numbers:
        if label in promised and counted != promised[label] * (total - left_out):
            of_turns = ", without answers of weight 0" if left_out else ""
            raise PluginError(
                f"collate strategy {strategy.name!r} promises to count {promised[label]:.0%} of {label} targets"
                f"{of_turns}, but {counted / max(total - left_out, 1):.1%} counted"
            )


def check_rows(strategy: CollateStrategy, batch: Batch, examples: Sequence[TokenizedExample]) -> None:
    """Check that every row contains its example, shifted by one, and that padding and ends count as they should.

    Raises:
        PluginError: they do not; the message names the strategy, the example and what is wrong.
    """
    width = batch.inputs.shape[1]
    wanted_indices = tuple(example.index for example in examples)
    if batch.indices and tuple(batch.indices) != wanted_indices:
        raise _broken(
            strategy, f"made rows of the examples {list(batch.indices)} out of {list(wanted_indices)}", _ORDER
        )
    lengths = torch.tensor([len(example.ids) - 1 for example in examples])
    if int(lengths.max()) > width:
        longest = examples[int(lengths.argmax())]
        raise _broken(strategy, f"cut example {longest.index} to {width} positions", _CUT)
    is_text = torch.arange(width) < lengths[:, None]  # (B, T)
    targets = _next_ids(examples, width)
    counted = counted_weights(batch) > 0  # (B, T)
    wrong = (batch.targets != targets) & (batch.targets != IGNORED) & is_text
    if (row := _first_row(wrong)) is not None:
        expected = (
            f"expected the id that comes next, or {IGNORED}; rows start at the first position, padding comes after"
        )
        raise _broken(strategy, f"gave example {examples[row].index} other targets than its ids", expected)
    if not strategy.padding_weight > 0 and (row := _first_row(counted & ~is_text)) is not None:
        number = int((counted & ~is_text)[row].sum())
        found = f"counts {number} padding targets of example {examples[row].index}"
        raise _broken(strategy, found, f"expected the target {IGNORED} there, or a padding_weight over 0")
    if strategy.role_weight(Role.END) > 0:
        _check_ends(strategy, counted, examples)


def _check_ends(strategy: CollateStrategy, counted: Tensor, examples: Sequence[TokenizedExample]) -> None:
    for row, example in enumerate(examples):
        last = len(example.ids) - 2
        if example.num_truncated or example.roles[-1] != Role.END or last < 0 or counted[row, last]:
            continue
        expected = (
            "expected it to count once, or a role_weight of 0 for Role.END; recognise padding by length, never by id"
        )
        raise _broken(strategy, f"does not count the end token of example {example.index}", expected)


_CUT = "set tokens.max_length and tokens.over_long, which cut rows and count what they cut"
_ORDER = "expected rows in the order given"


def _broken(strategy: CollateStrategy, found: str, expected: str) -> PluginError:
    return PluginError(f"collate strategy {strategy.name!r} {found}; {expected}")


def _next_ids(examples: Sequence[TokenizedExample], width: int) -> Tensor:
    """The id that follows each position: int64 (B, T), 0 after a row's end."""
    targets = torch.zeros(len(examples), width, dtype=torch.int64)
    for row, example in enumerate(examples):
        targets[row, : len(example.ids) - 1] = torch.as_tensor(example.ids, dtype=torch.int64)[1:]
    return targets


def _first_row(wrong: Tensor) -> int | None:
    rows = wrong.any(dim=1).nonzero()
    return int(rows[0]) if len(rows) else None


def collate(strategy: CollateStrategy, examples: Sequence[TokenizedExample]) -> Batch:
    """The strategy's batch, checked.

    Raises:
        DataError: a row in which no target counts.
        PluginError: the strategy failed, or its result is no batch of these examples.
    """
    made = _made(strategy, examples)
    _check_shapes(strategy, made, len(examples))
    batch = _weighted(made, examples)
    is_usable = counted_weights(batch).sum(dim=1) > 0  # (B,)
    if not bool(is_usable.all()):
        example = examples[int(is_usable.logical_not().nonzero()[0])]
        of_turns = "" if example.turn_weights == (1.0,) else _weights_in_words(example)
        remedy = "; --set tokens.over_long=drop leaves out what does not fit" if example.num_truncated else ""
        raise DataError(
            f"example {example.index}: no target counts with collate strategy {strategy.name!r}, so it would train "
            f"on nothing ({len(example.ids)} tokens, {example.num_truncated} cut off{of_turns}){remedy}"
        )
    check_rows(strategy, made, examples)
    if strategy.role_weight(Role.END) > 0:
        _check_turn_ends(strategy, batch, examples)
    return batch


def _weights_in_words(example: TokenizedExample) -> str:
    listed = ", ".join(f"{weight:g}" for weight in example.turn_weights)
    earlier = " – collate.turns=last takes all but the last one as 0" if len(example.turn_weights) > 1 else ""
    return f"; its answers count with the weights {listed}{earlier}"


def evaluation_batches(
    examples: Sequence[TokenizedExample], strategy: CollateStrategy, batch_size: int
) -> Iterator[EvalBatch]:
    """Held-out examples in batches of similar length, each as the strategy makes it and with all targets counted."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    everything = _Everything(pad_id=strategy.pad_id)
    for rows in batch_rows(order, batch_size):
        chosen = [examples[row] for row in rows]
        full = everything(chosen)
        roles = target_roles([_last_answer_alone(example) for example in chosen], full.targets.shape[1])
        yield EvalBatch(own=collate(strategy, chosen), full=full, roles=roles)


def _last_answer_alone(example: TokenizedExample) -> TokenizedExample:
    """The example with the answers before the last one as `INPUT`."""
    if len(example.turn_starts) == 1:
        return example
    roles = np.array(example.roles, dtype=np.uint8)
    earlier = roles[: example.turn_starts[-1]]
    earlier[(earlier == Role.RESPONSE) | (earlier == Role.END)] = Role.INPUT
    return replace(example, roles=roles)


def _made(strategy: CollateStrategy, examples: Sequence[TokenizedExample]) -> Batch:
    """Turn a strategy's exceptions into errors that name it."""
    given = [_with_known_roles(strategy, example) for example in examples]
    try:
        batch: object = strategy(given)
    except SftframeError:
        raise
    except Exception as error:
        raise PluginError(f"collate strategy {strategy.name!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(batch, Batch):
        raise PluginError(f"collate strategy {strategy.name!r} gave {type(batch).__name__}; expected a Batch")
    return batch


def _with_known_roles(strategy: CollateStrategy, example: TokenizedExample) -> TokenizedExample:
    """The example with the roles that the strategy knows."""
    known = np.array([strategy.known_role(role) for role in Role], dtype=np.uint8)
    roles = np.asarray(example.roles, dtype=np.uint8)
    is_known = bool((known[roles] == roles).all())
    return example if is_known else replace(example, roles=known[roles])


def _check_shapes(strategy: CollateStrategy, batch: Batch, num_rows: int) -> None:
    tensors = {"inputs": batch.inputs, "targets": batch.targets, "weights": batch.weights}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor is not None}
    shape = shapes["inputs"]
    if len(shape) != 2 or shape[0] != num_rows or set(shapes.values()) != {shape}:
        listed = ", ".join(f"{name} {found}" for name, found in shapes.items())
        raise PluginError(
            f"collate strategy {strategy.name!r} made {listed} of {num_rows} examples; "
            "expected one row per example, and the same shape for all"
        )


class _Everything(CollateStrategy):
    """Counts every target but padding, independent of the run's own strategy."""

    name = "everything"
    summary = "for evaluation"


class StepLoader:
    """The data of every optimizer step of a run.

    `counts` grows with every step that is yielded; a resumed run sets it to the saved value.
    """

    def __init__(
        self,
        examples: Sequence[TokenizedExample],
        strategy: CollateStrategy,
        config: TrainConfig,
        *,
        seed: int,
    ) -> None:
        self.counts = TargetCounts()
        self._examples = examples
        self._strategy = strategy
        self._config = config
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the examples.

        Raises:
            DataError: there are fewer examples than one full batch, and `drop_last` leaves nothing.
        """
        size, total = self._config.batch_size, len(self._examples)
        num_batches = total // size if self._config.drop_last else math.ceil(total / size)
        if num_batches == 0:
            raise DataError(f"{total} training examples do not fill one batch of {size}: lower --batch-size")
        return math.ceil(num_batches / self._config.accumulate)

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run."""
        # rounded first: 0.07 epochs of 100 steps are 7 steps, and 7.000000000000001 in floating point
        steps = max(1, math.ceil(round(self._config.epochs * self.steps_per_epoch, 6)))
        return steps if self._config.max_steps is None else min(steps, self._config.max_steps)

    def steps(self, after: int = 0) -> Iterator[StepData]:
        """The data of all optimizer steps after number `after`."""
        for number, groups in enumerate(self._steps(after), start=after + 1):
            yield self._step(number, groups)

    def schedule(self) -> Iterator[list[tuple[int, ...]]]:
        """The examples of each optimizer step of the run: per micro-batch the `Example.index` of its rows."""
        for groups in self._steps():
            yield [tuple(self._examples[row].index for row in rows) for rows in groups]

    def _steps(self, after: int = 0) -> Iterator[list[list[int]]]:
        """Rows of every micro-batch of all steps after number `after`."""
        number = after
        while number < self.num_steps:
            epoch, skip = divmod(number, self.steps_per_epoch)
            for groups in self._epoch(epoch)[skip : skip + self.num_steps - number]:
                number += 1
                yield groups

    def _epoch(self, epoch: int) -> list[list[list[int]]]:
        """Rows of every micro-batch of every step of an epoch."""
        config = self._config
        order = epoch_order(len(self._examples), seed=self._seed, epoch=epoch, shuffle=config.shuffle)
        rows = list(batch_rows(order, config.batch_size, drop_last=config.drop_last))
        return [rows[i : i + config.accumulate] for i in range(0, len(rows), config.accumulate)]

    def _step(self, number: int, groups: Sequence[Sequence[int]]) -> StepData:
        batches, weight, num_tokens, num_examples = [], 0.0, 0, 0
        for rows in groups:
            examples = [self._examples[row] for row in rows]
            batch = collate(self._strategy, examples)
            self.counts.add(batch, examples)
            batches.append(batch)
            weight += float(counted_weights(batch).sum(dtype=torch.float64))
            num_tokens += sum(len(example.ids) for example in examples)
            num_examples += len(examples)
        return StepData(
            number=number,
            epoch=number / self.steps_per_epoch,
            micro_batches=tuple(batches),
            weight=weight,
            num_tokens=num_tokens,
            num_examples=num_examples,
        )
