"""Servers on this machine that speak the protocols of Ollama and of OpenAI, with every fault that a test asks for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sftframe_plugins.judges.language_model import LanguageModelJudge
from sftframe_plugins.judges.ollama import OllamaJudge, OllamaOptions
from sftframe_plugins.judges.openai import OpenAIJudge, OpenAIOptions

from sftframe import JudgeItem, JudgePair

DIGEST = "365c0bd3c000a25d28ddbf732fe1c6add414de7275464c4e4d1c3b5fcb5d8ad1"
NO_HEADERS: Mapping[str, str] = {}

Act = Callable[["Handler", dict[str, Any]], None]
"""What the server does with one chat request, given its body."""


class Acts:
    """What a server can do with a chat request."""

    @staticmethod
    def says(content: object, **fields: Any) -> Act:
        """A finished reply with this content; the fields replace those of the reply."""
        return lambda handler, body: handler.send_document({**handler.reply(content, body), **fields})

    @staticmethod
    def grades(score: object, reason: str = "Because.") -> Act:
        """A score in the form that was asked for."""
        return Acts.says(json.dumps({"reason": reason, "score": score}))

    @staticmethod
    def prefers(better: object, reason: str = "Because.") -> Act:
        """A preference in the form that was asked for."""
        return Acts.says(json.dumps({"reason": reason, "better": better}))

    @staticmethod
    def refuses(
        status: int, error: str = "something is wrong", headers: Mapping[str, str] = NO_HEADERS, **fields: Any
    ) -> Act:
        """An HTTP error in the server's form."""
        return lambda handler, body: handler.send_document(handler.error(error, **fields), status, headers)

    @staticmethod
    def sends(body: bytes) -> Act:
        """A finished HTTP response with any body."""
        return lambda handler, _body: handler.send_bytes(body)

    @staticmethod
    def cuts_the_body(handler: Handler, body: dict[str, Any]) -> None:
        """Promises more bytes than it sends, then closes the connection."""
        handler.send_bytes(b'{"model": "llama3", "message": {"role"', promised=500)
        handler.close_connection = True

    @staticmethod
    def hangs_up(handler: Handler, body: dict[str, Any]) -> None:
        """Closes the connection without a word."""
        handler.close_connection = True

    @staticmethod
    def is_silent(handler: Handler, body: dict[str, Any]) -> None:
        """Says nothing until the test is over."""
        handler.stub.is_over.wait(30)
        handler.close_connection = True

    @staticmethod
    def drips(handler: Handler, body: dict[str, Any]) -> None:
        """Sends a space every hundredth of a second until the test is over: never silent, never done."""
        handler.send_bytes(b"", promised=1_000_000)
        while not handler.stub.is_over.wait(0.01):
            handler.wfile.write(b" ")
        handler.close_connection = True


class Handler(BaseHTTPRequestHandler):
    """One connection; a subclass for each protocol."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are sent one after the other; else the body waits 40 ms
    stub: Stub

    def reply(self, content: object, body: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("a protocol's own")

    def error(self, message: str, **fields: Any) -> dict[str, Any]:
        raise AssertionError("a protocol's own")

    def read_body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        return found

    def send_document(self, document: object, status: int = 200, headers: Mapping[str, str] = NO_HEADERS) -> None:
        self.send_bytes(json.dumps(document).encode(), status, headers=headers)

    def send_bytes(
        self, body: bytes, status: int = 200, promised: int | None = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, json.JSONDecodeError):  # a body that ends early is none
            self.close_connection = True  # the judge has given up

    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's output."""


class OllamaHandler(Handler):
    """https://github.com/ollama/ollama/blob/main/docs/api.md"""

    def reply(self, content: object, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "model": body["model"],
            "created_at": "2024-05-01T12:00:00.000000Z",
            "message": {"role": "assistant", "content": content},
            "done": True,
            "done_reason": "stop",
            "total_duration": 5_000_000,
            "prompt_eval_count": 300,
            "eval_count": 20,
        }

    def error(self, message: str, **fields: Any) -> dict[str, Any]:
        return {"error": message}

    def do_GET(self) -> None:
        self.stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.stub.get_act is not None:
            self.stub.get_act(self, {})
        elif self.path == "/api/tags":
            self.send_document({"models": self.stub.models})
        elif self.path == "/api/version":
            self.send_document({"version": "0.9.0"})
        else:
            self.send_document({"error": "not found"}, 404)

    def do_POST(self) -> None:
        body = self.read_body()
        if self.path == "/api/chat":
            self.stub.next_act(body)(self, body)
        elif self.path == "/api/show" and body["model"] in self.stub.details:
            self.send_document(self.stub.details[body["model"]])
        else:
            self.send_document({"error": f"model '{body.get('model')}' not found"}, 404)


class OpenAIHandler(Handler):
    """https://platform.openai.com/docs/api-reference/chat"""

    def reply(self, content: object, body: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": content, "refusal": None}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_714_564_800,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 300, "completion_tokens": 20, "total_tokens": 320},
        }

    def error(self, message: str, **fields: Any) -> dict[str, Any]:
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **fields}}

    def do_GET(self) -> None:
        self.stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        listed = self.path == "/v1/models"
        if self.stub.get_act is not None:
            self.stub.get_act(self, {})
        elif listed:
            self.send_document({"object": "list", "data": self.stub.models})
        elif self.path.removeprefix("/v1/models/") in self.stub.details:
            self.send_document({"id": self.path.removeprefix("/v1/models/"), "object": "model"})
        else:
            self.send_document(self.error("no such thing", code="not_found"), 404)

    def do_POST(self) -> None:
        body = self.read_body()
        if self.path == "/v1/chat/completions":
            self.stub.next_act(body)(self, body)
        else:
            self.send_document(self.error("no such path"), 404)


