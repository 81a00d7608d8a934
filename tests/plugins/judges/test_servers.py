"""A clock that only the test moves."""

import threading

import pytest
from sftframe_plugins.judges.calls import Servers


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def asked(servers):
    with servers.one() as name:
        return name


def lose(servers, name):
    return servers.has_failed(name, f"no {name}", is_lost=True)


def test_a_call_goes_to_the_server_with_the_fewest():
    servers = Servers(["a", "b"], capacity=2)
    with servers.one() as first, servers.one() as second:
        assert {first, second} == {"a", "b"}
    assert asked(servers) == "a"


def test_the_last_server_is_never_left_out(clock):
    servers = Servers(["a", "b"], clock=clock)
    assert lose(servers, "a")
    assert not lose(servers, "b")
    assert asked(servers) == "b"


def test_a_lost_server_is_tried_again_after_30_seconds_and_told_of_once(clock):
    told = []
    servers = Servers(["a", "b"], on_left_out=told.append, clock=clock)
    lose(servers, "a")
    clock.now += 29
    assert asked(servers) == "b"
    clock.now += 1
    assert asked(servers) == "a"
    lose(servers, "a")
    clock.now += 59
    assert asked(servers) == "b"
    clock.now += 1
    assert asked(servers) == "a"
    assert told == ["no a; it is skipped, and tried again later"]


def test_a_server_that_is_back_gets_one_call_until_it_has_worked(clock):
    servers = Servers(["a", "b"], capacity=9, clock=clock)
    lose(servers, "a")
    clock.now += 30
    with servers.one() as first, servers.one() as second, servers.one() as third:
        assert [first, second, third] == ["a", "b", "b"]
    servers.has_worked("a")
    with servers.one(), servers.one(), servers.one() as third:
        assert third == "a"


def test_a_server_is_left_out_when_three_calls_in_a_row_have_failed(clock):
    servers = Servers(["a", "b"], clock=clock)
    for _ in range(2):
        servers.has_failed("a", "500", is_lost=False)
    servers.has_worked("a")
    for _ in range(2):
        servers.has_failed("a", "500", is_lost=False)
    assert asked(servers) == "a"
    servers.has_failed("a", "500", is_lost=False)
    assert asked(servers) == "b"


def test_two_calls_that_fail_at_once_lengthen_the_pause_once(clock):
    servers = Servers(["a", "b"], clock=clock)
    lose(servers, "a")
    lose(servers, "a")
    clock.now += 30
    assert asked(servers) == "a"


def test_a_server_that_is_dead_from_the_start_comes_back_without_a_word(clock):
    told = []
    servers = Servers(["a", "b"], dead=["a"], on_left_out=told.append, clock=clock)
    assert asked(servers) == "b"
    clock.now += 30
    assert asked(servers) == "a"
    lose(servers, "a")
    assert told == []


def test_who_finds_no_free_server_waits_for_one():
    servers = Servers(["a"], capacity=1)
    got = threading.Event()

    def wait_for_it():
        with servers.one():
            got.set()

    with servers.one():
        threading.Thread(target=wait_for_it, daemon=True).start()
        assert not got.wait(0.05)
    assert got.wait(10)
