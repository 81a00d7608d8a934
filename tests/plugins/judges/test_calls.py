import threading

import pytest
from sftframe_plugins.judges.calls import ServerError, Servers, as_ready, in_order, with_retries, with_time_limit


def _failing(*errors):
    """A call that fails with these, then gives the name of the server that was asked; and the servers asked."""
    left, asked = list(errors), []

    def call(name):
        asked.append(name)
        if left:
            raise left.pop(0)
        return name

    return call, asked


@pytest.mark.parametrize(("chance", "expected"), [(1.0, [0.5, 1, 2, 4, 8, 8, 8]), (0.0, [0.25, 0.5, 1, 2, 4, 4, 4])])
def test_waits_grow_up_to_eight_seconds_and_chance_takes_up_to_half_of_them(chance, expected):
    waits = []
    call, _ = _failing(*(ServerError("busy") for _ in range(7)))
    assert with_retries(call, Servers(["a"]), retries=7, wait=waits.append, chance=lambda: chance) == "a"
    assert waits == expected


def test_waits_differ_from_call_to_call():
    waits = []
    for _ in range(5):
        call, _ = _failing(ServerError("busy"))
        with_retries(call, Servers(["a"]), retries=1, wait=waits.append)
    assert len(set(waits)) > 1


def test_a_server_that_asks_for_more_time_gets_it():
    waits = []
    call, _ = _failing(ServerError("too many", wait_s=20.0))
    with_retries(call, Servers(["a"]), retries=1, wait=waits.append)
    assert waits == [20.0]


def test_after_the_last_attempt_its_own_error_is_raised():
    call, asked = _failing(ServerError("first"), ServerError("second"), ServerError("third"))
    with pytest.raises(ServerError, match="second"):
        with_retries(call, Servers(["a"]), retries=1, wait=lambda s: None)
    assert asked == ["a", "a"]


def test_a_final_error_is_not_tried_again():
    call, asked = _failing(ServerError("refused", is_final=True))
    with pytest.raises(ServerError, match="refused"):
        with_retries(call, Servers(["a"]), retries=5, wait=lambda s: None)
    assert asked == ["a"]


def test_a_lost_server_costs_no_attempt_and_no_wait_while_there_is_another():
    waits = []
    call, asked = _failing(ServerError("gone", is_server_lost=True))
    assert with_retries(call, Servers(["a", "b"]), retries=0, wait=waits.append) == "b"
    assert (asked, waits) == (["a", "b"], [])


def test_a_server_is_not_blamed_for_a_refusal_or_an_odd_reply():
    told = []
    servers = Servers(["a", "b"], on_left_out=told.append)
    for _ in range(9):
        call, _ = _failing(ServerError("odd", status="unparsable"), ServerError("no", is_final=True))
        with pytest.raises(ServerError, match="no"):
            with_retries(call, servers, retries=5, wait=lambda s: None)
    assert told == []


def test_a_result_in_time_is_given_and_an_error_raised():
    assert with_time_limit(10.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        with_time_limit(10.0, lambda: 1 // 0)


def test_what_takes_too_long_is_not_waited_for():
    never = threading.Event()
    with pytest.raises(TimeoutError):
        with_time_limit(0.05, never.wait)
    never.set()


def test_results_come_in_order_although_the_first_is_done_last():
    last_is_done = threading.Event()

    def work(job):
        if job == 0:
            last_is_done.wait(10)
        if job == 3:
            last_is_done.set()
        return job * 10

    assert list(in_order(as_ready(work, range(4), num_threads=2, stop=threading.Event()))) == [0, 10, 20, 30]


def test_results_come_as_soon_as_they_are_there_with_the_number_of_their_job():
    may_go_on = threading.Event()

    def work(job):
        if job == "slow":
            may_go_on.wait(10)
        return job.upper()

    results = as_ready(work, ["slow", "a", "b"], num_threads=2, stop=threading.Event())
    assert [next(results), next(results)] == [(1, "A"), (2, "B")]
    may_go_on.set()
    assert list(results) == [(0, "SLOW")]


def test_an_error_of_the_work_itself_reaches_the_caller():
    def work(job):
        return 1 // job

    results = in_order(as_ready(work, [1, 0, 1], num_threads=1, stop=threading.Event()))
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_job_is_begun_once_nobody_waits():
    done, may_go_on, stop = [], threading.Event(), threading.Event()

    def work(job):
        if job:
            may_go_on.wait(10)
        done.append(job)

    results = in_order(as_ready(work, range(100), num_threads=1, stop=stop))
    next(results)
    results.close()
    assert stop.is_set()
    may_go_on.set()
    assert len(done) <= 2
