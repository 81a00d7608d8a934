"""Checkpoints come back bit for bit, whole or not at all."""

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sftframe import CausalLM
from sftframe.errors import ConfigError
from sftframe.files import DiskError
from sftframe.training import checkpoints


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for checkpoints that is not there yet."""
    return tmp_path / "checkpoints"


class Training:
    """A model with dropout that learns random rows: random numbers decide every step."""

    def __init__(self, model: CausalLM) -> None:
        self.module = model.module
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=0.01, fused=True)

    def step(self) -> None:
        self.module.train()
        ids = torch.randint(0, 256, (2, 9))
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.module(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
        self.optimizer.step()

    def save(self, folder: Path, step: int, **rest: Any) -> checkpoints.Checkpoint:
        state, keep = rest.pop("state", {"step": step}), rest.pop("keep", 1)
        saved = checkpoints.save(folder, step=step, module=self.module, optimizer=self.optimizer, state=state)
        checkpoints.prune(folder, step=step, keep=keep)
        return saved

    def tensors(self) -> list[Tensor]:
        moments = [value for of in self.optimizer.state.values() for _, value in sorted(of.items())]
        return [tensor.clone() for tensor in (*self.module.state_dict().values(), *moments)]


@pytest.fixture
def train(make_model: Callable[..., CausalLM]) -> Callable[[int], Training]:
    """A new training whose weights come from a seed."""

    def make(seed: int) -> Training:
        return Training(make_model(seed=seed, dropout=0.3))

    return make


def test_what_is_restored_goes_on_bit_for_bit(train: Callable[[int], Training], folder: Path) -> None:
    straight = train(1)
    torch.manual_seed(9)
    for _ in range(3):
        straight.step()
    straight.save(folder, 3)
    for _ in range(3):
        straight.step()

    torch.manual_seed(77)
    other = train(2)
    other.step()
    found, _ = checkpoints.latest(folder)
    assert found is not None
    found.restore(other.module, other.optimizer)
    for _ in range(3):
        other.step()
    assert all(a.equal(b) for a, b in zip(other.tensors(), straight.tensors(), strict=True))


def test_tied_weights_stay_tied(folder: Path) -> None:
    def tied() -> nn.Module:
        module = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 4, bias=False))
        module[1].weight = module[0].weight
        return module

    module, other = tied(), tied()
    optimizer = torch.optim.AdamW(module.parameters())
    checkpoints.save(folder, step=1, module=module, optimizer=optimizer, state={})
    found, _ = checkpoints.latest(folder)
    assert found is not None
    found.restore(other, torch.optim.AdamW(other.parameters()))
    assert other[0].weight.equal(module[0].weight)
    assert other[1].weight is other[0].weight


def test_the_state_comes_back_with_the_step(train: Callable[[int], Training], folder: Path) -> None:
    train(1).save(folder, 7, state={"last": {"loss": 0.1 + 0.2}, "counts": [1, 2]})
    found, damaged = checkpoints.latest(folder)
    assert found is not None
    assert (found.step, found.state, damaged) == (7, {"last": {"loss": 0.1 + 0.2}, "counts": [1, 2]}, [])


def test_without_a_checkpoint_there_is_none(folder: Path) -> None:
    assert checkpoints.latest(folder) == (None, [])


def test_nothing_in_a_checkpoint_is_a_pickle(train: Callable[[int], Training], folder: Path) -> None:
    training = train(1)
    training.step()
    saved = training.save(folder, 1)
    assert sorted(path.name for path in saved.folder.iterdir()) == [
        "hashes.json",
        "module.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]
    for path in saved.folder.glob("*.safetensors"):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert all(set(tensor) == {"dtype", "shape", "data_offsets"} for tensor in header.values() if "dtype" in tensor)


def steps_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_are_kept(train: Callable[[int], Training], folder: Path) -> None:
    training = train(1)
    for step in (2, 9, 10, 11):
        training.save(folder, step, keep=2)
    assert steps_in(folder) == ["step-10", "step-11"]


@pytest.mark.parametrize("name", ["module.safetensors", "optimizer.safetensors", "state.json", "hashes.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_passed_over(
    name: str, damage: str, train: Callable[[int], Training], folder: Path
) -> None:
    training = train(1)
    training.save(folder, 1, keep=2)
    broken = training.save(folder, 2, keep=2).folder
    path = broken / name
    content = path.read_bytes()
    middle = len(content) // 2
    match damage:
        case "flip":
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        case "cut":
            path.write_bytes(content[:-3])
        case "remove":
            path.unlink()
    found, passed_over = checkpoints.latest(folder)
    assert found is not None
    assert (found.step, passed_over) == (1, [checkpoints.PassedOver(folder=broken, reason="it is damaged")])


def test_a_checkpoint_that_was_not_finished_is_not_seen_and_goes_with_the_next(
    train: Callable[[int], Training], folder: Path
) -> None:
    training = train(1)
    training.save(folder, 1)
    half = folder / ".step-2.4711.part"
    half.mkdir()
    (half / "module.safetensors").write_bytes(b"half")
    found, damaged = checkpoints.latest(folder)
    assert found is not None
    assert (found.step, damaged) == (1, [])
    training.save(folder, 3)
    assert steps_in(folder) == ["step-3"]


def test_saving_behind_a_damaged_checkpoint_that_was_passed_over_keeps_the_good_one(
    train: Callable[[int], Training], folder: Path
) -> None:
    training = train(1)
    training.save(folder, 10, keep=2)
    broken = training.save(folder, 20, keep=2).folder
    (broken / "state.json").unlink()
    training.save(folder, 15, keep=1)
    assert steps_in(folder) == ["step-15"]
    found, damaged = checkpoints.latest(folder)
    assert found is not None
    assert (found.step, damaged) == (15, [])


def test_a_damaged_checkpoint_is_replaced_when_its_step_comes_again(
    train: Callable[[int], Training], folder: Path
) -> None:
    training = train(1)
    broken = training.save(folder, 5).folder
    (broken / "module.safetensors").write_bytes(b"")
    training.save(folder, 5)
    assert checkpoints.latest(folder)[1] == []


def test_a_checkpoint_to_which_there_is_an_objection_is_passed_over_with_the_reason(
    train: Callable[[int], Training], folder: Path
) -> None:
    training = train(1)
    for step in (1, 2, 3):
        training.save(folder, step, keep=3)
    found, passed_over = checkpoints.latest(folder, objection=lambda one: "too late" if one.step > 1 else None)
    assert found is not None
    assert found.step == 1
    assert [(one.folder.name, one.reason) for one in passed_over] == [("step-3", "too late"), ("step-2", "too late")]


def test_another_models_checkpoint_is_refused(train: Callable[[int], Training], folder: Path) -> None:
    found = train(1).save(folder, 1)
    other = nn.Linear(3, 4)
    with pytest.raises(
        ConfigError, match=r"step-1 does not fit the model \(.*\): expected the model that started the run"
    ):
        found.restore(other, torch.optim.AdamW(other.parameters()))


def test_weights_alone_come_back_and_their_damage_is_seen(folder: Path) -> None:
    module, other = nn.Linear(3, 4), nn.Linear(3, 4)
    place = folder / "best-7"
    assert not checkpoints.is_whole(place)
    checkpoints.save_weights(place, module)
    checkpoints.load_weights(place, other)
    assert other.weight.equal(module.weight)
    assert checkpoints.is_whole(place)
    weights = place / "module.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert not checkpoints.is_whole(place)


def test_other_folders_are_left_alone(train: Callable[[int], Training], folder: Path) -> None:
    for name in ("step-best", "mine"):
        (folder / name).mkdir(parents=True)
    train(1).save(folder, 1)
    assert steps_in(folder) == ["mine", "step-1", "step-best"]


@contextmanager
def small_disk() -> Iterator[None]:
    """No file of this process may exceed 2 kB: writing fails as it does on a full disk. The test runner's own too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_checkpoint_before_it(train: Callable[[int], Training], folder: Path) -> None:
    training = train(1)
    training.save(folder, 1)
    with small_disk(), pytest.raises(DiskError, match=r"^cannot write .*step-2: .*File too large"):
        training.save(folder, 2)
    found, damaged = checkpoints.latest(folder)
    assert found is not None
    assert (found.step, damaged, steps_in(folder)) == (1, [], ["step-1"])
