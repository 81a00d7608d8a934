"""One server that speaks OpenAI's chat completions: its models, its replies, and its failures told apart.

The key stands in none of them, nor in a reply, whatever the server says. Wire format:
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
"""A server that is there accepts a connection within this time, however long it then thinks."""

_LONGEST_WAIT_S = 60.0
"""Whatever a server's `Retry-After` says."""

_BUSY = (408, 409, 425, 429)
"""Refusals that pass by themselves: too late, in conflict, too early, too many."""

_KEY_REFUSED = (401, 403)

_CUT = ("length", "max_tokens", "model_length")
"""Ends of a reply that is as long as it may be, by the names that servers give them."""

_BROKEN_OFF = ("content_filter", "error", "abort")
"""Ends of a reply that was stopped on its way."""

_SHORTEST_SECRET = 8
"""Characters; what is shorter (`none`, `EMPTY`) stands for no key and may well be a word of a reply."""

Result = TypeVar("Result")


class _RefusalError(CallError):
    """An HTTP error, with what can be made of it."""

    status_code = 0
    parameter: str | None = None
    """The one that the server does not take."""


class OpenAIServer:
    """A connection to one server, safe with several threads.

    Args:
        base_url: with the version, for instance `http://127.0.0.1:8000/v1`.
        key: what the server asks for; empty where it asks for none.
        timeout_s: the longest silence during a call.
        agreement: what goes with every question.
        tell: called with a sentence when the server does not take it as it is.

    Raises:
        ConfigError: the package `openai` is missing, or `base_url` is no address.
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
        client: Any = http_client(timeout_s=timeout_s)  # of httpx or of its successor: openai takes both
        self._client = openai.OpenAI(
            base_url=base_url, api_key=key or "none", max_retries=0, timeout=timeout, http_client=client
        )

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._client.close()

    def model_names(self) -> list[str] | None:
        """The models that the server lists; None if it is there and has no list, or cannot make one.

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
        """Whether the server knows a model that it may not list.

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
        """The model's reply, in the form that the JSON schema demands where the server can enforce it.

        A server that refuses a parameter is asked again without it, until it has answered once.

        Raises:
            CallError: there is none, or another model has given it than those before.
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
            create: Any = self._client.chat.completions.create  # whose types know only OpenAI's own roles and models
            completion = create(messages=list(messages), **parameters)
            choice = completion.choices[0]
            text = choice.message.content or getattr(choice.message, "refusal", None) or ""
            if not isinstance(text, str):
                raise TypeError(f"the content is no text but {text!r}")
            return self._safe(text), self._safe(str(completion.model or "")), str(choice.finish_reason or "")

        text, model, end = self._call(read)
        if end in _BROKEN_OFF:
            raise CallError(f"{self.base_url} broke the reply off: finish_reason is {end!r}", raw=text)
        if model:
            self._check_served(model, str(parameters["model"]))
        return Reply(text=text, is_cut=end in _CUT)

    def _check_served(self, model: str, asked: str) -> None:
        """See that the reply is the model's that was asked, as far as its name tells.

        A name that the server lists next to the asked one is another model's; one that it does not list may be the
        asked one's own name behind an alias.

        Raises:
            CallError: it is another's, or not the one that has answered before.
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
                names = ()  # the reply is there; whether the server still is shows with the next one
            if self._agreement.note_listed(asked in names and model in names):
                self._tell(f"{self.base_url} answers as {model!r} to {asked!r}: taken for another name of it")
        if self._agreement.is_listed:
            raise CallError(
                f"{self.base_url} answered with the model {model!r} where {asked!r} was asked, and has both: name the "
                "one that you mean with --set judge.model=NAME",
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
            what = f"a body that is no reply of such a server: {shorten(raw or self._safe(str(error)), 80)}"
            raise CallError(f"{self.base_url} sent {what}", status="unparsable", raw=raw) from None

    def _refusal(self, error: Any) -> _RefusalError:
        """From the client's `APIStatusError`."""
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
        """From the client's `APIConnectionError`; what it stands for is told by its cause, of whichever httpx."""
        kind, where = type(cause).__name__, f"{self.base_url}{self._route}"
        if isinstance(cause, NetworkError):
            is_lost = not isinstance(cause, TooLargeError)
            return CallError(self._safe(str(cause)), is_final=True, is_server_lost=is_lost)
        if kind in ("ConnectError", "ConnectTimeout"):
            return no_connection(where)
        if "Timeout" in kind or "Timeout" in type(error).__name__:
            return timed_out(where, self._timeout_s)
        text = self._safe(str(cause or error))
        return CallError(f"{self.base_url} broke the connection off: {shorten(text)}")

    def _safe(self, text: str) -> str:
        """Without the key, should the server have put it there."""
        return text.replace(self._key, "[key]") if len(self._key) >= _SHORTEST_SECRET else text


def _words(error: Any) -> str:
    """What a refusal says: OpenAI's `message`, or whatever stands in its place."""
    body = error.body if isinstance(error.body, Mapping) else {"message": error.body}
    return str(body.get("message") or body.get("detail") or error.response.text or error.message)


def _retry_after(header: str) -> float:
    """Seconds; a date in the header's place counts as nothing."""
    try:
        seconds = float(header)
    except ValueError:
        return 0.0
    return min(seconds, _LONGEST_WAIT_S) if seconds > 0 else 0.0  # nan is not > 0
