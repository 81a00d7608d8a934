"""Findings on network and terminal; nothing here leaves this machine."""

import socket

import pytest

from sftframe.doctor.surroundings import Network, NetworkProbe, Terminal, check_network, check_terminal

ENDPOINT = "https://huggingface.co"


def network(**facts):
    [finding] = check_network(Network(endpoint=ENDPOINT, **facts))
    return finding


def test_a_network_that_answers_is_in_order():
    assert network(is_asked=True).found == f"{ENDPOINT} answers"


def test_a_network_that_is_switched_off_names_the_variable():
    finding = network(offline="HF_HUB_OFFLINE")
    assert (finding.status, finding.found) == ("ok", "switched off by HF_HUB_OFFLINE")


def test_no_network_is_noted_with_what_works_without():
    finding = network(is_asked=True, error="Name or service not known")
    assert finding.status == "note"
    assert "HTTPS_PROXY" in finding.advice
    assert "model.weights=FOLDER" in finding.advice


def test_a_network_that_does_not_answer_in_time_is_noted():
    assert network().found == f"no answer from {ENDPOINT} in time"


def test_a_proxy_is_named():
    finding = network(is_asked=True, proxies=["HTTPS_PROXY"], error="403 Forbidden")
    assert "through HTTPS_PROXY" in finding.found
    assert "HTTPS_PROXY" not in finding.advice


@pytest.mark.parametrize("value", ["1", "TRUE", "yes"])
def test_nothing_is_asked_where_the_network_is_switched_off(value):
    found = NetworkProbe({"HF_HUB_OFFLINE": value}).collect(0)
    assert (found.offline, found.is_asked) == ("HF_HUB_OFFLINE", False)


def test_a_server_that_is_not_there_is_found_out_within_the_patience():
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        probe = NetworkProbe({"HF_ENDPOINT": f"http://127.0.0.1:{taken.getsockname()[1]}"})
        found = probe.collect(20)
    assert found.is_asked
    assert found.error


def terminal(**facts):
    [finding] = check_terminal(
        Terminal(**{"is_terminal": True, "encoding": "utf-8", "columns": 80, "kind": "xterm", **facts})
    )
    return finding


def test_a_terminal_of_today_is_in_order():
    assert terminal().found == "80 columns, utf-8, TERM=xterm"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "no-such-encoding"])
def test_an_encoding_that_lacks_signs_is_noted(encoding):
    finding = terminal(encoding=encoding)
    assert finding.status == "note"
    assert "PYTHONUTF8=1" in finding.advice


def test_a_narrow_terminal_is_noted():
    assert terminal(columns=40).status == "note"
    assert terminal(columns=40, is_terminal=False).status == "ok"
