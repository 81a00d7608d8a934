"""The base of judges that ask a language model: asks servers for verdicts and preferences, and reports every failure.

The questions are in `question.py`, the reading of replies in `reply.py`, retries in `calls.py`, the choice of servers
in `servers.py`.
"""

from __future__ import annotations

import threading
import warnings
from abc import abstractmethod
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import Any, Generic, Literal, Protocol, TypeVar

from sftframe import Judge, JudgeItem, JudgePair, Preference, Verdict, option
from sftframe_plugins.judges.calls import CallError, as_ready, in_order, with_patience, within
from sftframe_plugins.judges.question import Question, fingerprint, preference_question, score_question
from sftframe_plugins.judges.reply import UnparsableError, Winner, shorten
from sftframe_plugins.judges.servers import Servers
from sftframe_plugins.judges.template import Message

_READING = {"strict": "strict", "lenient": "lenient-2"}
"""The version of the reading of replies, part of the identity: it changes with the reading, so that old verdicts are
not reused. (Version 1 took the first object, even from a thought.)
"""

Job = TypeVar("Job")
Word = TypeVar("Word")

MAX_RAW = 2000
"""The most characters that are kept of a judge's reply."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions:
    """What can be set for each of these judges; a subclass adds the address of its servers."""

    model: str = option("", "name of a model on the server")
    temperature: float = option(0.0, "0 = the likeliest reply", ge=0)
    seed: int = option(123, "seed of the sampling")
    timeout_s: float = option(120.0, "longest time for one reply, seconds", gt=0)
    concurrency: int = option(1, "parallel calls, per server", ge=1, le=256)
    retries: int = option(3, "further attempts at an item after a temporary failure", ge=0, le=20)
    parse: Literal["strict", "lenient"] = option(
        "strict", "lenient also reads a score from prose, and says so in the reason"
    )
    template: str = option(
        "", "question for a score: a text with {{answer}} in it, or its file; by default the built-in one"
    )
    pair_template: str = option(
        "", "question for a preference: a text with {{first}} and {{second}}, or its file; by default the built-in one"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The message that ends a chat."""

    text: str
    is_cut: bool
    """The reply was cut at its longest length."""


class Server(Protocol):
    """One server that answers chats. Safe with several threads."""

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        """The model's reply, in the form of the JSON schema.

        Raises:
            CallError: there is none.
        """

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer(Generic[Word]):
    """The outcome of one job: a score or winner, or the error."""

    word: Word | None
    error: CallError | None
    reason: str
    raw: str

    def fields(self) -> dict[str, Any]:
        """The common fields of verdicts and preferences."""
        return {"status": self.error.status if self.error else "ok", "reason": self.reason, "raw": self.raw}


