"""The judge that asks a language model on any server with OpenAI's chat completions: hosted, or your own.

vLLM, llama.cpp, LM Studio, Ollama and the hosted APIs have them. The common work is in `language_model.py`, the
protocol and its errors in `openai_server.py`, the differences between servers in `agreement.py`. The key comes from the
environment and goes only to the server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

from sftframe import ConfigError, Contact, JudgeError, option
from sftframe_plugins.judges.agreement import Agreement, ChatSettings
from sftframe_plugins.judges.calls import CallError
from sftframe_plugins.judges.language_model import LanguageModelJudge, LanguageModelOptions, checked
from sftframe_plugins.judges.openai_server import DEFAULT_BASE_URL, OpenAIServer

_CHECK_S = 20.0
_MOST_LISTED = 12
"""Hosted servers have hundreds of models."""

_PROBE = [{"role": "user", "content": "Reply with the JSON object {}."}]
_EMPTY_SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@dataclass(frozen=True, kw_only=True)
class OpenAIOptions(LanguageModelOptions):
    """What can be set with `--set judge.KEY=VALUE`."""

    model: str = option("gpt-4o-mini", "name of a model on the server")
    base_url: str = option(
        "",
        f"the server's address with its version; else OPENAI_BASE_URL, else {DEFAULT_BASE_URL}",
        examples=["http://127.0.0.1:8000/v1"],
    )
    key_variable: str = option(
        "OPENAI_API_KEY", "environment variable with the key; not needed if the server needs no key"
    )
    max_tokens: int = option(256, "longest reply, tokens; models that think before they reply need more", ge=16)
    concurrency: int = option(4, "parallel calls", ge=1, le=256)
    response_format: Literal["json_schema", "json_object", "text"] = option(
        "json_schema", "how the reply's form is requested; if the server refuses one, the next one is tried"
    )

    def __post_init__(self) -> None:
        """Refuse secrets in options, which are written to files.

        Raises:
            ConfigError: an option may be a secret; the message does not repeat it.
        """
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_variable):
            raise ConfigError(
                "judge.key_variable is not the name of an environment variable: put the key itself into a variable, "
                "for instance OPENAI_API_KEY, and never into a configuration"
            )
        _check_address(self.base_url, "judge.base_url")

    @property
    def url(self) -> str:
        """The server to ask."""
        from_environment = os.environ.get("OPENAI_BASE_URL", "").strip()
        _check_address(from_environment, "OPENAI_BASE_URL")
        return (self.base_url or from_environment or DEFAULT_BASE_URL).rstrip("/")


def _check_address(url: str, where: str) -> None:
    """Refuse a text that is not an address, and an address with a secret; messages do not repeat them."""
    expected = "expected something like http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        is_address = parts.port != 0 and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        raise ConfigError(f"{where} is not an address; {expected}") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            f"{where} contains a user, a password or a query, which would be written to files; {expected}"
        )
    if url and not is_address:
        raise ConfigError(f"{where} is not an address; {expected}")


class OpenAIJudge(LanguageModelJudge):
    """Scores and preferences by a language model on an OpenAI-compatible server."""

    name = "openai"
    summary = "scores by a language model on any OpenAI-compatible server (vLLM, llama.cpp, LM Studio, hosted)"
    Options = OpenAIOptions

    def __init__(self, options: OpenAIOptions | None = None, *, sleep: Callable[[float], object] | None = None) -> None:
        super().__init__(options, sleep=sleep)
        self._agreement = Agreement(
            ChatSettings(
                model=self.options.model,
                temperature=self.options.temperature,
                seed=self.options.seed,
                max_tokens=self.options.max_tokens,
                form=self.options.response_format,
            )
        )

    @property
    def identity(self) -> str:
        """`openai:MODEL@SERVER#SETTINGS`; such servers report no digest, so the name must be enough."""
        options = self.options
        mark = self.settings_mark(options.url, options.max_tokens, options.response_format)
        return f"openai:{options.model}@{urlsplit(options.url).netloc}#{mark}"

    @property
    def contacts(self) -> Sequence[Contact]:
        """The one server; it gets the key, if there is one."""
        return (Contact(url=self.options.url, key_variable=self.options.key_variable),)

    def check(self) -> None:
        """Check the templates, and that the server is there, accepts the key and has the model.

        It costs nothing, or a reply of a few tokens if the server has no list of its models.

        Raises:
            ConfigError: a template or an address cannot be used, or the package `openai` is missing.
            JudgeError: there is no server, no accepted key, or no such model.
        """
        _ = self.scoring, self.comparing
        limit_s = min(self.options.timeout_s, _CHECK_S)
        with closing(self._server(limit_s, lambda sentence: None)) as server:
            try:
                checked(server.base_url, limit_s, partial(self._check_model, server))
            except CallError as error:
                raise JudgeError(
                    f"judge openai cannot work: {error.reason}; check --set judge.base_url=ADDRESS (with its version, "
                    f"mostly /v1) and the key in {self.options.key_variable}, or use --judge reference, which needs no "
                    "server"
                ) from None

    def _check_model(self, server: OpenAIServer) -> None:
        name = self.options.model
        names = server.model_names()
        if not names:  # no list, or an empty one: some servers load models that they do not list
            _probe(server)
        elif name not in names and not server.has_model(name):
            shown = ", ".join(names[:_MOST_LISTED]) or "none"
            more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
            raise JudgeError(
                f"no model {name!r} at {server.base_url} (it has: {shown}{more}): set another with --set "
                "judge.model=NAME, or use --judge reference, which needs no server"
            )

    def server_names(self) -> Sequence[str]:
        """The one server."""
        return (self.options.url,)

    def connect(self, name: str, tell: Callable[[str], object]) -> OpenAIServer:
        """The server, with the key."""
        return self._server(self.options.timeout_s, tell)

    def _server(self, timeout_s: float, tell: Callable[[str], object]) -> OpenAIServer:
        return OpenAIServer(self.options.url, self._key(), timeout_s, self._agreement, tell)

    def _key(self) -> str:
        """The key from the environment, read again each time; it is kept nowhere.

        Raises:
            JudgeError: there is none and the server is OpenAI's, or it contains characters that no key has.
        """
        variable = self.options.key_variable
        key = os.environ.get(variable, "").strip()
        if not key and self.options.url == DEFAULT_BASE_URL:
            raise JudgeError(
                f"judge openai needs a key for {DEFAULT_BASE_URL}: set the environment variable {variable}, set "
                "another server with --set judge.base_url=ADDRESS, or use --judge reference, which needs no server"
            )
        if not (key.isascii() and key.isprintable()):
            raise JudgeError(f"{variable} contains characters that no key has, such as a line break: set it again")
        return key


def _probe(server: OpenAIServer) -> None:
    """Ask for one reply, and raise only errors that every item would meet: temporary errors are left to retries."""
    try:
        server.ask(_PROBE, _EMPTY_SCHEMA)
    except CallError as error:
        if error.is_final or error.is_server_lost:
            raise
