"""One optimizer step: its loss, its gradient, and what makes it refuse."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sftframe import Batch, CausalLM, CollateStrategy, Role, TokenizedExample
from sftframe.config import TrainConfig
from sftframe.errors import TrainingError
from sftframe.records import StepData, StepRecord
from sftframe.training import StepLoader, Trainer
from sftframe.training.optimizer import FusedAdamW, gradient_norm

LOGITS = [[-1.0, 1.0], [-0.5, 1.5], [-0.5, 1.5]]
"""Under target 0 the first row costs ln(1 + e^2) = 2.1269; under target 1 the others cost ln(1 + e^-2) = 0.1269."""


def trainer(model: CausalLM, num_steps: int = 10, dtype: str = "float32", **config: Any) -> Trainer:
    return Trainer(model, TrainConfig(**config), num_steps=num_steps, dtype=dtype)


def parameters(model: CausalLM) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.module.parameters()]


@pytest.mark.parametrize(
    ("inputs", "targets", "loss"),
    [
        ([[0, 1]], [[0, 1]], 1.1269),
        ([[0, 1, 2]], [[0, 1, 1]], 0.7936),
        ([[0, 1, 2]], [[0, 1, -100]], 1.1269),
        ([[0], [1]], [[0], [1]], 1.1269),
    ],
)
def test_the_loss_is_the_mean_over_the_targets_that_count(
    inputs: list[list[int]], targets: list[list[int]], loss: float, table: Callable, step_data: Callable
) -> None:
    record = trainer(table(LOGITS)).step(step_data((inputs, targets)))
    assert record.loss == pytest.approx(loss, abs=5e-5)


def test_the_loss_divides_by_the_sum_of_the_weights(table: Callable, step_data: Callable) -> None:
    record = trainer(table(LOGITS)).step(step_data(([[0, 1]], [[0, 1]], [[0.25, 1.0]])))
    assert record.loss == pytest.approx((0.25 * 2.126928 + 0.126928) / 1.25, abs=1e-5)


def test_the_loss_of_accumulated_batches_is_not_the_mean_of_their_means(table: Callable, step_data: Callable) -> None:
    # one target at 2.1269 and three at 0.1269: the mean over all is 0.6269, the mean of the means 1.1269
    data = step_data(([[0]], [[0]]), ([[1, 1, 2]], [[1, 1, 1]]))
    assert trainer(table(LOGITS)).step(data).loss == pytest.approx(0.6269, abs=5e-5)


def rows(count: int) -> list[TokenizedExample]:
    """Texts of many lengths with prompts of many lengths."""
    return [
        TokenizedExample(
            ids=[*bytes((7 * i + j) % 250 for j in range(4 + 3 * i)), 256],
            roles=[Role.INSTRUCTION] * (2 + i) + [Role.RESPONSE] * (2 + 2 * i) + [Role.END],
            index=i,
        )
        for i in range(count)
    ]


class HalfPrompt(CollateStrategy):
    """The prompt weighs half."""

    name = "half"
    summary = "for tests"

    def role_weight(self, role: Role) -> float:
        return 0.5 if role < Role.RESPONSE else 1.0


def plain_loss(model: CausalLM, examples: Sequence[TokenizedExample]) -> Tensor:
    """Token by token and row by row, without padding or batches."""
    total, weight = torch.zeros(()), 0.0
    for example in examples:
        ids = torch.tensor([example.ids])
        shares = model.module(ids)[0].log_softmax(-1)  # (T, V)
        for position in range(1, len(example.ids)):
            own = 0.5 if example.roles[position] < Role.RESPONSE else 1.0
            total = total - own * shares[position - 1, example.ids[position]]
            weight += own
    return total / weight


def test_loss_gradient_and_step_are_those_of_a_plain_cross_entropy_loop(make_model: Callable[..., CausalLM]) -> None:
    model, twin = make_model(seed=3), make_model(seed=3)
    optimizer = torch.optim.AdamW(twin.module.parameters(), lr=0.01, weight_decay=0.2, betas=(0.8, 0.95), eps=1e-3)
    config = {"lr": 0.01, "weight_decay": 0.2, "betas": (0.8, 0.95), "eps": 1e-3, "batch_size": 4, "shuffle": False}
    loader = StepLoader(rows(4), HalfPrompt(pad_id=256), TrainConfig(**config), seed=0)
    trained = trainer(model, **config)
    for _ in range(3):
        record = trained.step(next(loader.steps()))
        optimizer.zero_grad()
        loss = plain_loss(twin, rows(4))
        loss.backward()
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in twin.module.parameters()))
        optimizer.step()
        assert record.loss == pytest.approx(loss.item(), rel=1e-5)
        assert record.grad_norm == pytest.approx(norm, rel=1e-5)
        for found, wanted in zip(parameters(model), parameters(twin), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("strategy", [CollateStrategy, HalfPrompt])
def test_eight_times_one_is_one_times_eight(
    strategy: type[CollateStrategy], make_model: Callable[..., CausalLM]
) -> None:
    records, models = [], []
    for batch_size, accumulate in ((8, 1), (1, 8), (3, 3)):
        config = {"batch_size": batch_size, "accumulate": accumulate, "eps": 1e-3, "epochs": 1}
        model = make_model(seed=1)
        (data,) = StepLoader(rows(8), strategy(pad_id=256), TrainConfig(**config), seed=4).steps()
        records.append(trainer(model, **config).step(data))
        models.append(parameters(model))
    for record, found in zip(records[1:], models[1:], strict=True):
        assert record.loss == pytest.approx(records[0].loss, rel=1e-6)
        assert record.grad_norm == pytest.approx(records[0].grad_norm, rel=1e-5)
        for one, other in zip(found, models[0], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing(make_model: Callable[..., CausalLM]) -> None:
    alone, padded = make_model(), make_model()
    short, long = rows(8)[0], rows(8)[7]
    strategy = CollateStrategy(pad_id=256)
    with torch.no_grad():
        batch = strategy([short, long])
        together = padded.token_nll(batch)
        separate = [alone.token_nll(strategy([row]))[0] for row in (short, long)]
    torch.testing.assert_close(together[0, : len(short.ids) - 1], separate[0])
    torch.testing.assert_close(together[1], separate[1])
    assert not together[0, len(short.ids) - 1 :].any()


def test_a_loss_that_is_not_finite_stops_before_anything_moves(table: Callable, step_data: Callable) -> None:
    model = table([[-1.0, 1.0], [math.nan, 1.5]])
    before = parameters(model)
    trained = trainer(model)
    with pytest.raises(
        TrainingError,
        match=r"loss nan in step 3 \(examples 100, 110, 111\): the step was not applied\. Lower --lr, set train",
    ):
        trained.step(step_data(([[0]], [[0]]), ([[0], [1]], [[0], [1]]), number=3))
    assert [found.tobytes() for found in map(Tensor.numpy, parameters(model))] == [
        kept.tobytes() for kept in map(Tensor.numpy, before)
    ]
    assert trained.last is None
    assert trained.optimizer.state_dict()["state"] == {}


class Steep(nn.Module):
    """A finite output with an infinite slope: the root of 0."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2, 2)
        self.zero = nn.Parameter(torch.zeros(1))

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids) * (1 + self.zero.sqrt())