class Stub:
    """A server whose chat replies follow a plan: one act per request, the last one for all further ones.

    `by_answer` goes first: what to do with the item whose answer is so. `takes`, if it is there, is asked before all.
    """

    def __init__(self, handler: type[Handler]) -> None:
        self.handler = handler
        self.models: list[dict[str, Any]] = []
        self.details: dict[str, dict[str, Any]] = {}
        self.plan: list[Act] = [Acts.grades(50)]
        self.by_answer: dict[str, Act] = {}
        self.takes: Callable[[dict[str, Any]], Act | None] = lambda body: None
        self.get_act: Act | None = None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.is_over = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"stub": self}))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def next_act(self, body: dict[str, Any]) -> Act:
        with self._lock:
            self.requests.append(body)
            refusal = self.takes(body)
            if refusal is not None:
                return refusal
            for answer, act in self.by_answer.items():
                if json.dumps(answer) in body["messages"][-1]["content"]:
                    return act
            return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def open_stub() -> Iterator[Callable[[type[Handler]], Stub]]:
    """Opens servers that are closed when the test is over."""
    stubs: list[Stub] = []

    def make(handler: type[Handler]) -> Stub:
        stubs.append(Stub(handler))
        return stubs[-1]

    yield make
    for stub in stubs:
        stub.close()


@pytest.fixture
def start(open_stub: Callable[[type[Handler]], Stub]) -> Callable[[], Stub]:
    """Starts Ollama servers that have Llama 3 and grade everything 50."""

    def make() -> Stub:
        stub = open_stub(OllamaHandler)
        stub.models = [{"name": "llama3:latest", "model": "llama3:latest", "digest": DIGEST}]
        stub.details["llama3"] = {"details": {"family": "llama"}, "model_info": {"llama.context_length": 8192}}
        return stub

    return make


@pytest.fixture
def stub(start: Callable[[], Stub]) -> Stub:
    """One Ollama server."""
    return start()


@pytest.fixture
def openai_stub(open_stub: Callable[[type[Handler]], Stub], monkeypatch: pytest.MonkeyPatch) -> Stub:
    """One OpenAI-compatible server that grades everything 50, and no key or address in the environment."""
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(variable, raising=False)
    stub = open_stub(OpenAIHandler)
    stub.models = [{"id": "gpt-4o-mini", "object": "model", "created": 1_714_564_800, "owned_by": "us"}]
    return stub


@pytest.fixture
def dead_host(start: Callable[[], Stub]) -> str:
    """An address where nobody listens."""
    gone = start()
    gone.close()
    return gone.host


@pytest.fixture
def acts() -> type[Acts]:
    """What a server can do with a chat request."""
    return Acts


class Busy:
    """An act that takes a moment, and the largest number of calls that were under way at a time."""

    def __init__(self) -> None:
        self.most = 0
        self._num_calls = 0
        self._lock = threading.Lock()

    def __call__(self, handler: Handler, body: dict[str, Any]) -> None:
        with self._lock:
            self._num_calls += 1
            self.most = max(self.most, self._num_calls)
        threading.Event().wait(0.02)
        with self._lock:
            self._num_calls -= 1
        Acts.grades(1)(handler, body)


@pytest.fixture
def busy() -> Busy:
    """An act that counts how many calls are under way."""
    return Busy()


@pytest.fixture
def item() -> Callable[..., JudgeItem]:
    """Makes an item with this index and answer."""

    def make(index: int = 0, answer: str = "Paris.") -> JudgeItem:
        return JudgeItem(
            index=index, instruction="Name the capital of France.", input="", reference="Paris.", answer=answer
        )

    return make


@pytest.fixture
def pair() -> Callable[..., JudgePair]:
    """Makes a pair with this index and these answers."""

    def make(index: int = 0, first: str = "It is Paris.", second: str = "Rome!") -> JudgePair:
        return JudgePair(
            index=index,
            instruction="Name the capital of France.",
            input="",
            reference="Paris.",
            first=first,
            second=second,
        )

    return make


class Ask:
    """Makes judges that wait for nothing, and remembers how long they would have waited."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, *hosts: str, **options: Any) -> OllamaJudge:
        return OllamaJudge(OllamaOptions(host=hosts, **options), sleep=self.waits.append)

    def openai(self, host: str, **options: Any) -> OpenAIJudge:
        return OpenAIJudge(OpenAIOptions(base_url=f"{host}/v1", **options), sleep=self.waits.append)


@pytest.fixture
def ask() -> Ask:
    """Makes judges for these hosts, with these options."""
    return Ask()


class Bench:
    """A server of one protocol, and judges that ask it: one call at a time unless told otherwise."""

    def __init__(self, stub: Stub, ask: Ask, make: Callable[..., LanguageModelJudge]) -> None:
        self.stub = stub
        self.waits = ask.waits
        self._make = make

    def judge(self, **options: Any) -> LanguageModelJudge:
        return self._make(self.stub.host, **{"concurrency": 1, **options})

    def judge_at(self, host: str, **options: Any) -> LanguageModelJudge:
        return self._make(host, **{"concurrency": 1, **options})


@pytest.fixture(params=["ollama", "openai"])
def bench(request: pytest.FixtureRequest, ask: Ask) -> Bench:
    """The same test for both protocols."""
    if request.param == "ollama":
        return Bench(request.getfixturevalue("stub"), ask, ask)
    return Bench(request.getfixturevalue("openai_stub"), ask, ask.openai)
