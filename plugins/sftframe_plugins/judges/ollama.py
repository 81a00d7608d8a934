"""The judge that asks a language model on an Ollama server (https://ollama.com), Llama 3 by default.

Takes items, gives a verdict on each, whatever the servers do: one that could not be had says why. What is asked stands
in `question.py`, how a reply is read in `reply.py`, retries and concurrency in `calls.py`, Ollama's protocol and errors
in `ollama_server.py`; here they come together, with the check that must pass before anything is spent.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Literal

from sftframe import Judge, JudgeError, JudgeItem, Verdict, option
from sftframe_plugins.judges.calls import CallError, Servers, in_order, with_patience
from sftframe_plugins.judges.ollama_server import DEFAULT_HOST, Model, OllamaServer, Reply
from sftframe_plugins.judges.question import (
    INSTRUCTIONS,
    REPLY_SCHEMA,
    REPLY_TOKENS,
    chat_messages,
    is_sure_to_fit,
    least_tokens,
)
from sftframe_plugins.judges.reply import UnparsableError, parse_reply

_CHECK_S = 10.0
"""A server lists its models within this time, even while it is busy."""

_NO_SERVER = "or use --judge reference, which needs no server"


@dataclass(frozen=True, kw_only=True)
class OllamaOptions:
    """What can be set with `--set judge.KEY=VALUE`."""

    model: str = option("llama3", "name of a model on the server", examples=["llama3:8b-instruct-q8_0"])
    host: str = option("", f"server, or several with commas between; by default OLLAMA_HOST, else {DEFAULT_HOST}")
    temperature: float = option(0.0, "0 = the likeliest reply", ge=0)
    seed: int = option(123, "of the sampling")
    timeout_s: float = option(120.0, "longest silence of a server during a call, seconds", gt=0)
    concurrency: int = option(1, "calls under way at a time, per server", ge=1, le=256)
    retries: int = option(3, "further attempts at an item after a failure that may pass", ge=0, le=20)
    num_ctx: int = option(4096, "context that the server makes room for, tokens", ge=1)
    keep_alive: str | None = option(
        None, "how long the model stays loaded afterwards, for instance 10m; None = server's"
    )
    parse: Literal["strict", "lenient"] = option("strict", "lenient also reads a score out of prose, and says so")
    template: str = option("", "instructions to the judge; by default the built-in ones")

    @property
    def hosts(self) -> tuple[str, ...]:
        """The servers to ask, each once."""
        named = (self.host or os.environ.get("OLLAMA_HOST") or DEFAULT_HOST).split(",")
        return tuple(dict.fromkeys(host.strip() for host in named if host.strip())) or (DEFAULT_HOST,)

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits over all that can change a verdict besides the model."""
        asked = [self.template or INSTRUCTIONS, REPLY_SCHEMA, self.temperature, self.seed, self.num_ctx, self.parse]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


