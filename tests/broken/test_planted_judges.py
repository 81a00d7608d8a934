"""Judges with mistakes that show in some items, numbers of items or processes, and what is said of them."""

import dataclasses
import json
import random
import re
import sys
import threading
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar
from urllib.request import urlopen

import pytest

from sftframe import Judge, JudgeError, Verdict, option
from sftframe.testing.contract import ContractError
from sftframe.testing.judge import check_judge


class Good(Judge):
    """Keeps every promise: the share of the reference's words that the answer has."""

    name = "planted"
    summary = "shared words"

    def grade(self, item):
        wanted, found = set(item.reference.split()), set(item.answer.split())
        return 100.0 * len(wanted & found) / len(wanted) if wanted else 100.0 * (not found)

    def verdict(self, item):
        return Verdict(index=item.index, status="ok", score=self.grade(item), judge=self.identity)

    def score(self, items):
        return (self.verdict(item) for item in items)


class AtMostFive(Good):
    says = "verdicts came for the items"

    def score(self, items):
        return super().score(items[:5])


class AtMostForty(AtMostFive):
    def score(self, items):
        return Good.score(self, items[:40])


class WholePagesOnly(AtMostFive):
    """Pages of four; the last one is left out where it is not full and there are several."""

    def score(self, items):
        full = len(items) // 4 * 4
        return Good.score(self, items[:full] if len(items) > 4 else items)


class OrderByLength(AtMostFive):
    def score(self, items):
        return Good.score(self, sorted(items, key=lambda item: len(item.answer)) if len(items) > 30 else items)


class TrueAsScore(Good):
    says = "the score True; expected a number from 0 to 100"

    def grade(self, item):
        return item.answer == item.reference


class TrueForPerfect(TrueAsScore):
    def grade(self, item):
        return True if item.answer == item.reference else super(TrueAsScore, self).grade(item)


class TextAsScore(Good):
    says = "the score '"

    def grade(self, item):
        return f"{super().grade(item):.0f}"


class OverAHundred(Good):
    says = "expected a number from 0 to 100"

    def grade(self, item):
        return super().grade(item) + len(item.answer) // 50_000


class ReasonIsAList(Good):
    says = "the verdict's reason is ['shared']; expected a str"

    def verdict(self, item):
        return dataclasses.replace(super().verdict(item), reason=["shared"])


class EmptyReference(Good):
    says = "raised an exception: ZeroDivisionError"

    def grade(self, item):
        return 100.0 * len(set(item.answer.split()) & set(item.reference.split())) / len(item.reference.split())


class LongAnswer(Good):
    says = "raised an exception: ValueError"

    def grade(self, item):
        if len(item.answer) > 10_000:
            raise ValueError("too long")
        return super().grade(item)


class Pattern(Good):
    says = "raised an exception: error"

    def grade(self, item):
        return 100.0 * bool(re.search(item.reference, item.answer))


class Ascii(Good):
    says = "raised an exception: UnicodeEncodeError"

    def grade(self, item):
        item.answer.encode("ascii")
        return super().grade(item)


class Formats(Good):
    says = "raised an exception: "

    def grade(self, item):
        f"Grade {item.answer} against".format()
        return super().grade(item)


class FirstWord(Good):
    says = "raised an exception: IndexError"

    def grade(self, item):
        return 100.0 * (item.answer.split()[0] in item.reference)


KNOWN = {}


class CachedByAnswer(Good):
    says = "a score is of an item's instruction, input, reference and answer together"

    def grade(self, item):
        return KNOWN.setdefault(item.answer, super().grade(item))


class CachedByIndex(CachedByAnswer):
    known: ClassVar = {}

    def grade(self, item):
        return self.known.setdefault(item.index, Good.grade(self, item))


class CachedByReference(CachedByAnswer):
    known: ClassVar = {}

    def grade(self, item):
        return self.known.setdefault((item.instruction, item.reference), Good.grade(self, item))


class ComparedWithTheBest(CachedByAnswer):
    def score(self, items):
        best = max((self.grade(item) for item in items), default=0) or 1.0
        for item in items:
            yield Verdict(index=item.index, status="ok", score=100 * self.grade(item) / best, judge=self.identity)

    def grade(self, item):
        return Good.grade(self, item)


class ByIndex(CachedByAnswer):
    def grade(self, item):
        return Good.grade(self, item) if item.index % 2 else 50.0


class OrderOfASet(CachedByAnswer):
    def grade(self, item):
        kept = list(set(item.reference.split()))[:1]
        return 100.0 * (set(kept) <= set(item.answer.split()))


class ShareOfOne(Good):
    says = "the best of"

    def grade(self, item):
        return super().grade(item) / 100


class OutOfTen(ShareOfOne):
    def grade(self, item):
        return round(Good.grade(self, item) / 10)