class LanguageModelJudge(Judge):
    """Base of judges that ask a model on one or several servers.

    A subclass extends `LanguageModelOptions`, names its servers, and adds other important settings to the identity.

    Args:
        sleep: waits the given seconds between two attempts; the default wait ends early on an interrupt.
    """

    Options = LanguageModelOptions

    def __init__(self, options: Any = None, *, sleep: Callable[[float], object] | None = None) -> None:
        super().__init__(options)
        self._sleep = sleep

    @abstractmethod
    def server_names(self) -> Sequence[str]:
        """The servers that share the work."""

    def dead_server_names(self) -> Collection[str]:
        """Servers that cannot be reached now and are tried again later."""
        return ()

    @abstractmethod
    def connect(self, name: str, tell: Callable[[str], object]) -> Server:
        """The server of this name; `tell` gets sentences for the user."""

    @cached_property
    def scoring(self) -> Question[JudgeItem, float]:
        """The question for a score; reading it raises `ConfigError` if the option `template` cannot be used."""
        return score_question(self.options.template)

    @cached_property
    def comparing(self) -> Question[JudgePair, Winner]:
        """The question for a preference; reading it raises `ConfigError` if `pair_template` cannot be used."""
        return preference_question(self.options.pair_template)

    def settings_mark(self, *others: object) -> str:
        """Twelve hexadecimal digits: a hash of the templates and of all options that can change a verdict."""
        options = self.options
        settings = (options.temperature, options.seed, _READING[options.parse], *others)
        return fingerprint((self.scoring, self.comparing), settings)

    def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """One verdict per item, in order, with up to `concurrency` parallel calls to each server.

        Closing the iterator, or an interrupt, ends the work at once.
        """
        return in_order(self._verdicts(items))

    def score_as_ready(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """The same verdicts, each as soon as it is ready."""
        with closing(self._verdicts(items)) as verdicts:
            for _, verdict in verdicts:
                yield verdict

    def prefer(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        """One preference per pair, in order, as `score` gives verdicts."""
        return in_order(self._preferences(pairs))

    def prefer_as_ready(self, pairs: Sequence[JudgePair]) -> Iterator[Preference]:
        """The same preferences, each as soon as it is ready."""
        with closing(self._preferences(pairs)) as preferences:
            for _, preference in preferences:
                yield preference

    def _verdicts(self, items: Sequence[JudgeItem]) -> Generator[tuple[int, Verdict], None, None]:
        with closing(self._answers(items, self.scoring)) as answers:
            for number, answer in answers:
                index, judge = items[number].index, self.identity
                yield number, Verdict(index=index, score=answer.word, judge=judge, **answer.fields())

    def _preferences(self, pairs: Sequence[JudgePair]) -> Generator[tuple[int, Preference], None, None]:
        with closing(self._answers(pairs, self.comparing)) as answers:
            for number, answer in answers:
                index, judge = pairs[number].index, self.identity
                yield number, Preference(index=index, winner=answer.word, judge=judge, **answer.fields())

    def _answers(
        self, jobs: Sequence[Job], question: Question[Job, Word]
    ) -> Generator[tuple[int, _Answer[Word]], None, None]:
        """The number of each job and its outcome, as soon as that is known."""
        stop = threading.Event()
        news: SimpleQueue[str] = SimpleQueue()
        with ExitStack() as stack:
            servers = {name: self.connect(name, news.put) for name in self.server_names()}
            for server in servers.values():
                stack.callback(server.close)
            num_calls, dead = self.options.concurrency, self.dead_server_names()
            shared = Servers(list(servers), capacity=num_calls, dead=dead, on_left_out=news.put)

            def work(job: Job) -> _Answer[Word]:
                return self._answer(job, question, servers, shared, stop)

            with closing(as_ready(work, jobs, num_threads=num_calls * len(servers), stop=stop)) as answers:
                for answer in answers:
                    self._tell(news)
                    yield answer

    def _tell(self, news: SimpleQueue[str]) -> None:
        """Give the threads' warnings in the thread that waits for the results."""
        while True:
            try:
                sentence = news.get_nowait()
            except Empty:
                return
            warnings.warn(f"judge {self.name}: {sentence}", RuntimeWarning, stacklevel=2)

    def _answer(
        self,
        job: Job,
        question: Question[Job, Word],
        servers: Mapping[str, Server],
        shared: Servers,
        stop: threading.Event,
    ) -> _Answer[Word]:
        def wait(seconds: float) -> None:
            (self._sleep or stop.wait)(seconds)
            if stop.is_set():
                raise CallError("interrupted", is_final=True)

        def ask(name: str) -> _Answer[Word]:
            return self._ask(messages, question, name, servers[name])

        messages = question.messages(job)
        try:
            return with_patience(ask, shared, retries=self.options.retries, wait=wait)
        except CallError as error:
            return _Answer(word=None, error=error, reason=error.reason, raw=kept(error.raw))

    def _ask(
        self, messages: Sequence[Message], question: Question[Job, Word], name: str, server: Server
    ) -> _Answer[Word]:
        try:
            reply = within(self.options.timeout_s, lambda: server.ask(messages, question.schema))
        except TimeoutError as error:
            raise timed_out(name, self.options.timeout_s) from error
        if reply.is_cut:  # a cut "8" may be the start of "85"
            reason = f"the reply was cut at its longest length: {shorten(reply.text, 80)}"
            raise CallError(reason, status="unparsable", raw=reply.text)
        try:
            word, reason = question.parse(reply.text, self.options.parse == "lenient")
        except UnparsableError as error:
            raise CallError(str(error), status="unparsable", raw=reply.text) from error
        return _Answer(word=word, error=None, reason=reason, raw=kept(reply.text))


def checked(name: str, limit_s: float, check: Callable[[], Word]) -> Word:
    """The result of a server's check, with a limit of time: a server may send a byte now and then for ever.

    Args:
        limit_s: for one call; the check may take three times as long.

    Raises:
        CallError: the result does not come in time, or the check raises it.
    """
    try:
        return within(3 * limit_s, check)
    except TimeoutError:
        raise timed_out(name, 3 * limit_s) from None


def no_connection(name: str) -> CallError:
    """The error for a server that cannot be reached."""
    return CallError(f"no connection to {name}", is_server_lost=True)


def timed_out(name: str, limit_s: float) -> CallError:
    """The error for a server without a complete reply in time."""
    return CallError(f"{name} gave no reply within {limit_s:g} s", status="timeout")


def kept(raw: str) -> str:
    """The part of a reply that is kept: the first 2,000 characters, without half characters."""
    return raw.encode("utf-8", "replace").decode()[:MAX_RAW]
