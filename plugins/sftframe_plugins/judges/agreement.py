"""Settings of requests to an OpenAI-compatible server, and what to send instead if the server refuses some of them.

Such servers differ: some enforce a JSON schema, some only JSON, some nothing. Some call the longest reply
`max_completion_tokens`. Some accept no temperature.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

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

    def settle(self, settings: ChatSettings) -> str | None:
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
