"""A judging that is killed while one item is slow keeps every verdict that had come, and asks for none again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest

from sftframe.cli.app import main
from sftframe.files import read_json_lines, write_json_lines
from sftframe.records import Response

pytestmark = pytest.mark.skipif(find_spec("openai") is None, reason="the judge needs openai")

NUM_ITEMS = 13
PATIENCE_S = 120

JUDGE_A_RUN = """
import sys
from pathlib import Path
from sftframe import Example, load_registry
from sftframe.config import RunConfig
from sftframe.judging import Judging
from sftframe.pipeline.answers import judge_files
from sftframe.progress import Observer
from sftframe.runs.store import RunStore

folder, address, num_items = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
registry = load_registry()
judge = registry.judge("openai", {"base_url": address, "concurrency": 3})
judging = Judging.of(RunConfig(), judge, registry, Observer())
examples = [
    Example(index=index, instruction=f"Task {index}.", input="", output="Done.")
    for index in reversed(range(num_items))
]
judge_files(judging, examples, RunStore(folder).answers("after"))
"""


class Server:
    """Speaks OpenAI's protocol; the slow item waits until it is let go."""

    def __init__(self):
        self.slow = 0
        self.asked = Counter()
        self.may_go_on = threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.answer({"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model"}]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                shown = json.loads(body["messages"][-1]["content"])
                number = int(shown["instruction"].strip("Task ."))
                served.asked[number] += 1
                if number == served.slow:
                    served.may_go_on.wait(PATIENCE_S)
                content = json.dumps({"reason": "Because.", "score": number})
                message = {"role": "assistant", "content": content}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self.answer(
                    {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"]}
                    | {"choices": [choice]}
                )

            def answer(self, document):
                body = json.dumps(document).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    self.close_connection = True  # the judge was killed

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.may_go_on.set()
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def environment(tmp_path):
    return os.environ | {"SFTFRAME_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}


def wait_until(is_true, process):
    """Look until it is so; the deadline is only for a test that fails."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_run_keeps_the_verdicts_that_had_come(server, environment, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    server.slow = NUM_ITEMS - 1  # the first to be asked about
    responses = [
        Response(index=index, text="Done.", ids=(1,), stop_reason="end") for index in reversed(range(NUM_ITEMS))
    ]
    write_json_lines(run / "responses.jsonl", responses)
    verdicts = run / "verdicts.jsonl"
    command = [sys.executable, "-c", JUDGE_A_RUN, str(run), server.address, str(NUM_ITEMS)]

    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: verdicts.exists() and len(read_json_lines(verdicts)) == NUM_ITEMS - 1, process)
    kill(process)
    kept = read_json_lines(verdicts)
    assert {line["index"] for line in kept} == set(range(NUM_ITEMS)) - {server.slow}

    server.may_go_on.set()
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "another cache"))
    monkeypatch.setattr(sys, "argv", command[2:])
    exec(JUDGE_A_RUN, {})  # what goes on after a kill needs no process of its own
    assert server.asked == {index: 2 if index == server.slow else 1 for index in range(NUM_ITEMS)}
    lines = read_json_lines(verdicts)
    assert [line["index"] for line in lines] == list(reversed(range(NUM_ITEMS)))
    assert [line["score"] for line in lines] == list(reversed(range(NUM_ITEMS)))


def test_the_cache_keeps_the_verdicts_on_a_file_that_had_come(server, environment, tmp_path, monkeypatch, capsys):
    import sqlite3

    entries = [
        {"instruction": f"Task {index}.", "input": "", "output": "Done.", "model_response": "Done."}
        for index in range(NUM_ITEMS)
    ]
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(entries))
    cache = tmp_path / "cache" / "verdicts-1.sqlite"
    command = [sys.executable, "-m", "sftframe", "judge", str(answers), "--judge", "openai", "--json"]
    command += ["--set", f"judge.base_url={server.address}", "--set", "judge.concurrency=2"]

    def num_kept():
        if not cache.exists():
            return 0
        try:
            with sqlite3.connect(f"file:{cache}?mode=ro", uri=True) as connection:
                return connection.execute("SELECT count(*) FROM verdicts").fetchone()[0]
        except sqlite3.OperationalError:  # the table is being made
            return 0

    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: num_kept() == NUM_ITEMS - 1, process)
    kill(process)

    server.may_go_on.set()
    monkeypatch.setenv("SFTFRAME_CACHE", environment["SFTFRAME_CACHE"])
    monkeypatch.setattr(sys, "argv", command[2:])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert server.asked == {index: 2 if index == server.slow else 1 for index in range(NUM_ITEMS)}
    verdicts = json.loads(capsys.readouterr().out)["verdicts"]
    assert [(verdict["index"], verdict["score"]) for verdict in verdicts] == [(i, float(i)) for i in range(NUM_ITEMS)]
