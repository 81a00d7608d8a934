"""A server on this machine that speaks Ollama's wire format, with every fault that a test asks for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sftframe_plugins.judges.ollama import OllamaJudge, OllamaOptions

from sftframe import JudgeItem

DIGEST = "365c0bd3c000a25d28ddbf732fe1c6add414de7275464c4e4d1c3b5fcb5d8ad1"

Act = Callable[["Handler", dict[str, Any]], None]
"""What the server does with one chat request, given its body."""


class Acts:
    """What a server can do with a chat request."""

    @staticmethod
    def says(content: str, **fields: Any) -> Act:
        """A finished reply with this content; the fields replace those of the message."""

        def act(handler: Handler, body: dict[str, Any]) -> None:
            handler.send_document(
                {
                    "model": body["model"],
                    "created_at": "2024-05-01T12:00:00.000000Z",
                    "message": {"role": "assistant", "content": content},
                    "done": True,
                    "done_reason": "stop",
                    "total_duration": 5_000_000,
                    "prompt_eval_count": 300,
                    "eval_count": 20,
                    **fields,
                }
            )

        return act

    @staticmethod
    def grades(score: object, reason: str = "Because.") -> Act:
        """A reply in the form that was asked for."""
        return Acts.says(json.dumps({"reason": reason, "score": score}))

    @staticmethod
    def refuses(status: int, error: str = "something is wrong") -> Act:
        """An HTTP error in Ollama's form."""
        return lambda handler, body: handler.send_document({"error": error}, status)

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


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    stub: OllamaStub

    def do_GET(self) -> None:
        if self.path == "/api/tags":
            self.send_document({"models": self.stub.models})
        elif self.path == "/api/version":
            self.send_document({"version": "0.9.0"})
        else:
            self.send_document({"error": "not found"}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/chat":
            self.stub.next_act(body)(self, body)
        elif self.path == "/api/show" and body["model"] in self.stub.details:
            self.send_document(self.stub.details[body["model"]])
        else:
            self.send_document({"error": f"model '{body.get('model')}' not found"}, 404)

    def send_document(self, document: object, status: int = 200) -> None:
        self.send_bytes(json.dumps(document).encode(), status)

    def send_bytes(self, body: bytes, status: int = 200, promised: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's output."""


class OllamaStub:
    """A server whose chat replies follow a plan: one act per request, the last one for all further ones.

    `by_answer` goes first: what to do with the item whose answer is so.
    """

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = [{"name": "llama3:latest", "model": "llama3:latest", "digest": DIGEST}]
        self.details: dict[str, dict[str, Any]] = {
            "llama3": {"details": {"family": "llama"}, "model_info": {"llama.context_length": 8192}}
        }
        self.plan: list[Act] = [Acts.grades(50)]
        self.by_answer: dict[str, Act] = {}
        self.requests: list[dict[str, Any]] = []
        self.is_over = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"stub": self}))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def next_act(self, body: dict[str, Any]) -> Act:
        with self._lock:
            self.requests.append(body)
            answer = json.loads(body["messages"][1]["content"])["answer_to_grade"]
            if answer in self.by_answer:
                return self.by_answer[answer]
            return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def start() -> Iterator[Callable[[], OllamaStub]]:
    """Starts servers that are closed when the test is over."""
    stubs: list[OllamaStub] = []

    def make() -> OllamaStub:
        stubs.append(OllamaStub())
        return stubs[-1]

    yield make
    for stub in stubs:
        stub.close()


@pytest.fixture
def stub(start: Callable[[], OllamaStub]) -> OllamaStub:
    """One server that grades everything 50."""
    return start()


@pytest.fixture
def dead_host(start: Callable[[], OllamaStub]) -> str:
    """An address where nobody listens."""
    gone = start()
    gone.close()
    return gone.host


@pytest.fixture
def acts() -> type[Acts]:
    """What a server can do with a chat request."""
    return Acts


@pytest.fixture
def item() -> Callable[..., JudgeItem]:
    """Makes an item with this index and answer."""

    def make(index: int = 0, answer: str = "Paris.") -> JudgeItem:
        return JudgeItem(
            index=index, instruction="Name the capital of France.", input="", reference="Paris.", answer=answer
        )

    return make


class Ask:
    """Makes judges that wait for nothing, and remembers how long they would have waited."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, *hosts: str, **options: Any) -> OllamaJudge:
        return OllamaJudge(OllamaOptions(host=",".join(hosts), **options), sleep=self.waits.append)


@pytest.fixture
def ask() -> Ask:
    """Makes judges for these hosts, with these options."""
    return Ask()
