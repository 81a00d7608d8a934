"""The judge that asks a language model on any server with OpenAI's chat completions: hosted, or your own.

vLLM, llama.cpp, LM Studio, Ollama and the hosted APIs have them. The common work is in `language_model.py`. The key
comes from the environment and goes only to the server.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from sftframe import ConfigError, Contact, JudgeError, NetworkError, TooLargeError, find_route, http_client, option
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

Form = Literal["json_schema", "json_object", "text"]
"""How the form of a reply is requested, the strictest first; with `text` only the prompt asks for it."""

_WEAKER: Mapping[Form, Form] = {"json_schema": "json_object", "json_object": "text"}

_SIGNS = {
    "max_tokens": ("max_tokens",),
    "temperature": ("temperature",),
    "seed": ("seed",),
    "response_format": ("response_format", "json_schema", "json_object", "schema", "grammar", "guided"),
}
"""Words that show which parameter a refusal means, if it does not name one."""

_ABOUT_THE_PROMPT = ("context", "too long")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """Settings of every request; None = not sent, since it was refused."""

    model: str
    temperature: float | None
    seed: int | None
    max_tokens: int
    form: Form
    limit_name: str = "max_tokens"
    """The server's name for the longest reply."""

    def parameters(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of the request."""
        wanted: dict[str, Any] = {
            "model": self.model,
            "temperature": self.temperature,
            "seed": self.seed,
            self.limit_name: self.max_tokens,
            "response_format": _response_format(self.form, schema),
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def without(self, parameter: str) -> ChatSettings | None:
        """The settings to try after this parameter was refused; None if there is nothing else to try.

        >>> wanted = ChatSettings(model="m", temperature=0, seed=None, max_tokens=9, form="json_object")
        >>> wanted.without("response_format").form, wanted.without("temperature").temperature, wanted.without("seed")
        ('text', None, None)
        """
        if parameter == "max_tokens" == self.limit_name:
            return replace(self, limit_name="max_completion_tokens")
        if parameter == "temperature" and self.temperature is not None:
            return replace(self, temperature=None)
        if parameter == "seed" and self.seed is not None:
            return replace(self, seed=None)
        if parameter == "response_format" and self.form in _WEAKER:
            return replace(self, form=_WEAKER[self.form])
        return None


def _response_format(form: Form, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    if form == "json_schema":
        return {"type": form, "json_schema": {"name": "verdict", "strict": True, "schema": dict(schema)}}
    return {"type": form} if form == "json_object" else None


def refused_parameter(message: str, named: str | None) -> str | None:
    """The parameter that a refusal means; None if it is about the prompt.

    A refusal that does not show it is taken to mean the form of the reply: servers differ most in that.

    Args:
        message: the server's message.
        named: what the server itself calls `param`, if it does.

    >>> refused_parameter("Unsupported value: does not support 0 with this model.", "temperature")
    'temperature'
    >>> refused_parameter("guided decoding is off", None), refused_parameter("maximum context length is 512", None)
    ('response_format', None)
    """
    text = f"{named or ''} {message}".lower()
    if any(word in text for word in _ABOUT_THE_PROMPT):
        return None
    for where in ((named or "").lower(), text):
        for parameter, signs in _SIGNS.items():
            if any(sign in where for sign in signs):
                return parameter
    return "response_format"


class Agreement:
    """What is known about one server: the settings that it accepts and the model that answers. Safe with several
    threads.
    """

    def __init__(self, wanted: ChatSettings) -> None:
        self._wanted = wanted
        self._settings = wanted
        self._is_proven = False
        self._served: str | None = None
        self._is_listed: bool | None = None
        self._lock = threading.Lock()

    @property
    def settings(self) -> ChatSettings:
        """The settings to use now."""
        return self._settings

    @property
    def is_proven(self) -> bool:
        """Whether the server has answered with these settings; later refusals do not change them."""
        return self._is_proven

    def note_accepted(self, settings: ChatSettings) -> str | None:
        """Note that the server has answered with these settings. Returns a message if they differ from the wanted."""
        with self._lock:
            if self._is_proven:
                return None
            self._settings, self._is_proven = settings, True
        return _difference(self._wanted, settings)

    def note_served(self, model: str) -> str:
        """Note which model has answered, by the server's own word. Returns the model that answered first."""
        with self._lock:
            self._served = self._served or model
            return self._served

    @property
    def is_listed(self) -> bool | None:
        """Whether the server lists both the model that was asked and the model that answered.

        None if that is not known yet.
        """
        return self._is_listed

    def note_listed(self, is_listed: bool) -> bool:
        """Note whether it lists both. Returns whether to report that it does not."""
        with self._lock:
            is_first, self._is_listed = self._is_listed is None, is_listed
            return is_first and not is_listed


def is_same_model(asked: str, served: str) -> bool:
    """Whether the model in a reply is the one that was asked, by its own name or the name of a dated snapshot.

    >>> is_same_model("gpt-4o", "gpt-4o-2024-08-06"), is_same_model("gpt-4o", "gpt-4o-mini")
    (True, False)
    >>> is_same_model("claude-latest", "claude-20241022"), is_same_model("openai/gpt-4", "gpt-4-0613")
    (True, True)
    >>> is_same_model("gpt-4-0314", "gpt-4-0613")
    False
    """
    (name, date), (other, other_date) = _dated(asked), _dated(served)
    return name == other and (date == other_date or not (date and other_date))


def _dated(model: str) -> tuple[str, str]:
    """A model's own name, and the date of its snapshot; empty if it has none, or is the latest."""
    name = re.sub(r"[-:@]latest$", "", model.lower().rpartition("/")[2])
    dated = re.fullmatch(r"(.+)[-:@](\d{4}-\d{2}-\d{2}|\d{8}|\d{4})", name)
    return (dated[1], dated[2]) if dated else (name, "")


def _difference(wanted: ChatSettings, settings: ChatSettings) -> str | None:
    changes = []
    if settings.form != wanted.form:
        changes.append(
            f"response_format {wanted.form} (sftframe uses {settings.form} instead; replies are read as before)"
        )
    changes += [
        f"{name} (left out)" for name in ("temperature", "seed") if getattr(settings, name) != getattr(wanted, name)
    ]
    return f"refuses {', '.join(changes)}" if changes else None


DEFAULT_BASE_URL = "https://api.openai.com/v1"

_CONNECT_S = 5.0
"""The longest wait for a connection; the reply may take longer."""

_LONGEST_WAIT_S = 60.0
"""The longest wait for a server, even if its `Retry-After` is longer."""

_BUSY = (408, 409, 425, 429)
"""Temporary refusals: timeout, conflict, too early, too many requests."""

_KEY_REFUSED = (401, 403)

_CUT = ("length", "max_tokens", "model_length")
"""The servers' names for the end of a reply at its longest length."""

_BROKEN_OFF = ("content_filter", "error", "abort")
"""The servers' names for the end of a reply that was stopped."""

_SHORTEST_SECRET = 8
"""In characters. A shorter value (`none`, `EMPTY`) means no key, and may be a word of a reply."""

Result = TypeVar("Result")


class _RefusalError(ServerError):
    """An HTTP error, and what it means."""

    status_code = 0
    parameter: str | None = None
    """The parameter that the server refuses."""


class OpenAIServer:
    """A connection to one server, safe with several threads.

    Args:
        base_url: with the version, for instance `http://127.0.0.1:8000/v1`.
        key: the key that the server needs; empty if it needs none.
        timeout_s: the longest time without data during a call.
        agreement: the settings of the requests.
        tell: called with a sentence for the user, for instance if the server refuses a setting.

    Raises:
        ConfigError: the package `openai` is missing, or `base_url` is not an address.
    """

    def __init__(
        self, base_url: str, key: str, timeout_s: float, agreement: Agreement, tell: Callable[[str], object]
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise ConfigError("judge openai needs the package openai: pip install 'sftframe[openai]'") from error
        self.base_url = base_url
        self._key = key
        self._timeout_s = timeout_s
        self._agreement = agreement
        self._tell = tell
        self._route = find_route(base_url)
        timeout = openai.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S))
        client: Any = http_client(timeout_s=timeout_s)  # of httpx or of its successor: openai accepts both
        self._client = openai.OpenAI(
            base_url=base_url, api_key=key or "none", max_retries=0, timeout=timeout, http_client=client
        )

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._client.close()

    def model_names(self) -> list[str] | None:
        """The models that the server lists; None if it is there but has no list.

        Raises:
            ServerError: it cannot be reached, or does not take the key.
        """
        try:
            return [self._safe(str(model.id)) for model in self._call(lambda: self._client.models.list().data)]
        except _RefusalError as refusal:
            if refusal.status_code in _KEY_REFUSED:
                raise
            return None

    def has_model(self, name: str) -> bool:
        """Whether the server knows a model, even if it does not list it.

        Raises:
            ServerError: it cannot be reached, or does not take the key.
        """
        try:
            return bool(self._call(lambda: self._client.models.retrieve(name).id))
        except _RefusalError as refusal:
            if refusal.is_final:
                return False
            raise

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        """The model's reply, in the form of the JSON schema if the server can enforce it.

        A server that refuses a parameter is asked again without it, until it has answered once.

        Raises:
            ServerError: there is none, or another model has answered than before.
        """
        settings = self._agreement.settings
        while True:
            try:
                completion = self._complete(messages, settings.parameters(schema))
            except _RefusalError as refusal:
                other = settings.without(refusal.parameter) if refusal.parameter else None
                if other is None or (self._agreement.is_proven and settings == self._agreement.settings):
                    raise
                settings = other
                continue
            if sentence := self._agreement.note_accepted(settings):
                self._tell(f"{self.base_url} {sentence}")
            return completion

    def _complete(self, messages: Sequence[Message], parameters: Mapping[str, Any]) -> Reply:
        def read() -> tuple[str, str, str]:
            create: Any = self._client.chat.completions.create  # its types know only OpenAI's own roles and models
            completion = create(messages=list(messages), **parameters)
            choice = completion.choices[0]
            text = choice.message.content or getattr(choice.message, "refusal", None) or ""
            if not isinstance(text, str):
                raise TypeError(f"the content is no text but {text!r}")
            return self._safe(text), self._safe(str(completion.model or "")), str(choice.finish_reason or "")

        text, model, end = self._call(read)
        if end in _BROKEN_OFF:
            raise ServerError(f"{self.base_url} stopped the reply: finish_reason is {end!r}", raw=text)
        if model:
            self._check_served(model, str(parameters["model"]))
        return Reply(text=text, is_cut=end in _CUT)

    def _check_served(self, model: str, asked: str) -> None:
        """Check by its name that the model that answered is the one that was asked.

        If the server lists both names, they are two models. A name that it does not list may be the model's real name,
        and the asked name an alias.

        Raises:
            ServerError: another model has answered, or not the same one as before.
        """
        served = self._agreement.note_served(model)
        if model != served:
            raise ServerError(
                f"{self.base_url} answers with the model {model!r} now, and answered with {served!r} before",
                is_final=True,
            )
        if is_same_model(asked, model):
            return
        if self._agreement.is_listed is None:
            try:
                names = self.model_names() or ()
            except ServerError:
                names = ()  # the reply is complete; if the server is lost, the next call shows it
            if self._agreement.note_listed(asked in names and model in names):
                self._tell(f"{self.base_url} answers as {model!r} to {asked!r}: taken as an alias of it")
        if self._agreement.is_listed:
            raise ServerError(
                f"{self.base_url} answered with the model {model!r} instead of {asked!r}, and lists both: set the one "
                "that you mean with --set judge.model=NAME",
                is_final=True,
            )

    def _call(self, call: Callable[[], Result]) -> Result:
        import openai

        try:
            return call()
        except openai.APIStatusError as error:
            raise self._refusal(error) from None  # the client's own error may quote the key
        except openai.APIConnectionError as error:
            raise self._loss(error, error.__cause__) from None
        except NetworkError as error:
            raise self._loss(error, error) from None
        except (openai.OpenAIError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            raw = self._safe(str(getattr(error, "doc", "")))
            what = f"something that is not a reply of such a server: {shorten(raw or self._safe(str(error)), 80)}"
            raise ServerError(f"{self.base_url} sent {what}", status="unparsable", raw=raw) from None

    def _refusal(self, error: Any) -> _RefusalError:
        """The error for the client's `APIStatusError`."""
        code, message = error.status_code, self._safe(_words(error))
        refusal = _RefusalError(
            f"{self.base_url}{self._route} refused: {shorten(message)} (HTTP {code})",
            is_final=400 <= code < 500 and (code not in _BUSY or error.code == "insufficient_quota"),
            wait_s=_retry_after(error.response.headers.get("retry-after", "")),
        )
        refusal.status_code = code
        if code in (400, 422):
            refusal.parameter = refused_parameter(message, error.param)
        return refusal

    def _loss(self, error: Exception, cause: BaseException | None) -> ServerError:
        """The error for the client's `APIConnectionError`; its cause, an error of httpx, says what happened."""
        kind, where = type(cause).__name__, f"{self.base_url}{self._route}"
        if isinstance(cause, NetworkError):
            is_lost = not isinstance(cause, TooLargeError)
            return ServerError(self._safe(str(cause)), is_final=True, is_server_lost=is_lost)
        if kind in ("ConnectError", "ConnectTimeout"):
            return no_connection(where)
        if "Timeout" in kind or "Timeout" in type(error).__name__:
            return timed_out(where, self._timeout_s)
        text = self._safe(str(cause or error))
        return ServerError(f"{self.base_url} closed the connection: {shorten(text)}")

    def _safe(self, text: str) -> str:
        """The text without the key, in case the server has put it there."""
        return text.replace(self._key, "[key]") if len(self._key) >= _SHORTEST_SECRET else text


def _words(error: Any) -> str:
    """The text of a refusal: OpenAI's `message`, or what the server sends instead."""
    body = error.body if isinstance(error.body, Mapping) else {"message": error.body}
    return str(body.get("message") or body.get("detail") or error.response.text or error.message)


def _retry_after(header: str) -> float:
    """The seconds of the header; a date counts as 0."""
    try:
        seconds = float(header)
    except ValueError:
        return 0.0
    return min(seconds, _LONGEST_WAIT_S) if seconds > 0 else 0.0  # nan is not > 0


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
            except ServerError as error:
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
    except ServerError as error:
        if error.is_final or error.is_server_lost:
            raise
