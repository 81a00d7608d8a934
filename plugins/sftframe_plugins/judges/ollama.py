"""The judge that asks a language model on an Ollama server (https://ollama.com), Llama 3 by default.

The common work is in `language_model.py`, Ollama's protocol and errors in `ollama_server.py`, the check for prompts
that do not fit in `context.py`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from sftframe import Contact, JudgeError, option
from sftframe_plugins.judges.calls import CallError
from sftframe_plugins.judges.context import check_after, check_before
from sftframe_plugins.judges.language_model import LanguageModelJudge, LanguageModelOptions, Reply, checked
from sftframe_plugins.judges.ollama_server import DEFAULT_HOST, KEY_VARIABLE, Model, OllamaServer
from sftframe_plugins.judges.template import Message

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
        lost: dict[str, CallError] = {}
        for host in self.options.hosts:
            limit_s = min(self.options.timeout_s, _CHECK_S)
            with closing(OllamaServer(host, limit_s)) as server:
                try:
                    models[host] = checked(host, limit_s, partial(self._find_model, server))
                except CallError as error:
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
            CallError: there is none, or it cannot be used.
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
        except CallError:
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


def _lost(reason: str) -> CallError:
    return CallError(reason, is_final=True, is_server_lost=True)
