"""Talks to one server with OpenAI's chat completions: reads its models and replies, and turns failures into
`CallError`s.

The key is never part of an error or a reply, whatever the server sends. Wire format:
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sftframe import ConfigError, NetworkError, TooLargeError, find_route, http_client
from sftframe_plugins.judges.agreement import Agreement, is_same_model, refused_parameter
from sftframe_plugins.judges.calls import CallError
from sftframe_plugins.judges.language_model import Reply, no_connection, timed_out
from sftframe_plugins.judges.reply import shorten
from sftframe_plugins.judges.template import Message

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


class _RefusalError(CallError):
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
            CallError: it cannot be reached, or does not take the key.
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
            CallError: it cannot be reached, or does not take the key.
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
            CallError: there is none, or another model has answered than before.
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
            if sentence := self._agreement.settle(settings):
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
            raise CallError(f"{self.base_url} stopped the reply: finish_reason is {end!r}", raw=text)
        if model:
            self._check_served(model, str(parameters["model"]))
        return Reply(text=text, is_cut=end in _CUT)

    def _check_served(self, model: str, asked: str) -> None:
        """Check by its name that the model that answered is the one that was asked.

        If the server lists both names, they are two models. A name that it does not list may be the model's real name,
        and the asked name an alias.

        Raises:
            CallError: another model has answered, or not the same one as before.
        """
        served = self._agreement.note_served(model)
        if model != served:
            raise CallError(
                f"{self.base_url} answers with the model {model!r} now, and answered with {served!r} before",
                is_final=True,
            )
        if is_same_model(asked, model):
            return
        if self._agreement.is_listed is None:
            try:
                names = self.model_names() or ()
            except CallError:
                names = ()  # the reply is complete; if the server is lost, the next call shows it
            if self._agreement.note_listed(asked in names and model in names):
                self._tell(f"{self.base_url} answers as {model!r} to {asked!r}: taken as an alias of it")
        if self._agreement.is_listed:
            raise CallError(
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
            raise CallError(f"{self.base_url} sent {what}", status="unparsable", raw=raw) from None

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

    def _loss(self, error: Exception, cause: BaseException | None) -> CallError:
        """The error for the client's `APIConnectionError`; its cause, an error of httpx, says what happened."""
        kind, where = type(cause).__name__, f"{self.base_url}{self._route}"
        if isinstance(cause, NetworkError):
            is_lost = not isinstance(cause, TooLargeError)
            return CallError(self._safe(str(cause)), is_final=True, is_server_lost=is_lost)
        if kind in ("ConnectError", "ConnectTimeout"):
            return no_connection(where)
        if "Timeout" in kind or "Timeout" in type(error).__name__:
            return timed_out(where, self._timeout_s)
        text = self._safe(str(cause or error))
        return CallError(f"{self.base_url} closed the connection: {shorten(text)}")

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
