"""Ctrl-C: the first asks, the second stops at once, and afterwards all is as before."""

import signal
import threading

import pytest

from sftframe.interrupts import deferred_interrupt


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
