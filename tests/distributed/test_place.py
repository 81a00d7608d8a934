"""The place of a process, from the variables that torchrun sets."""

import pytest

from sftframe import ConfigError, ModelError, PluginError
from sftframe.distributed import Place
from sftframe.distributed.following import as_answer, device_of_rank, threads_of_rank
from sftframe.distributed.ranks import is_of_a_collective


def test_without_torchrun_a_process_is_alone_and_leads():
    place = Place.read({})
    assert place.is_alone
    assert place.leads


def test_torchruns_variables_say_which_process_it_is():
    place = Place.read({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"})
    assert (place.rank, place.world_size, place.local_rank, place.local_world_size) == (5, 8, 1, 4)
    assert not place.leads


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK is 2, expected a number below WORLD_SIZE=2"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK is 'one', expected a whole number"),
        ({"RANK": "0", "WORLD_SIZE": "2", "SFTFRAME_RANK_TIMEOUT_S": "soon"}, "SFTFRAME_RANK_TIMEOUT_S is 'soon'"),
    ],
)
def test_variables_that_make_no_sense_are_named(variables: dict[str, str], words: str):
    with pytest.raises(ConfigError, match=words):
        Place.read(variables)


def test_the_ranks_of_a_machine_share_its_cores_unless_the_user_gives_a_number():
    place = Place(rank=0, world_size=10**6, local_world_size=10**6)
    assert threads_of_rank(None, place) == 1
    assert threads_of_rank(3, place) == 3


def test_a_rank_without_a_device_of_its_own_is_told_so():
    place = Place(rank=9999, world_size=10000, local_rank=9999, local_world_size=10000)
    assert device_of_rank("cpu", place) == "cpu"
    with pytest.raises(ConfigError, match="not on mps: set --device cpu"):
        device_of_rank("mps", place)
    with pytest.raises(ConfigError, match=r"10000 processes, but .* GPUs: expected one GPU for each"):
        device_of_rank("cuda", place)


def test_an_error_of_a_collective_is_known_also_where_a_plugins_wall_has_named_the_plugin():
    reset = RuntimeError("[gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:57263: Connection reset by peer")
    walled = PluginError("model backend 'x' failed in loss_sum")
    walled.__cause__ = reset
    assert is_of_a_collective(reset)
    assert is_of_a_collective(walled)
    assert not is_of_a_collective(RuntimeError("shapes do not match"))
    assert not is_of_a_collective(None)


def test_an_error_becomes_words_that_rank_0_can_tell():
    own = ModelError("no such weights")
    assert as_answer(own) is own
    assert str(as_answer(MemoryError())) == "out of memory"
    assert str(as_answer(ValueError("odd"))).startswith("ValueError: odd")