class PerProcess(Good):
    says = "in another process"

    @property
    def identity(self):
        return f"planted@{hash('planted') % 1000}"


class PerObject(Good):
    says = "its identity is"
    mark = uuid.uuid4()

    @property
    def identity(self):
        return f"planted@{id(self)}"


class PerCall(Good):
    says = "its identity was"
    calls = 0

    @property
    def identity(self):
        return f"planted@{self.calls}"

    def score(self, items):
        self.calls += 1
        return super().score(items)


@dataclass(frozen=True, kw_only=True)
class Options:
    strictness: float = option(1.0, "what is taken off for each word too many", ge=0, le=5)
    ignore_case: bool = option(False, "whether case does not matter")


class ForgetsItsOptions(Good):
    says = "let identity contain the options that matter"
    Options = Options
    identity = "planted-1"

    def grade(self, item):
        extra = max(0, len(item.answer.split()) - len(item.reference.split()))
        return max(0.0, super().grade(item) - self.options.strictness * extra)


class ForgetsOneOption(ForgetsItsOptions):
    @property
    def identity(self):
        return f"planted-{self.options.strictness}"

    def grade(self, item):
        if not self.options.ignore_case:
            return super().grade(item)
        return Good.grade(self, dataclasses.replace(item, reference=item.reference.lower(), answer=item.answer.lower()))


class NothingButErrors(Good):
    says = "check() passed, and of"

    def verdict(self, item):
        return Verdict(index=item.index, status="error", score=None, reason="no connection", judge=self.identity)


class Seeds(Good):
    says = "judging changes Python's random state"

    def grade(self, item):
        random.seed(7)
        return super().grade(item)


class Prints(Good):
    says = "judging prints"

    def grade(self, item):
        sys.stdout.write(f"judging {item.index}\n")
        return super().grade(item)


class LosesWhatIsReady(Good):
    says = "score_as_ready() gave verdicts for the items"

    def score_as_ready(self, items):
        return self.score(items[1:])


BROKEN = [kind for kind in list(globals().values()) if isinstance(kind, type) and hasattr(kind, "says")]
PROCESSES = [CachedByAnswer, CachedByIndex, CachedByReference, OrderOfASet, PerProcess, PerObject]


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind not in PROCESSES])
def test_the_mistake_is_found_and_named(kind, monkeypatch):
    monkeypatch.setenv("SFTFRAME_TESTING_PROCESS", "1")  # other processes would find nothing more
    with pytest.raises(ContractError) as caught:
        check_judge(kind())
    assert kind.says in str(caught.value)


@pytest.mark.parametrize("kind", PROCESSES)
def test_what_differs_between_processes_is_found_and_named(kind):
    with pytest.raises(ContractError) as caught:
        check_judge(kind())
    assert kind.says in str(caught.value)


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    host: str = option("http://127.0.0.1:1", "where the server is")


class AsksAServer(Good):
    """Keeps every promise while its server is there; some items it cannot judge, and says so."""

    Options = ServerOptions

    def check(self):
        try:
            urlopen(self.options.host, timeout=10).read()
        except OSError as error:
            raise JudgeError(f"no server at {self.options.host}: start it") from error

    def verdict(self, item):
        if "{" in item.answer:
            return Verdict(index=item.index, status="unparsable", score=None, reason="braces", judge=self.identity)
        body = json.dumps([item.reference, item.answer]).encode()
        score = json.load(urlopen(self.options.host, data=body, timeout=10))
        return Verdict(index=item.index, status="ok", score=score, judge=self.identity)


class NeverAsksBefore(AsksAServer):
    def check(self):
        """Nothing is looked at."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(b"here")

    def do_POST(self):
        reference, answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(b"100" if reference == answer else b"20")

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing is logged."""


@pytest.fixture
def host():
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_judge_with_a_server_that_fails_some_items_honestly_passes(host):
    check_judge(AsksAServer(ServerOptions(host=host)))


def test_a_check_that_passes_without_its_server_is_found(host, monkeypatch):
    monkeypatch.setenv("SFTFRAME_TESTING_PROCESS", "1")
    with pytest.raises(ContractError, match="where nobody listens, check\\(\\) passes"):
        check_judge(NeverAsksBefore(ServerOptions(host=host)))


def test_good_judges_pass():
    check_judge(Good(), is_deterministic=True)


def test_a_judge_whose_scores_wander_a_little_passes():
    class Wanders(Good):
        def grade(self, item):
            return max(0.0, super().grade(item) - random.Random().random())

    check_judge(Wanders())


class CountsWords(Good):
    """Of the answer alone, from a constructor of its own."""

    def __init__(self, options=None, *, most=50):
        super().__init__(options)
        self.most = most

    def grade(self, item):
        return 100.0 * min(len(item.answer.split()), self.most) / self.most


def test_a_judge_of_the_answer_alone_passes():
    check_judge(CountsWords(most=20), is_deterministic=True)
