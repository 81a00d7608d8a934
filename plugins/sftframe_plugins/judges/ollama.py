"""The judge that asks a language model on an Ollama server (https://ollama.com), Llama 3 by default.

The common work is in `language_model.py`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from sftframe import ConfigError, Contact, JudgeError, NetworkError, TooLargeError, find_route, http_transport, option
from sftframe_plugins.judges.calls import ServerError
from sftframe_plugins.judges.language_model import (
    LanguageModelJudge,
    LanguageModelOptions,
    Message,
    Reply,
    checked,
    no_connection,
    timed_out,
)
from sftframe_plugins.judges.replies import shorten

_LONGEST_TOKEN_BYTES = 128
"""No vocabulary in use has longer tokens (Llama 3's longest is a run of 128 spaces)."""

_TEMPLATE_TOKENS = 128
"""The most tokens that a chat template adds to two messages."""

_HALF_MARGIN = 8
"""A cut prompt has half the context, give or take this number of tokens: it also keeps the first few of the prompt."""


def check_before(messages: Sequence[Message], num_ctx: int) -> None:
    """Refuse to send more words than the context has tokens.

    Raises:
        ServerError: it cannot fit.
    """
    if least_tokens(messages) >= num_ctx:
        raise _does_not_fit(num_ctx, "it has too many words")


def check_after(messages: Sequence[Message], num_read: int | None, num_ctx: int) -> None:
    """Check a reply: Ollama silently cuts a prompt that does not fit; only the number of tokens shows it.

    It keeps half the context and a few tokens more, in older versions the whole context
    (https://github.com/ollama/ollama/issues/17427).

    Args:
        num_read: the tokens that the server says it read; None if it does not say.

    Raises:
        ServerError: the server cannot have read the whole prompt.
    """
    if num_read is None:
        return
    if num_read >= num_ctx:
        raise _does_not_fit(num_ctx, f"the server read {num_read} tokens")
    if is_sure_to_fit(messages, num_ctx):
        return
    if abs(num_read - num_ctx // 2) <= _HALF_MARGIN:
        raise _does_not_fit(num_ctx, f"the server read {num_read} tokens, the length of a prompt that it has cut")
    if 0 < num_read < least_tokens(messages):
        raise _does_not_fit(num_ctx, f"the server read {num_read} tokens, less than the prompt has words")


def is_sure_to_fit(messages: Sequence[Message], num_ctx: int) -> bool:
    """Whether the messages fit with any tokenizer: they have no more bytes than the context has tokens."""
    num_bytes = sum(len(message["content"].encode()) for message in messages)
    return num_bytes + _TEMPLATE_TOKENS <= num_ctx


def least_tokens(messages: Sequence[Message]) -> int:
    """The least number of tokens for the messages: no token spans two words, and none is very long."""
    texts = [message["content"] for message in messages]
    return sum(max(len(text.split()), len(text.encode()) // _LONGEST_TOKEN_BYTES) for text in texts)


def _does_not_fit(num_ctx: int, what: str) -> ServerError:
    reason = f"the prompt does not fit num_ctx={num_ctx}: {what}; set a larger judge.num_ctx"
    return ServerError(reason, is_final=True)


DEFAULT_HOST = "http://127.0.0.1:11434"
KEY_VARIABLE = "OLLAMA_API_KEY"
"""The client sends the value of this variable to every host."""

_CONNECT_S = 5.0
"""The longest wait for a connection; the reply may take longer."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a server reports about one of its models; None for what it does not report."""

    digest: str | None
    """SHA-256 of the model's manifest, hexadecimal."""
    context_length: int | None
    """The model's longest context in tokens; `num_ctx` cannot exceed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply(Reply):
    """A reply with what Ollama reports in addition."""

    num_prompt_tokens: int | None
    """Tokens of the prompt that the server says it read; None if it does not say."""


class OllamaServer:
    """A connection to one server, safe with several threads.

    Args:
        host: an address as in `OLLAMA_HOST`.
        timeout_s: the longest time without data during a call.

    Raises:
        ConfigError: `host` is not an address.
    """

    def __init__(self, host: str, timeout_s: float) -> None:
        import httpx
        import ollama

        self.host = host
        self._timeout_s = timeout_s
        self._route = find_route(host if "://" in host else f"http://{'127.0.0.1' if host[:1] == ':' else ''}{host}")
        try:
            timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S))
            self._client = ollama.Client(host=host, timeout=timeout, transport=http_transport())
        except (ValueError, httpx.InvalidURL) as error:
            example = f"expected something like {DEFAULT_HOST}"
            raise ConfigError(f"judge.host: {host!r} is not an address ({error}); {example}") from error

    @property
    def url(self) -> str:
        """The address of the server, as the client has read `host`."""
        return str(self._client._client.base_url).rstrip("/")

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._client.close()  # type: ignore[no-untyped-call]  # the client's own omission

    def model_names(self) -> list[str]:
        """The models that the server lists.

        Raises:
            ServerError: it cannot be reached, or does not answer like an Ollama server.
        """
        return [model.model for model in self._call(self._client.list).models if model.model]

    def find_model(self, name: str) -> Model | None:
        """The model of this name, by default its `:latest`; None if the server does not have it.

        Raises:
            ServerError: the server cannot be reached, or does not answer like an Ollama server.
        """
        listed = self.find_digest(name)
        try:
            details = self._call(lambda: self._client.show(name)).modelinfo
        except ServerError as error:
            if listed is None and error.is_final:
                return None
            details = None  # the model is there, but its details cannot be read
        return Model(digest=listed or None, context_length=_context_length(details or {}))

    def find_digest(self, name: str) -> str | None:
        """The digest of the model of this name; empty if the list gives none; None if the server does not have the
        model.

        Raises:
            ServerError: as `find_model` does.
        """
        for model in self._call(self._client.list).models:
            if model.model in (name, f"{name}:latest"):
                return (model.digest or "").removeprefix("sha256:")
        return None

    def chat(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        *,
        schema: Mapping[str, Any],
        options: Mapping[str, Any],
        keep_alive: str | None,
    ) -> ChatReply:
        """The model's reply, in the form of the JSON schema.

        Raises:
            ServerError: there is none.
        """
        response = self._call(
            lambda: self._client.chat(
                model, messages, format=dict(schema), options=dict(options), keep_alive=keep_alive, stream=False
            )
        )
        if response.done is False:
            raise ServerError(f"{self.host} sent a reply that is marked as not finished")
        if response.model and _full_name(response.model) != _full_name(model):
            raise ServerError(
                f"{self.host} answered with the model {shorten(response.model, 80)!r} instead of {model!r}",
                is_final=True,
            )
        return ChatReply(
            text=response.message.content or "",
            is_cut=response.done_reason == "length",
            num_prompt_tokens=response.prompt_eval_count,
        )

    def _call(self, call: Callable[[], Result]) -> Result:
        import httpx
        import ollama

        try:
            return call()
        except TooLargeError as error:
            raise ServerError(str(error), is_final=True) from error
        except NetworkError as error:
            raise ServerError(str(error), is_final=True, is_server_lost=True) from error
        except ollama.ResponseError as error:
            raise self._refusal(error.status_code, str(error.error)) from error
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise no_connection(f"{self.host}{self._route}") from error
        except httpx.TimeoutException as error:
            raise timed_out(f"{self.host}{self._route}", self._timeout_s) from error
        except httpx.HTTPError as error:
            raise ServerError(f"{self.host} closed the connection: {shorten(str(error))}") from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:  # the body is not a reply of Ollama's
            raw = str(getattr(error, "doc", ""))
            what = f"something that is not a reply of Ollama's: {shorten(raw or str(error), 80)}"
            raise ServerError(f"{self.host} sent {what}", status="unparsable", raw=raw) from error

    def _refusal(self, status_code: int, error: str) -> ServerError:
        return ServerError(
            f"{self.host}{self._route} refused: {shorten(error)} (HTTP {status_code})",
            is_final=400 <= status_code < 500,
            is_server_lost=status_code == 404,  # the model is not there (any more)
        )


def _full_name(model: str) -> str:
    """A model's name as Ollama completes it.

    >>> _full_name("llama3"), _full_name("registry.ollama.ai/library/Llama3:latest"), _full_name("me/llama3:8b")
    ('llama3:latest', 'llama3:latest', 'me/llama3:8b')
    """
    name = model.lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _context_length(details: Mapping[str, Any]) -> int | None:
    """The context length; the key begins with the architecture's name, as in `llama.context_length`."""
    lengths = [value for key, value in details.items() if key.endswith(".context_length")]
    return lengths[0] if lengths and isinstance(lengths[0], int) else None


_CHECK_S = 10.0
"""Even a busy server lists its models within this time."""

_REPLY_TOKENS = 256
"""The longest reply, in tokens: enough for one sentence and a number; it also ends replies that would never end."""

_NO_SERVER = "or use --judge reference, which needs no server"


@dataclass(frozen=True, kw_only=True)
class OllamaOptions(LanguageModelOptions):
    """What can be set with `--set judge.KEY=VALUE`."""

    model: str = option("llama3", "name of a model on the server", examples=["llama3:8b-instruct-q8_0"])
    host: str | tuple[str, ...] = option(
        "", f"server, or several that share the work (a list, or with commas); else OLLAMA_HOST, else {DEFAULT_HOST}"
    )
    num_ctx: int = option(4096, "context length that the server uses, tokens", ge=1)
    keep_alive: str | None = option(
        None, "how long the model stays loaded afterwards, for instance 10m; None = the server's default"
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The servers to ask, each once."""
        given = self.host if isinstance(self.host, str) else ",".join(self.host)
        named = (given or os.environ.get("OLLAMA_HOST") or DEFAULT_HOST).split(",")
        return tuple(dict.fromkeys(host.strip() for host in named if host.strip())) or (DEFAULT_HOST,)


class OllamaJudge(LanguageModelJudge):
    """Scores and preferences by a language model on one or several Ollama servers."""

    name = "ollama"
    summary = "scores by a language model on an Ollama server, Llama 3 by default"
    Options = OllamaOptions

    def __init__(self, options: OllamaOptions | None = None, *, sleep: Callable[[float], object] | None = None) -> None:
        super().__init__(options, sleep=sleep)
        self._digest: str | None = None
        self._dead_hosts: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """`ollama:MODEL@sha256:DIGEST#SETTINGS`: the digest after `check` has read it, as short as in `ollama list`."""
        digest = f"@sha256:{self._digest[:12]}" if self._digest else ""
        return f"ollama:{self.options.model}{digest}#{self.settings_mark(self.options.num_ctx, _REPLY_TOKENS)}"

    @property
    def contacts(self) -> Sequence[Contact]:
        """The hosts, as the client reads them; it sends the key, if there is one, to each of them."""
        key = KEY_VARIABLE if os.environ.get(KEY_VARIABLE) else ""
        found = []
        for host in self.options.hosts:
            with closing(OllamaServer(host, _CHECK_S)) as server:
                found.append(Contact(url=server.url, key_variable=key))
        return found

    def check(self) -> None:
        """Check the templates, and that the servers have the model, the same one everywhere, with enough context.

        Servers that cannot be reached are skipped with a warning, as long as one is left.

        Raises:
            ConfigError: a template cannot be used, or a host is not an address.
            JudgeError: there is no server or no such model, the servers' models differ, or `num_ctx` is above the
                model's context.
        """
        _ = self.scoring, self.comparing
        models: dict[str, Model] = {}
        lost: dict[str, ServerError] = {}
        for host in self.options.hosts:
            limit_s = min(self.options.timeout_s, _CHECK_S)
            with closing(OllamaServer(host, limit_s)) as server:
                try:
                    models[host] = checked(host, limit_s, partial(self._find_model, server))
                except ServerError as error:
                    lost[host] = error
        if not models:
            reasons = "; ".join(loss.reason for loss in lost.values())
            start = "" if all(loss.is_final for loss in lost.values()) else "start it with 'ollama serve', "
            where = "set another with --set judge.host=ADDRESS (or OLLAMA_HOST)"
            raise JudgeError(f"no Ollama server: {reasons}: {start}{where}, {_NO_SERVER}")
        for loss in lost.values():
            warnings.warn(
                f"judge ollama: {loss.reason}; it is skipped, and tried again later", RuntimeWarning, stacklevel=2
            )
        self._check_models(models)
        self._dead_hosts = tuple(lost)
        self._digest = next(iter(models.values())).digest

    def _find_model(self, server: OllamaServer) -> Model:
        name = self.options.model
        model = server.find_model(name)
        if model is None:
            others = ", ".join(server.model_names()) or "none"
            raise JudgeError(
                f"no model {name!r} on the Ollama server {server.host} (it has: {others}): get it with "
                f"'ollama pull {name}', set another with --set judge.model=NAME, {_NO_SERVER}"
            )
        return model

    def _check_models(self, models: Mapping[str, Model]) -> None:
        name, num_ctx = self.options.model, self.options.num_ctx
        if len({model.digest for model in models.values()}) > 1:
            found = ", ".join(f"{host} has {(model.digest or 'unknown')[:12]}" for host, model in models.items())
            raise JudgeError(f"the servers have different models {name!r} ({found}): pull the same one on all of them")
        for host, model in models.items():
            if model.context_length is not None and model.context_length < num_ctx:
                raise JudgeError(
                    f"judge.num_ctx is {num_ctx}, but {name!r} on {host} has a context of {model.context_length} "
                    f"tokens: prompts would be cut silently; set judge.num_ctx={model.context_length}"
                )

    def server_names(self) -> Sequence[str]:
        """The hosts."""
        return self.options.hosts  # type: ignore[no-any-return]  # options are Any to a component

    def dead_server_names(self) -> Sequence[str]:
        """The hosts that could not be reached in the check."""
        return self._dead_hosts

    def connect(self, name: str, tell: Callable[[str], object]) -> _CheckedServer:
        """The server on this host."""
        return _CheckedServer(OllamaServer(name, self.options.timeout_s), self.options, self._digest)


class _CheckedServer:
    """A server whose replies count only if they come from the checked model and from the whole prompt.

    Args:
        digest: the model's digest; None if the server gave none.
    """

    def __init__(self, server: OllamaServer, options: OllamaOptions, digest: str | None) -> None:
        self._server = server
        self._options = options
        self._digest = digest

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        """The model's reply.

        Raises:
            ServerError: there is none, or it cannot be used.
        """
        options = self._options
        check_before(messages, options.num_ctx)
        reply = self._server.chat(
            options.model,
            messages,
            schema=schema,
            options={
                "temperature": options.temperature,
                "seed": options.seed,
                "num_ctx": options.num_ctx,
                "num_predict": _REPLY_TOKENS,
            },
            keep_alive=options.keep_alive,
        )
        check_after(messages, reply.num_prompt_tokens, options.num_ctx)
        if self._digest is not None:
            self._check_same_model(self._digest)
        return reply

    def _check_same_model(self, digest: str) -> None:
        """Check the model by the server's list: a chat's reply has no digest."""
        name, host = self._options.model, self._server.host
        try:
            found = self._server.find_digest(name)
        except ServerError:
            return  # the reply is complete; if the server is lost, the next call shows it
        if found is None:
            raise _lost(f"the model {name!r} was removed from {host} during judging")
        if found != digest:
            changed = f"was {digest[:12]} and is {found[:12] or 'unknown'} now"
            raise _lost(
                f"the model {name!r} on {host} has changed during judging: it {changed}; run the same command again"
            )

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._server.close()


def _lost(reason: str) -> ServerError:
    return ServerError(reason, is_final=True, is_server_lost=True)
