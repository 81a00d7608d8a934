"""Ctrl-C: the first asks, the second stops at once, and afterwards all is as before."""

import signal
import threading

import pytest

from sftframe.interrupts import deferred_interrupt, interruptible


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_ctrl_c_is_a_request() -> None:
    with deferred_interrupt() as stop:
        assert not stop.requested
        press()
        assert stop.requested


def test_the_second_ctrl_c_stops_at_once() -> None:
    with deferred_interrupt():
        press()
        with pytest.raises(KeyboardInterrupt):
            press()


def test_afterwards_ctrl_c_does_what_it_did_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        press()


def test_it_is_as_before_after_an_error_too() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), deferred_interrupt():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGINT)
    found = []

    def work() -> None:
        with deferred_interrupt() as stop:
            found.extend([stop.requested, signal.getsignal(signal.SIGINT) is before])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False, True]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_what_a_cluster_or_a_closed_terminal_sends_is_a_request_too(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with deferred_interrupt() as stop:
        signal.raise_signal(number)
        assert stop.requested
    assert signal.getsignal(number) is before


def test_any_two_of_them_stop_at_once() -> None:
    with deferred_interrupt():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            press()


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with deferred_interrupt() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_request_is_told_once_and_an_error_in_telling_is_no_error() -> None:
    told = []

    def tell() -> None:
        told.append("stopping")
        raise RuntimeError("reentrant call")

    with deferred_interrupt(tell) as stop:
        press()
        with pytest.raises(KeyboardInterrupt):
            press()
    assert (stop.requested, told) == (True, ["stopping"])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_outside_of_training_each_of_them_interrupts(name: str) -> None:
    with interruptible(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(getattr(signal, name))
