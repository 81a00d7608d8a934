"""The key goes from the environment to the server and nowhere else, even where the server shouts it out."""

import json
import logging
import os
import subprocess
import sys
import traceback

import pytest
from sftframe_plugins.judges.openai import OpenAIJudge, OpenAIOptions

from sftframe import ConfigError, JudgeError
from sftframe.config import build_options

pytestmark = pytest.mark.usefixtures("plain_drawings")

KEY = "sk-proj-N0tF0rAnyB0dysEyes-4711"


@pytest.fixture
def echo(acts):
    """Acts that quote the key wherever a server can."""
    return {
        "reply": acts.grades(70, f"You sent {KEY}."),
        "prose": acts.says(f"Your key is {KEY}."),
        "cut prose": acts.says("x" * 60 + KEY),
        "model": acts.says('{"reason": "Fine.", "score": 1}', model=KEY),
        "401": acts.refuses(401, f"Incorrect API key provided: {KEY}.", code="invalid_api_key"),
        "500": acts.refuses(500, f"cannot serve {KEY}"),
        "no JSON": acts.sends(f"<html>{KEY}</html>".encode()),
        "bare": acts.sends(json.dumps(f"{KEY}").encode()),
    }


def test_the_key_goes_to_the_server(openai_stub, ask, item, monkeypatch):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    list(ask.openai(openai_stub.host, key_variable="MY_KEY").score([item()]))
    assert openai_stub.headers[-1]["authorization"] == f"Bearer {KEY}"


def test_a_server_of_ones_own_needs_no_key(openai_stub, ask, item):
    judge = ask.openai(openai_stub.host)
    judge.check()
    assert [verdict.score for verdict in judge.score([item()])] == [50.0]


def test_the_key_stands_in_no_verdict_and_no_log_whatever_the_server_says(
    openai_stub, echo, ask, item, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    openai_stub.by_answer = echo
    judge = ask.openai(openai_stub.host, retries=0, concurrency=1)
    verdicts = list(judge.score([item(i, answer) for i, answer in enumerate(echo)]))
    assert len(verdicts) == len(echo)
    assert [verdict.status for verdict in verdicts[:2]] == ["ok", "unparsable"]
    assert KEY not in repr(verdicts)
    assert KEY[:12] not in repr(verdicts)
    assert verdicts[0].reason == "You sent [key]."
    assert KEY not in repr((judge.identity, judge.options, vars(judge)))
    assert KEY not in caplog.text


@pytest.mark.parametrize("fault", ["401", "no JSON", "bare"])
def test_the_key_stands_in_no_error_of_the_check(openai_stub, echo, ask, monkeypatch, fault):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    openai_stub.get_act = echo[fault]
    with pytest.raises(JudgeError) as caught:
        ask.openai(openai_stub.host).check()
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert "OPENAI_API_KEY" in str(caught.value)


def test_the_key_stands_in_no_list_of_models(openai_stub, ask, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    openai_stub.models = [{"id": KEY}]
    with pytest.raises(JudgeError, match="no model 'gpt-4o-mini'") as caught:
        ask.openai(openai_stub.host).check()
    assert KEY not in str(caught.value)


def test_a_key_with_a_line_break_is_refused_without_being_shown(openai_stub, ask, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj\n-N0tF0r")
    with pytest.raises(JudgeError, match="OPENAI_API_KEY contains characters that no key has") as caught:
        ask.openai(openai_stub.host).check()
    assert "N0tF0r" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"key_variable": KEY},
        {"api_key": KEY},
        {"base_url": f"https://user:{KEY}@example.org/v1"},
        {"base_url": f"https://example.org/v1?key={KEY}"},
        {"base_url": f"https://user:{KEY}"},
        {"base_url": KEY},
    ],
)
def test_a_key_in_the_configuration_is_refused_without_being_shown(options):
    with pytest.raises(ConfigError) as caught:
        build_options(OpenAIJudge, options, "judge")
    assert KEY not in str(caught.value)


def test_an_address_from_the_environment_with_a_key_in_it_is_refused_too(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://user:{KEY}@example.org/v1")
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL contains a user") as caught:
        _ = OpenAIOptions().url
    assert KEY not in str(caught.value)


def test_the_key_is_in_no_file_of_a_run_and_in_nothing_that_the_command_says(openai_stub, echo, tmp_path):
    entries = [{"instruction": f"After {n}?", "input": "", "output": f"{n + 1}."} for n in range(20)]
    data = tmp_path / "data.json"
    data.write_text(json.dumps(entries))
    settings = [
        f"judge.base_url={openai_stub.host}/v1",
        "judge.retries=0",
        "max_failures=1",
        "generate.max_new_tokens=4",
    ]
    openai_stub.plan = [echo["reply"], echo["prose"], echo["500"], echo["reply"]]
    flags = ["--data", data, "--out", tmp_path / "run", "--epochs", "1", "--threads", "1", "--judge", "openai"]
    flags += [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, "-m", "sftframe", "run", "--json", *flags],
        env={**os.environ, "OPENAI_API_KEY": KEY, "OPENAI_LOG": "debug", "SFTFRAME_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert len(openai_stub.requests) >= 4  # two answers before training, two after
    assert all(header["authorization"] == f"Bearer {KEY}" for header in openai_stub.headers)
    assert "openai" in done.stderr  # the client's log is there to be searched
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("[key]" in path.read_text() for path in files if path.suffix == ".jsonl")
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.stdout + done.stderr
