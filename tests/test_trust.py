"""What a file from elsewhere asks for is done only once this machine's user has accepted it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sftframe import Contact, Judge, JudgeItem, Registry, Verdict, hookimpl, option
from sftframe.errors import ConfigError
from sftframe.trust import Claim, asking_with, claims_of, judge_claims, origin, require

RUN = Path("runs/theirs")


@dataclass(frozen=True, kw_only=True)
class Options:
    host: str = option("http://localhost", "where it is asked")
    key_variable: str = option("KEY", "where its key is")
    rubric: str = option("", "a text, or the path of one")
    retries: int = option(2, "how often it is asked again")


class Silent(Judge):
    """Says nothing of whom it contacts."""

    name = "silent"
    summary = "somewhere else"
    Options = Options

    def score(self, items: Sequence[JudgeItem]) -> list[Verdict]:
        return []


class Open(Silent):
    """Says whom it contacts."""

    name = "open"

    @property
    def contacts(self) -> Sequence[Contact]:
        return (Contact(url=self.options.host, key_variable=self.options.key_variable),)


class Offline(Silent):
    """Contacts nobody."""

    name = "offline"

    @property
    def contacts(self) -> Sequence[Contact]:
        return ()


class Plugin:
    @hookimpl
    def sftframe_judges(self) -> list[type[Judge]]:
        return [Silent, Open, Offline]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered yet."""
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def registry() -> Registry:
    from sftframe import load_registry

    return load_registry().with_plugin(Plugin(), "three")


def asks_for(judge: Judge, *given: str) -> list[str]:
    """What has to be accepted, in words."""
    try:
        require(RUN, judge_claims(judge, given))
    except ConfigError as error:
        return str(error).removeprefix(f"{RUN} would ").partition(": nobody has accepted")[0].split("; ")
    return []


def test_a_judge_that_contacts_nobody_is_never_asked_about() -> None:
    assert asks_for(Offline()) == []
    assert asks_for(Offline(Options(host="http://evil"))) == []


def test_a_judge_that_says_nothing_is_asked_about_even_with_its_defaults() -> None:
    assert asks_for(Silent(Options(retries=9))) == [
        "give questions and answers to the judge silent (with its defaults)"
    ]


def test_a_server_and_the_variable_that_it_would_get_are_named() -> None:
    assert asks_for(Open(Options(host="http://Evil.example/v1", key_variable="AWS_SECRET"))) == [
        "send questions and answers to http://evil.example:80 (judge open)",
        "send the value of the variable AWS_SECRET to http://evil.example:80 as its key",
    ]


def test_the_message_has_the_command_that_accepts() -> None:
    with pytest.raises(ConfigError) as caught:
        require(Path("their run"), judge_claims(Open(), ()))
    assert "sftframe trust 'their run'" in str(caught.value)


@pytest.mark.parametrize("kind", [Silent, Open])
def test_what_is_set_by_hand_is_accepted_and_remembered(kind: type[Judge]) -> None:
    judge = kind(Options(host="http://mine"))
    assert asks_for(judge) != []
    assert asks_for(judge, "host") == []
    assert asks_for(judge) == []


@pytest.mark.parametrize("kind", [Silent, Open])
def test_naming_the_judge_accepts_its_defaults_and_nothing_else(kind: type[Judge]) -> None:
    assert asks_for(kind(), "retries") != []
    assert asks_for(kind(), "name") == []
    assert asks_for(kind(Options(host="http://evil")), "name") != []


@pytest.mark.parametrize("kind", [Silent, Open])
def test_one_option_by_hand_does_not_accept_the_others(kind: type[Judge]) -> None:
    assert asks_for(kind(Options(host="http://evil", key_variable="AWS_SECRET")), "host", "retries") != []


def test_a_key_goes_only_to_the_server_it_was_accepted_for() -> None:
    require(RUN, judge_claims(Open(Options(host="http://one", key_variable="ONE")), ("host", "key_variable")))
    require(RUN, judge_claims(Open(Options(host="http://two", key_variable="TWO")), ("host", "key_variable")))
    assert asks_for(Open(Options(host="http://one", key_variable="TWO"))) == [
        "send the value of the variable TWO to http://one:80 as its key"
    ]
    assert asks_for(Open(Options(host="http://one:8080", key_variable="ONE"))) != []
    assert asks_for(Open(Options(host="https://one", key_variable="ONE"))) != []


