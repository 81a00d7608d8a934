"""Prompt styles with mistakes that show in few examples, in other processes or after a while, and what is said."""

import datetime
import getpass
import os
import random
import sys
import time
import unicodedata
from pathlib import Path
from typing import ClassVar

import pytest

from sftframe import PromptStyle, Role, Segment
from sftframe.testing.contract import ContractError
from sftframe.testing.prompt import check_prompt_style

WORDS = {"clear", "short", "friendly", "exact", "polite"}


class Good(PromptStyle):
    """Keeps every promise; `ask`, `give`, `reply` and `preamble` are what the styles below spoil."""

    name = "planted"
    summary = "question and answer"

    def preamble(self, example):
        return "Q: "

    def ask(self, text):
        return text

    def give(self, text):
        return text

    def reply(self, text):
        return text

    def segments(self, example):
        yield Segment(Role.TEMPLATE, self.preamble(example))
        yield Segment(Role.INSTRUCTION, self.ask(example.instruction))
        if self.give(example.input):
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, self.give(example.input))
        yield Segment(Role.TEMPLATE, "\nA:")
        yield Segment(Role.RESPONSE, " " + self.reply(example.output))


def style(says, **parts):
    return type("Planted", (Good,), {"says": says, "__module__": __name__, **parts})()


def changes(says, function, *methods):
    """A style per method that changes its text with this function."""
    return [style(says, **{method: lambda self, text: function(text)}) for method in methods]


SEEN = []


class FirstSeen(Good):
    says = "it remembers what it wrote before"

    def preamble(self, example):
        SEEN.append(example)
        return f"({len(SEEN[0].instruction)}) "


class Before(Good):
    says = "it remembers something from call to call"

    def preamble(self, example):
        SEEN.append(example)
        return f"({len(SEEN[-2].output)}) " if len(SEEN) > 1 else "() "


class NowAndThen(Good):
    says = "it remembers something from call to call"

    def preamble(self, example):
        SEEN.append(example)
        return "Again: " if len(SEEN) % 500 == 0 else "Q: "


class CachedByInstruction(Good):
    says = "it remembers what it wrote before"
    known: ClassVar = {}

    def segments(self, example):
        return self.known.setdefault(example.instruction, tuple(super().segments(example)))


class CachedByQuestion(CachedByInstruction):
    known: ClassVar = {}

    def segments(self, example):
        return self.known.setdefault((example.instruction, example.input), tuple(Good.segments(self, example)))


class OrderOfASet(Good):
    says = "an order that differs between processes"

    def preamble(self, example):
        return f"Be {', '.join(WORDS)}. "


class OrderFixedAtTheStart(OrderOfASet):
    def __init__(self, options=None):
        super().__init__(options)
        self.words = list(WORDS)

    def preamble(self, example):
        return f"Be {self.words[0]}. "


class StopsInTheOrderOfASet(OrderOfASet):
    preamble = Good.preamble

    @property
    def stop_strings(self):
        return tuple({"<stop>", "<end>", "<over>", "<done>"})


