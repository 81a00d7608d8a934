"""A judge's caution() is other people's code: it cannot end, hold or litter a comparison."""

import sys
import threading

import pytest

from sftframe import Judge, JudgeError, JudgeItem
from sftframe.errors import PluginError
from sftframe.judging import caution_of

ITEMS = [JudgeItem(index=0, instruction="?", input="", reference="Yes.", answer="No.")]


class Cautious(Judge):
    name = "cautious"
    summary = "gives the caution that a test wants"

    def __init__(self, act):
        super().__init__()
        self.act = act

    def score(self, items):
        return iter(())

    def caution(self, first, second):
        return self.act()


def raising(error):
    def act():
        raise error

    return act


def test_a_caution_is_one_printable_line():
    caution = caution_of(Cautious(lambda: "not \x1b[31m to be\n  trusted\n"), ITEMS, ITEMS)
    assert caution == "not ␛[31m to be trusted"


def test_a_page_is_cut():
    caution = caution_of(Cautious(lambda: "word " * 10_000), ITEMS, ITEMS)
    assert len(caution) == 600
    assert caution.endswith("…")


@pytest.mark.parametrize(
    "error", [ValueError("odd"), SystemExit(3), KeyboardInterrupt(), MemoryError(), RecursionError()]
)
def test_whatever_it_raises_is_an_error_of_the_plugin(error):
    with pytest.raises(PluginError, match=f"judge 'cautious' failed in caution: {type(error).__name__}"):
        caution_of(Cautious(raising(error)), ITEMS, ITEMS)


def test_a_message_of_its_own_is_kept():
    with pytest.raises(PluginError, match="failed in caution: no server"):
        caution_of(Cautious(raising(JudgeError("no server"))), ITEMS, ITEMS)


@pytest.mark.parametrize("found", [None, True, ["a"], b"bytes"])
def test_what_is_no_text_is_refused(found):
    with pytest.raises(PluginError, match=f"gave {type(found).__name__}; expected a str"):
        caution_of(Cautious(lambda: found), ITEMS, ITEMS)


def test_one_that_never_comes_back_is_left():
    stop = threading.Event()
    try:
        with pytest.raises(PluginError, match=r"has not come back after 0\.05 s"):
            caution_of(Cautious(stop.wait), ITEMS, ITEMS, timeout_s=0.05)
    finally:
        stop.set()


def test_what_it_prints_goes_to_stderr(capsys):
    assert caution_of(Cautious(lambda: sys.stdout.write("hello\n") and ""), ITEMS, ITEMS) == ""
    assert capsys.readouterr() == ("", "hello\n")
