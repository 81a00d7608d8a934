"""Which way a server is asked, by the variables of the environment."""

import os

import pytest

from sftframe.network.routes import find_route


@pytest.fixture
def environment(monkeypatch):
    """An environment with no proxy in it, to be filled."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_without_variables_servers_are_asked_straight(environment):
    assert find_route("https://example.org").proxy is None


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("HTTP_PROXY", "http://example.org/v1"),
        ("https_proxy", "https://example.org:8443"),
        ("ALL_PROXY", "http://example.org"),
        ("all_proxy", "https://10.1.2.3"),
    ],
)
def test_the_proxy_and_its_variable_are_found(environment, variable, url):
    environment.setenv(variable, "socks5h://user:secret@127.0.0.1:9050")
    route = find_route(url)
    assert (route.proxy, route.variable, route.problem) == ("socks5h://user:secret@127.0.0.1:9050", variable, "")
    assert str(route) == f" (through the proxy that {variable} names)"


def test_the_schemes_own_variable_wins_over_the_general_one(environment):
    environment.setenv("ALL_PROXY", "http://a.example:1")
    environment.setenv("HTTPS_PROXY", "http://b.example:2")
    assert find_route("https://example.org").variable == "HTTPS_PROXY"
    assert find_route("http://example.org").variable == "ALL_PROXY"


def test_a_proxy_without_a_scheme_speaks_http(environment):
    environment.setenv("HTTP_PROXY", "proxy.example:3128")
    assert find_route("http://example.org").proxy == "http://proxy.example:3128"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0", "models.localhost"])
def test_this_machine_is_always_asked_straight(environment, host):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        environment.setenv(name, "nonsense://nowhere")
    for scheme in ("http", "https"):
        assert find_route(f"{scheme}://{host}:11434/api") == find_route("http://localhost")
    assert find_route(f"http://{host}").proxy is None


@pytest.mark.parametrize(
    ("exceptions", "is_excepted"),
    [
        ("models.lab.example", True),
        ("lab.example", True),
        (".lab.example", True),
        ("*.lab.example", True),
        ("LAB.EXAMPLE", True),
        ("http://models.lab.example/", True),
        ("models.lab.example:8000", True),
        ("models.lab.example:9000", False),
        ("other.example, lab.example", True),
        ("*", True),
        ("ab.example", False),
        ("http://[::1", False),
        (",,  ,://,:, [", False),
        ("", False),
    ],
)
def test_no_proxy_excepts_hosts_and_domains_and_survives_nonsense(environment, exceptions, is_excepted):
    environment.setenv("HTTP_PROXY", "http://proxy.example:3128")
    environment.setenv("NO_PROXY", exceptions)
    assert (find_route("http://models.lab.example:8000/v1").proxy is None) == is_excepted


@pytest.mark.parametrize(
    ("exceptions", "host", "is_excepted"),
    [
        ("10.0.0.0/8", "10.20.30.40", True),
        ("10.0.0.0/8", "11.20.30.40", False),
        ("192.168.1.7", "192.168.1.7", True),
        ("fd00::/8", "[fd12::1]", True),
        ("[fd12::1]", "[fd12::1]", True),
        ("10.0.0.0/99", "10.20.30.40", False),
    ],
)
def test_no_proxy_excepts_addresses_and_networks(environment, exceptions, host, is_excepted):
    environment.setenv("ALL_PROXY", "http://proxy.example:3128")
    environment.setenv("no_proxy", exceptions)
    assert (find_route(f"http://{host}:8000").proxy is None) == is_excepted


@pytest.mark.parametrize(
    ("proxy", "problem"),
    [
        ("socks4://127.0.0.1:9050", "it begins with 'socks4'"),
        ("gopher://hidden.example", "it begins with 'gopher'"),
        ("http://hidden.example:port", "it is not an address"),
        ("http://[::1", "it is not an address"),
        ("http://", "it names no host"),
        ("socks5h://:9050", "it names no host"),
    ],
)
def test_a_proxy_that_cannot_be_used_says_why_and_is_not_repeated(environment, proxy, problem):
    environment.setenv("HTTPS_PROXY", proxy)
    route = find_route("https://example.org")
    assert (route.problem, route.variable) == (problem, "HTTPS_PROXY")
    assert "hidden" not in route.problem


def test_what_is_no_address_has_no_proxy(environment):
    environment.setenv("ALL_PROXY", "http://proxy.example:3128")
    assert find_route("http://[::1").proxy is None