def test_a_gradient_that_is_not_finite_stops_before_anything_moves(table: Callable, step_data: Callable) -> None:
    model = table(LOGITS)
    model.module = Steep()
    before = parameters(model)
    with pytest.raises(TrainingError, match=r"gradient norm (nan|inf) in step 1 \(examples 100\): the step was not"):
        trainer(model).step(step_data(([[0]], [[0]])))
    assert all(found.equal(kept) for found, kept in zip(parameters(model), before, strict=True))


def test_clipping_scales_the_whole_gradient_and_the_record_has_the_norm_before_it(
    table: Callable, step_data: Callable
) -> None:
    # with a huge eps AdamW's first step is lr * gradient / eps, so that steps compare as gradients do
    records, moved = [], []
    for clip_norm in (None, 0.1):
        model = table([[0.0, 0.0]])
        config = {"lr": 1.0, "eps": 1e4, "weight_decay": 0.0, "clip_norm": clip_norm}
        records.append(trainer(model, **config).step(step_data(([[0]], [[0]]))))
        moved.append(parameters(model)[0])
    # both tokens have the probability 0.5: the gradient is (-0.5, 0.5), its norm 0.7071
    assert [record.grad_norm for record in records] == pytest.approx([0.707107, 0.707107])
    torch.testing.assert_close(moved[0], torch.tensor([[0.5e-4, -0.5e-4]]), rtol=1e-3, atol=0)
    torch.testing.assert_close(moved[1] * 7.07107, moved[0], rtol=1e-3, atol=0)