class OllamaJudge(Judge):
    """Scores by a language model on one or several Ollama servers.

    Args:
        sleep: waits so many seconds between two attempts; by default until somebody interrupts, at the longest.
    """

    name = "ollama"
    summary = "scores by a language model on an Ollama server, Llama 3 by default"
    Options = OllamaOptions

    def __init__(self, options: OllamaOptions | None = None, *, sleep: Callable[[float], object] | None = None) -> None:
        super().__init__(options)
        self._sleep = sleep
        self._digest: str | None = None
        self._hosts: tuple[str, ...] = self.options.hosts

    @property
    def identity(self) -> str:
        """`ollama:MODEL@sha256:DIGEST#SETTINGS`: the digest once `check` has read it, cut as `ollama list` cuts it."""
        digest = f"@sha256:{self._digest[:12]}" if self._digest else ""
        return f"ollama:{self.options.model}{digest}#{self.options.fingerprint}"

    def check(self) -> None:
        """See that a server is there and has the model, the same one everywhere, with enough context.

        Servers that cannot be reached are left out with a warning as long as one is left.

        Raises:
            JudgeError: no server, no such model, several models of this name, or `num_ctx` beyond the model's context.
        """
        models: dict[str, Model] = {}
        lost: dict[str, CallError] = {}
        for host in self.options.hosts:
            with closing(OllamaServer(host, min(self.options.timeout_s, _CHECK_S))) as server:
                try:
                    models[host] = self._find_model(server)
                except CallError as error:
                    lost[host] = error
        if not models:
            reasons = "; ".join(loss.reason for loss in lost.values())
            where = "name another with --set judge.host=ADDRESS (or OLLAMA_HOST)"
            raise JudgeError(f"no Ollama server: {reasons}: start it with 'ollama serve', {where}, {_NO_SERVER}")
        for loss in lost.values():
            warnings.warn(f"judge ollama: {loss.reason}; it is left out", RuntimeWarning, stacklevel=2)
        self._check_models(models)
        self._hosts = tuple(models)
        self._digest = next(iter(models.values())).digest

    def _find_model(self, server: OllamaServer) -> Model:
        name = self.options.model
        model = server.find_model(name)
        if model is None:
            others = ", ".join(server.model_names()) or "none"
            raise JudgeError(
                f"no model {name!r} on the Ollama server {server.host} (it has: {others}): get it with "
                f"'ollama pull {name}', name another with --set judge.model=NAME, {_NO_SERVER}"
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
                    f"tokens: prompts would be cut without a word; set judge.num_ctx={model.context_length}"
                )

    def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """One verdict per item, in order; `concurrency` calls are under way on each server at a time.

        Closing the iterator, or an interrupt, ends the work at once.
        """
        stop = threading.Event()
        with ExitStack() as stack:
            servers = {host: OllamaServer(host, self.options.timeout_s) for host in self._hosts}
            for server in servers.values():
                stack.callback(server.close)
            shared = Servers(list(servers))

            def judge(item: JudgeItem) -> Verdict:
                return self._judge(item, servers, shared, stop)

            num_threads = self.options.concurrency * len(servers)
            yield from in_order(judge, items, num_threads=num_threads, stop=stop)

    def _judge(
        self, item: JudgeItem, servers: Mapping[str, OllamaServer], shared: Servers, stop: threading.Event
    ) -> Verdict:
        def wait(seconds: float) -> None:
            (self._sleep or stop.wait)(seconds)
            if stop.is_set():
                raise CallError("interrupted", is_final=True)

        try:
            return with_patience(
                lambda host: self._ask(item, servers[host]), shared, retries=self.options.retries, wait=wait
            )
        except CallError as error:
            return Verdict(
                index=item.index,
                status=error.status,
                score=None,
                reason=error.reason,
                raw=_kept(error.raw),
                judge=self.identity,
            )

    def _ask(self, item: JudgeItem, server: OllamaServer) -> Verdict:
        options = self.options
        messages = chat_messages(item, options.template or INSTRUCTIONS)
        if least_tokens(messages) >= options.num_ctx:
            raise self._does_not_fit("it has too many words")
        reply = server.chat(
            options.model,
            messages,
            schema=REPLY_SCHEMA,
            options={
                "temperature": options.temperature,
                "seed": options.seed,
                "num_ctx": options.num_ctx,
                "num_predict": REPLY_TOKENS,
            },
            keep_alive=options.keep_alive,
        )
        self._check_fit(messages, reply)
        try:
            score, reason = parse_reply(reply.text, lenient=options.parse == "lenient")
        except UnparsableError as error:
            cut = f" (cut off after {REPLY_TOKENS} tokens)" if reply.is_cut else ""
            raise CallError(f"{error}{cut}", status="unparsable", raw=reply.text) from error
        return Verdict(
            index=item.index, status="ok", score=score, reason=reason, raw=_kept(reply.text), judge=self.identity
        )

    def _check_fit(self, messages: Sequence[Mapping[str, str]], reply: Reply) -> None:
        """Ollama cuts a prompt that does not fit and says nothing; only the number of tokens gives it away.

        What it leaves is half the context and a few tokens more, in older versions the whole context
        (https://github.com/ollama/ollama/issues/17427).
        """
        num_read, num_ctx = reply.num_prompt_tokens, self.options.num_ctx
        if num_read is None:
            return
        if num_read >= num_ctx:
            raise self._does_not_fit(f"the server read {num_read} tokens")
        if is_sure_to_fit(messages, num_ctx):
            return
        if abs(num_read - num_ctx // 2) <= _HALF_MARGIN:
            raise self._does_not_fit(f"the server read {num_read} tokens, what it leaves of a prompt that is too long")
        if 0 < num_read < least_tokens(messages):
            raise self._does_not_fit(f"the server read {num_read} tokens, less than the prompt has words")

    def _does_not_fit(self, what: str) -> CallError:
        return CallError(
            f"the prompt does not fit num_ctx={self.options.num_ctx}: {what}; set a larger judge.num_ctx", is_final=True
        )


_HALF_MARGIN = 8
"""Tokens around half the context that a cut prompt may have: it keeps the first few of the prompt besides."""

_MAX_RAW = 2000


def _kept(raw: str) -> str:
    """What is kept of the judge's words: the first 2,000 characters, without half ones, which cannot be written."""
    return raw.encode("utf-8", "replace").decode()[:_MAX_RAW]