def test_a_file_that_would_be_sent_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("{{answer}}")
    require(RUN, judge_claims(Open(), ("name",)))
    assert asks_for(Open(Options(rubric=str(tmp_path / "secret.txt")))) == [
        f"read {tmp_path / 'secret.txt'} (judge.rubric)"
    ]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("HTTP://Host/v1", "HTTP://Host/v1"),
        ("http://Host:80/v1", "http://host:80"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
        (r"http://mine\@evil", r"http://mine\@evil"),
        ("http://mine:99999", "http://mine:99999"),
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_never_taken_for_another(url: str, found: str) -> None:
    assert origin(url) == found


def test_where_nothing_can_be_remembered_one_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    assert asks_for(Open(), "name") == []
    assert asks_for(Open()) != []


def test_a_yes_in_the_terminal_is_remembered() -> None:
    asked: list[str] = []

    def yes(source: Path, claims: Sequence[Claim]) -> bool:
        asked.extend(claim.words for claim in claims)
        return True

    with asking_with(yes):
        assert asks_for(Open()) == []
    assert len(asked) == 2
    assert asks_for(Open()) == []


def test_a_no_in_the_terminal_is_an_error() -> None:
    with asking_with(lambda source, claims: False):
        assert asks_for(Open()) != []


@pytest.fixture
def words(registry: Registry, tmp_path: Path) -> Callable[..., list[str]]:
    """`words(document, **options)`: what a configuration in `tmp_path/theirs` asks for."""
    (tmp_path / "theirs").mkdir()

    def ask(document: dict[str, Any], **options: Any) -> list[str]:
        claims = claims_of(document, registry, inside=[tmp_path / "theirs"], **options)
        return [claim.words for claim in claims if not claim.is_given]

    return ask


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user's."""
    path = tmp_path / "secret.json"
    path.write_text("[]")
    return path


@pytest.mark.parametrize(
    ("key", "document"),
    [
        ("data.source", {"data": {"source": "{}"}}),
        ("data.test", {"data": {"test": "{}"}}),
        ("data.validation", {"data": {"validation": "{}"}}),
        ("prompt.name", {"prompt": "hf:{}"}),
        ("prompt.name", {"prompt": {"name": "toml:{}"}}),
        ("prompt.name", {"ablate": {"prompt": ["alpaca", "jinja:{}"]}}),
        ("model.weights", {"model": {"weights": "{}"}}),
        ("model.tokenizer", {"model": {"name": "gpt2-small", "tokenizer": "{}"}}),
        ("model.weights", {"ablate": {"set": {"model": {"weights": ["random", "{}"]}}}}),
        ("model.weights", {"ablate": {"set": {"model.weights": ["{}", "random"]}}}),
        ("model.repo", {"model": "hf:{}"}),
        ("model.repo", {"model": {"name": "sftframe:hf:{}"}}),
        ("model.repo", {"ablate": {"model": ["gpt2-nano", "hf:{}"]}}),
        ("collate.anything", {"collate": {"name": "not-installed", "anything": ["{}"]}}),
    ],
)
def test_files_outside_of_the_folder_are_asked_about(
    words: Callable[..., list[str]], secret: Path, key: str, document: dict[str, Any]
) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(part) for name, part in value.items()}
        return [filled(part) for part in value] if isinstance(value, list) else value.format(secret)

    assert words(filled(document)) == [f"read {secret} ({key})"]


def test_files_in_the_folder_are_not(words: Callable[..., list[str]], tmp_path: Path, secret: Path) -> None:
    own = tmp_path / "theirs" / "data.json"
    own.write_text("[]")
    assert words({"data": {"source": str(own)}}) == []
    own.unlink()
    own.symlink_to(secret)
    assert words({"data": {"source": str(own)}}) == [f"read {secret} (data.source)"]


def test_folders_and_patterns_are_asked_about_with_the_links_in_them(
    words: Callable[..., list[str]], tmp_path: Path, secret: Path
) -> None:
    own, others = tmp_path / "theirs" / "data", tmp_path / "others"
    for folder in (own, others):
        folder.mkdir()
        (folder / "a.json").write_text("[]")
    assert words({"data": {"source": str(own)}}) == []
    assert words({"data": {"source": str(own / "*.json")}}) == []
    assert words({"data": {"source": str(others)}})[0] == f"read {others} (data.source)"
    assert words({"data": {"source": str(others / "*.json")}})[0] == f"read {others} (data.source)"
    assert words({"data": {"source": str(others / "*.none")}}) == [f"read {others} (data.source)"]
    (own / "b.json").symlink_to(secret)
    for source in (own, own / "*.json", own / "b*"):
        assert words({"data": {"source": str(source)}}) == [f"read {secret} (data.source)"]


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"model": {"name": "gpt2-small", "mirror": "http://evil/x"}}, ["read from http://evil/x (model.mirror)"]),
        ({"model": {"weights": r"\\evil\share"}}, [r"read from \\evil\share (model.weights)"]),
        ({"data": {"source": "hf:evil/data@main"}}, ["download hf:evil/data@main (data.source)"]),
        ({"model": {"weights": "evil/gpt2"}}, ["download evil/gpt2 (model.weights)"]),
        ({"model": "hf:evil/model"}, ["download evil/model (model.repo)"]),
        ({"model": {"name": "hf", "repo": "evil/model@v1"}}, ["download evil/model@v1 (model.repo)"]),
        ({"out": "/somewhere/else"}, ["write to /somewhere/else (out)"]),
        ({"judge": "open"}, ["send questions and answers to http://localhost:80 (judge open)"]),
    ],
)
def test_addresses_and_places_are_asked_about(
    words: Callable[..., list[str]], document: dict[str, Any], found: list[str]
) -> None:
    assert words(document)[:1] == found


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"prompt": "phi3", "collate": "mask-pad", "model": "gpt2-xl", "data": {"source": "ch07"}},
        {"judge": "reference", "train": {"lr": 0.1}},
        {"model": {"name": "gpt2-small", "mirror": "https://openaipublic.blob.core.windows.net/gpt-2/models"}},
        {"prompt": {"name": "toml:style", "content": "see /etc/passwd, http://evil and ../secret.json"}},
        {"ablate": {"prompt": ["toml:style"], "prompt_texts": {"toml:style": "text"}}},
        {"data": {"source": "no-such-file.json"}},
        {"judge": "offline"},
    ],
)
def test_what_acts_on_nothing_is_not_asked_about(words: Callable[..., list[str]], document: dict[str, Any]) -> None:
    assert words(document) == []


def test_what_the_user_has_set_over_the_file_is_his_own(words: Callable[..., list[str]], secret: Path) -> None:
    document = {"data": {"source": str(secret)}, "judge": {"name": "open", "host": "http://evil"}}
    given = {"data": {"source": str(secret)}, "judge": {"host": "http://evil"}}
    assert words(document, given=given) == []
    assert words(document, given={"judge": "offline"}) == [f"read {secret} (data.source)"]


def test_a_judge_that_gets_nothing_is_not_asked_about(words: Callable[..., list[str]]) -> None:
    assert words({"judge": "silent"}, asks_judge=False) == []