def test_a_gradient_below_the_limit_is_not_scaled_up(table: Callable, step_data: Callable) -> None:
    moved = []
    for clip_norm in (None, 50.0):
        model = table(LOGITS)
        trainer(model, clip_norm=clip_norm).step(step_data(([[0]], [[0]])))
        moved.append(parameters(model)[0])
    assert moved[0].equal(moved[1])


def test_gradients_left_over_from_elsewhere_do_not_count(table: Callable, step_data: Callable) -> None:
    clean, dirty = table(LOGITS), table(LOGITS)
    dirty.loss(step_data(([[1]], [[0]])).micro_batches[0]).backward()
    found = [trainer(model).step(step_data(([[0]], [[0]]))).grad_norm for model in (clean, dirty)]
    assert found[0] == found[1]


def test_bfloat16_computes_coarsely_over_float32_parameters(make_model: Callable[..., CausalLM]) -> None:
    fine, coarse = make_model(), make_model()
    (data,) = StepLoader(rows(8), CollateStrategy(pad_id=256), TrainConfig(epochs=1), seed=0).steps()
    wanted = trainer(fine).step(data)
    found = trainer(coarse, dtype="bfloat16").step(data)
    assert found.loss == pytest.approx(wanted.loss, rel=0.01)
    assert found.loss != wanted.loss
    assert {parameter.dtype for parameter in coarse.module.parameters()} == {torch.float32}


def test_the_model_is_in_training_mode_for_the_step_alone(
    make_model: Callable[..., CausalLM], step_data: Callable
) -> None:
    model = make_model()
    modes: list[bool] = []
    model.module.register_forward_hook(lambda module, *_: modes.append(module.training))
    trainer(model).step(step_data(([[1, 2]], [[2, 3]])))
    assert (modes, model.module.training) == ([True], False)


def test_a_parameter_that_is_frozen_stays(make_model: Callable[..., CausalLM], step_data: Callable) -> None:
    model = make_model()
    model.module.embed.weight.requires_grad_(False)
    before = model.module.embed.weight.clone()
    trainer(model, lr=0.1).step(step_data(([[1, 2]], [[2, 3]])))
    assert model.module.embed.weight.equal(before)


def test_what_was_seen_adds_up_over_steps_and_over_a_resumption(table: Callable, step_data: Callable) -> None:
    first = trainer(table(LOGITS)).step(step_data(([[0, 1]], [[0, 1]])))
    assert (first.step, first.tokens_seen, first.examples_seen, first.epoch) == (1, 3, 1, 0.5)
    earlier = StepRecord(
        step=6, epoch=0.4, loss=1.0, lr=1e-3, grad_norm=1.0, tokens_seen=100, examples_seen=20, seconds=50.0
    )
    resumed = Trainer(table(LOGITS), TrainConfig(), num_steps=10, after=earlier)
    record = resumed.step(step_data(([[0, 1]], [[0, 1]]), number=7))
    assert (record.step, record.tokens_seen, record.examples_seen) == (7, 103, 21)
    assert 50.0 < record.seconds < 60.0


class Failing(CausalLM):
    """Raises what it is told in place of a loss."""

    error: Exception = RuntimeError()

    def loss_sum(self, batch: Batch) -> Tensor:
        raise self.error

    def save(self, folder: object) -> None:
        raise AssertionError("never saved")


@pytest.fixture
def failing(make_model: Callable[..., CausalLM]) -> Callable[[Exception], CausalLM]:
    def make(error: Exception) -> CausalLM:
        plain = make_model()
        model = Failing(plain.module, plain.tokenizer, plain.context_length)
        model.error = error
        return model

    return make


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
        MemoryError(),
    ],
)
def test_no_memory_left_is_told_with_the_size_and_what_to_lower(
    error: Exception, failing: Callable[[Exception], CausalLM], step_data: Callable
) -> None:
    model = failing(error)
    data: StepData = step_data(([[1]], [[2]]), ([[1, 2, 3]] * 4, [[2, 3, 4]] * 4), number=9)
    with pytest.raises(
        TrainingError, match=r"out of memory in step 9 with 2 rows of 3 tokens: lower --batch-size and raise train\.acc"
    ):
        trainer(model).step(data)
    assert not model.module.training