UNCHANGED = "unchanged: no strip()"
AS_IT_IS = "write the output as it is"
DATED = "on another date|time zone"
"""In the other time zone it is another day at some hours, and that is seen first."""
PROCESSES = [
    FirstSeen(),
    CachedByInstruction(),
    CachedByQuestion(),
    OrderOfASet(),
    OrderFixedAtTheStart(),
    StopsInTheOrderOfASet(),
    style("an order that differs between processes", preamble=lambda s, e: f"{hash(e.instruction) % 1000}: "),
    style("an order that differs between processes", preamble=lambda s, e: f"{os.getpid()}: "),
    style("environment variable STYLE_LANG", preamble=lambda s, e: f"Q{os.environ.get('STYLE_LANG', '')}: "),
    style("environment variable STYLE_TONE", preamble=lambda s, e: "Q" * (os.getenv("STYLE_TONE") != "formal") + ": "),
    style("in another folder", preamble=lambda s, e: f"{Path.cwd().name}: "),
    style("in another folder", preamble=lambda s, e: f"{getpass.getuser()}: "),
    style("in another folder", preamble=lambda s, e: "Q: " if Path("pyproject.toml").exists() else "Ask: "),
    style(DATED, preamble=lambda s, e: f"{datetime.date.today()}: "),
    style(DATED, preamble=lambda s, e: f"{datetime.datetime.now():%B %Y}: "),
    style(DATED, preamble=lambda s, e: time.strftime("%Y: ")),
    style(DATED, preamble=lambda s, e: "Merry Q: " if datetime.date.today().month == 12 else "Q: "),
    style(DATED, preamble=lambda s, e: "Good night. " if time.localtime().tm_hour > 20 else "Q: "),
]
PLANTED = [
    Before(),
    NowAndThen(),
    *changes(UNCHANGED, str.strip, "ask", "give"),
    *changes(UNCHANGED, str.rstrip, "ask", "give"),
    *changes(UNCHANGED, lambda text: text[:300], "ask", "give"),
    *changes(UNCHANGED, lambda text: text[:1500], "ask", "give"),
    *changes(UNCHANGED, lambda text: text[-60_000:], "ask"),
    *changes(UNCHANGED, lambda text: unicodedata.normalize("NFC", text), "ask", "give"),
    *changes(UNCHANGED, lambda text: unicodedata.normalize("NFKC", text), "give"),
    *changes(UNCHANGED, lambda text: unicodedata.normalize("NFD", text), "give"),
    *changes(UNCHANGED, lambda text: text.replace("\r\n", "\n"), "ask", "give"),
    *changes(UNCHANGED, lambda text: text.replace("\t", "    "), "give"),
    *changes(UNCHANGED, lambda text: text.replace("\u00a0", " "), "ask"),
    *changes(UNCHANGED, lambda text: text.replace("\u200b", ""), "give"),
    *changes(UNCHANGED, lambda text: text.encode("ascii", "ignore").decode(), "ask"),
    *changes(UNCHANGED, lambda text: text.replace("<|endoftext|>", ""), "ask"),
    *changes(UNCHANGED, lambda text: text if text.strip() else "", "give"),
    *changes(UNCHANGED, lambda text: "" if text in ("N/A", "None") else text, "give"),
    *changes(AS_IT_IS, str.strip, "reply"),
    *changes(AS_IT_IS, str.lstrip, "reply"),
    *changes(AS_IT_IS, lambda text: text[:2000], "reply"),
    *changes(AS_IT_IS, lambda text: unicodedata.normalize("NFC", text), "reply"),
    *changes(AS_IT_IS, lambda text: text.replace("\r\n", "\n"), "reply"),
    *changes(AS_IT_IS, lambda text: "\n".join(line.rstrip() for line in text.split("\n")), "reply"),
    style("it tells the answer", preamble=lambda s, e: "Count. " if "7" in e.output else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "Count. " if any(map(str.isdigit, e.output)) else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "At length. " if len(e.output) > 400 else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "At length. " if len(e.output) > 6000 else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "Code: " if "def " in e.output else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "JSON: " if e.output.startswith("{") else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "Lines: " if e.output.count("\n") > 3 else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "Yes or no: " if e.output.lower() in ("yes", "no") else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "Ask: " if e.output.endswith("?") else "Q: "),
    style("it tells the answer", preamble=lambda s, e: "Say: " if not e.output.isascii() else "Q: "),
    style("draws at random", preamble=lambda s, e: f"{random.random()}: "),
    style("changes Python's random state", preamble=lambda s, e: random.seed(0) or f"{random.randrange(9)}: "),
    style("depends on the example's index", preamble=lambda s, e: "First. " if e.index < 100 else "Q: "),
    style("depends on the example's index", preamble=lambda s, e: "Q: " if e.index % 10 else "Q:\n"),
    style("is in the ordinary answer", stop_strings=(".\n",)),
    style("is in the ordinary answer", stop_strings=(";",)),
    style("is in the ordinary answer", stop_strings=("\n-",)),
    style("is in the ordinary answer", stop_strings=("?",)),
    style("is in the ordinary answer", stop_strings=("</x>", "The ")),
    style("is in the ordinary answer", stop_strings=("\n1.",)),
    style("has words of the instruction", preamble=lambda s, e: f"About {e.instruction.split()[0]}: "),
    style("has words of the input", preamble=lambda s, e: f"On {e.input[:30]}: " if e.input else "Q: "),
    style("the words around it are TEMPLATE", ask=lambda s, text: f"Please: {text}"),
    style("gave", extract=lambda s, text: text.strip().partition(". ")[0]),
    style("gave", extract=lambda s, text: text.strip().lower()),
    style("gave", extract=lambda s, text: text.strip().strip('"')),
    style("gave", extract=lambda s, text: " ".join(text.split())),
    style("gave", extract=lambda s, text: text.strip()[:3000]),
    style("raised an exception: IndexError", extract=lambda s, text: text.strip() if text[0] else ""),
    style("prints 'Q: Q: ", preamble=lambda s, e: sys.stdout.write("Q: ") and "Q: "),
]


def said_of(planted):
    with pytest.raises(ContractError) as caught:
        check_prompt_style(planted)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("planted", PLANTED, ids=range(len(PLANTED)))
def test_the_mistake_is_found_and_named(planted, monkeypatch):
    monkeypatch.setenv("SFTFRAME_TESTING_PROCESS", "1")  # other processes would find nothing more, and take a second
    assert planted.says in said_of(planted)


@pytest.mark.parametrize("planted", PROCESSES, ids=range(len(PROCESSES)))
def test_what_differs_between_processes_days_and_orders_is_found_and_named(planted):
    said = said_of(planted)
    assert any(words in said for words in planted.says.split("|"))
