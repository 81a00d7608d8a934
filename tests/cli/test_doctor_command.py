"""`sftframe doctor`, as a person and as a program sees it."""

import pytest

from sftframe.cli.doctor_render import Rows
from sftframe.doctor.hardware import Finding


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch):
    """No judge's server and no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_json_holds_every_finding_and_whether_a_run_works(cli):
    done = cli("doctor", "--json")
    assert done.json["is_usable"] is (done.code == 0)
    assert {"topic", "status", "found", "advice"} == set(done.json["findings"][0])


def test_a_judge_that_the_run_needs_and_that_is_not_there_is_exit_code_1(cli):
    done = cli("doctor", "--judge", "ollama")
    assert done.code == 1
    assert "ollama cannot work now" in done.out
    assert "start it with 'ollama serve'" in " ".join(done.out.split())
    assert done.out.rstrip().splitlines()[-1].startswith("1 problem: a run would not work")


def test_rows_show_the_advice_below_its_finding(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    with Rows(is_silent=False) as rows:
        rows.add(Finding(topic="disk", status="note", found="little room", advice="make some"))
        rows.conclude([])
    assert capsys.readouterr().out.splitlines()[:2] == ["disk      note    little room", " " * 18 + "→ make some"]


def test_what_others_wrote_cannot_steer_the_terminal(capsys):
    with Rows(is_silent=False) as rows:
        rows.add(Finding(topic="plugins", status="note", found="\x1b]0;mine\x07", advice="\x1b[2J"))
    assert "\x1b" not in capsys.readouterr().out