def test_no_memory_for_a_single_row_has_other_advice(
    failing: Callable[[Exception], CausalLM], step_data: Callable
) -> None:
    with pytest.raises(TrainingError, match=r"1 rows of 2 tokens: lower --max-length, or choose a smaller model"):
        trainer(failing(MemoryError())).step(step_data(([[1, 2]], [[2, 3]])))


class Tight(CausalLM):
    """A model that has memory for two rows at a time."""

    def loss_sum(self, batch: Batch) -> Tensor:
        if len(batch.inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().loss_sum(batch)

    def save(self, folder: object) -> None:
        raise AssertionError("never saved")


def test_where_memory_runs_out_halved_batches_give_the_same_step(make_model: Callable[..., CausalLM]) -> None:
    (data,) = StepLoader(rows(4), HalfPrompt(pad_id=256), TrainConfig(batch_size=4, epochs=1), seed=0).steps()
    roomy, plain = make_model(seed=1), make_model(seed=1)
    tight = Tight(plain.module, plain.tokenizer, plain.context_length)
    warnings: list[str] = []
    trained = Trainer(tight, TrainConfig(eps=1e-3), num_steps=10, warn=warnings.append)
    wanted = trainer(roomy, eps=1e-3).step(data)
    for number in (1, 2):
        found = trained.step(replace(data, number=number))
        if number == 1:
            assert (found.loss, found.grad_norm) == pytest.approx((wanted.loss, wanted.grad_norm), rel=1e-5)
            for one, other in zip(parameters(tight), parameters(roomy), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert trained.is_halving
    assert [text.partition(":")[0] for text in warnings] == ["out of memory in step 1"]


def test_any_other_error_of_a_model_passes_through(
    failing: Callable[[Exception], CausalLM], step_data: Callable
) -> None:
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        trainer(failing(RuntimeError("shapes do not fit"))).step(step_data(([[1]], [[2]])))


class Doubled(FusedAdamW):
    """An optimizer step that notes what it is told, and may fail or be unable to skip."""

    def __init__(self, model: CausalLM, *, can_skip: bool = True, failing: Exception | None = None) -> None:
        super().__init__(list(model.module.parameters()), TrainConfig())
        self.can_skip = can_skip
        self.failing = failing
        self.given: list[tuple[float, Tensor | None]] = []

    def apply(self, *, lr: float, norm: Tensor, is_bad: Tensor | None = None) -> None:
        if self.failing is not None:
            raise self.failing
        self.given.append((lr, is_bad))
        super().apply(lr=lr, norm=norm, is_bad=is_bad)


def test_no_memory_for_the_optimizers_moments_is_told_as_well(table: Callable, step_data: Callable) -> None:
    model = table(LOGITS)
    full = Doubled(model, failing=torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(TrainingError, match="out of memory in step 1"):
        Trainer(model, TrainConfig(), num_steps=10, optimizer_step=full).step(step_data(([[0]], [[0]])))


def test_an_optimizer_that_cannot_skip_gets_only_steps_that_were_read(table: Callable, step_data: Callable) -> None:
    model = table([[-1.0, 1.0], [math.nan, 1.5]])
    own = Doubled(model, can_skip=False)
    trained = Trainer(model, TrainConfig(log_every=4, lr=0.5), num_steps=10, optimizer_step=own)
    trained.take(step_data(([[0]], [[0]])))
    assert (trained.is_due, own.given, trained.optimizer) == (True, [(0.5, None)], own.optimizer)
    with pytest.raises(TrainingError, match="loss nan in step 2"):
        trained.take(step_data(([[1]], [[1]]), number=2))
    assert len(own.given) == 1


def queued(model: CausalLM, every: int, **config: Any) -> Trainer:
    return trainer(model, log_every=every, **config)


class Reads(TorchFunctionMode):
    """Lists every call that brings a tensor's numbers to the CPU."""

    NAMES = ("item", "tolist", "cpu", "numpy", "nonzero", "equal", "__bool__", "__float__", "__int__", "__index__")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names += [func.__name__] if func.__name__ in self.NAMES else []
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("every", "names"), [(1, ["cpu", "tolist"]), (3, [])])
def test_no_number_is_read_while_steps_are_queued(
    every: int, names: list[str], make_model: Callable[..., CausalLM], step_data: Callable
) -> None:
    trained = queued(make_model(), every, clip_norm=1.0)
    trained.step(step_data(([[1, 2]], [[2, 3]])))  # AdamW makes its moments
    data = step_data(([[1, 2]], [[2, 3]]), ([[3, 4]], [[4, 5]]), number=2)
    with Reads() as reads:
        trained.take(data)
    assert reads.names == names


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_steps_read_together_are_those_read_one_by_one(
    clip_norm: float | None, make_model: Callable[..., CausalLM]
) -> None:
    config = {"batch_size": 2, "accumulate": 2, "epochs": 3, "lr": 0.01, "clip_norm": clip_norm}
    found = []
    for every in (1, 4):
        model = make_model(seed=2)
        trained = queued(model, every, **config)
        records = []
        for data in StepLoader(rows(8), HalfPrompt(pad_id=256), TrainConfig(**config), seed=0).steps():
            trained.take(data)
            if trained.is_due:
                records += trained.read()
        records += trained.read()
        assert len(records) == 6
        found.append(([replace(record, seconds=0.0) for record in records], parameters(model)))
        assert all(0 < one.seconds < two.seconds for one, two in itertools.pairwise(records))
    assert found[0][0] == found[1][0]
    assert all(one.equal(other) for one, other in zip(found[0][1], found[1][1], strict=True))


def test_a_queued_step_that_is_not_finite_moves_nothing_nor_does_any_after_it(
    table: Callable, step_data: Callable
) -> None:
    model = table([[-1.0, 1.0], [math.nan, 1.5]])
    trained = queued(model, 4)
    trained.take(step_data(([[0]], [[0]]), number=1))
    kept = parameters(model)
    moments = [value.clone() for value in trained.optimizer.state[model.module.weight].values()]
    trained.take(step_data(([[1]], [[1]]), number=2))
    trained.take(step_data(([[0]], [[0]]), number=3))
    records = trained.read()
    assert next(records).step == 1
    with pytest.raises(TrainingError, match=r"loss nan in step 2 \(examples 100\): the step was not applied"):
        next(records)
    torch.testing.assert_close(parameters(model), kept, rtol=0, atol=0, equal_nan=True)
    for value, before in zip(trained.optimizer.state[model.module.weight].values(), moments, strict=True):
        assert value.equal(before)
    assert trained.last.step == 1


def test_a_queued_gradient_that_is_not_finite_moves_nothing(table: Callable, step_data: Callable) -> None:
    model = table(LOGITS)
    model.module = Steep()
    before = parameters(model)
    trained = queued(model, 2)
    trained.take(step_data(([[0]], [[0]])))
    with pytest.raises(TrainingError, match=r"gradient norm (nan|inf) in step 1"):
        list(trained.read())
    assert all(found.equal(kept) for found, kept in zip(parameters(model), before, strict=True))


def test_nothing_taken_is_nothing_to_read(make_model: Callable[..., CausalLM]) -> None:
    assert list(trainer(make_model()).read()) == []


@pytest.mark.parametrize("values", ["random", "equal", "rising"])
def test_the_norm_of_millions_of_values_is_right_to_a_millionth(values: str) -> None:
    # sums of squares that add one small number after the other lose them: up to 9e-4 for as many as GPT-2 has
    generator = torch.Generator().manual_seed(1)
    shapes = ((2000, 1500), (255,), (257,), (1,), (7, 5))
    grads = [torch.randn(shape, generator=generator) for shape in shapes]
    if values == "equal":  # every row of them has the same rounding error, so nothing averages out
        grads = [torch.full(shape, 0.3) for shape in shapes]
    elif values == "rising":
        grads = [torch.arange(math.prod(shape), dtype=torch.float32).view(shape) for shape in shapes]
    exact = math.sqrt(sum(float((grad.double() ** 2).sum()) for grad in grads))
    assert gradient_norm(grads).item() == pytest.approx(exact, rel=1e-6)
    assert gradient_norm([grads[0].t(), *grads[1:]]).item() == pytest.approx(exact, rel=1e-6)


def test_a_norm_beyond_float32_is_infinite_and_one_of_nan_is_nan() -> None:
    assert gradient_norm([torch.full((300,), 3e38)]).item() == math.inf
    assert math.isnan(gradient_norm([torch.tensor([1.0, math.nan])]).item())


def test_without_gradients_the_norm_is_zero() -> None:
    assert gradient_norm([]).item() == 0.0
