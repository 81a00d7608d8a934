"""Talks to one Ollama server: reads its models and replies, and turns every failure into a `CallError`.

Wire format: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sftframe import ConfigError, NetworkError, TooLargeError, find_route, http_transport
from sftframe_plugins.judges.calls import CallError
from sftframe_plugins.judges.language_model import Reply, no_connection, timed_out
from sftframe_plugins.judges.reply import shorten

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
            CallError: it cannot be reached, or does not answer like an Ollama server.
        """
        return [model.model for model in self._call(self._client.list).models if model.model]

    def find_model(self, name: str) -> Model | None:
        """The model of this name, by default its `:latest`; None if the server does not have it.

        Raises:
            CallError: the server cannot be reached, or does not answer like an Ollama server.
        """
        listed = self.find_digest(name)
        try:
            details = self._call(lambda: self._client.show(name)).modelinfo
        except CallError as error:
            if listed is None and error.is_final:
                return None
            details = None  # the model is there, but its details cannot be read
        return Model(digest=listed or None, context_length=_context_length(details or {}))

    def find_digest(self, name: str) -> str | None:
        """The digest of the model of this name; empty if the list gives none; None if the server does not have the
        model.

        Raises:
            CallError: as `find_model` does.
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
            CallError: there is none.
        """
        response = self._call(
            lambda: self._client.chat(
                model, messages, format=dict(schema), options=dict(options), keep_alive=keep_alive, stream=False
            )
        )
        if response.done is False:
            raise CallError(f"{self.host} sent a reply that is marked as not finished")
        if response.model and _full_name(response.model) != _full_name(model):
            raise CallError(
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
            raise CallError(str(error), is_final=True) from error
        except NetworkError as error:
            raise CallError(str(error), is_final=True, is_server_lost=True) from error
        except ollama.ResponseError as error:
            raise self._refusal(error.status_code, str(error.error)) from error
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise no_connection(f"{self.host}{self._route}") from error
        except httpx.TimeoutException as error:
            raise timed_out(f"{self.host}{self._route}", self._timeout_s) from error
        except httpx.HTTPError as error:
            raise CallError(f"{self.host} closed the connection: {shorten(str(error))}") from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:  # the body is not a reply of Ollama's
            raw = str(getattr(error, "doc", ""))
            what = f"something that is not a reply of Ollama's: {shorten(raw or str(error), 80)}"
            raise CallError(f"{self.host} sent {what}", status="unparsable", raw=raw) from error

    def _refusal(self, status_code: int, error: str) -> CallError:
        return CallError(
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
