"""The Jinja environments in which files of others are rendered: no attributes that reach outside, no chance, no bombs.

Set up as transformers does for chat templates, so that a template gives what it gives there. jinja2 is imported by
whoever imports this module.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.environment import Environment
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_MOST_CHARACTERS = 1_000_000
"""Longest text that repetition may make: a style is a page."""


class Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which the same template always gives the same text, in little memory."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, **settings)
        del self.filters["random"]

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(each) if hasattr(each, "__len__") else 1 for each in (left, right)]
        counts = [each for each in (left, right) if isinstance(each, int)]
        if operator == "**" or any(abs(count) * max(sizes) > _MOST_CHARACTERS for count in counts):
            raise SecurityError(f"{operator} makes something that is too large")
        return super().call_binop(context, operator, left, right)


def style_environment() -> Environment:
    """For Jinja files of one's own: a name that is not known is an error."""
    return Sandbox(undefined=StrictUndefined)


def chat_environment() -> Environment:
    """For chat templates: what transformers offers them, but for the date, which would change the prompt every day."""
    environment = Sandbox(extensions=[_Generation, loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    return environment


class _Generation(Extension):
    """`{% generation %}` marks what a model wrote; here the roles say so, and its body stands as it is."""

    tags = {"generation"}  # noqa: RUF012  as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, indent: int | None = None, **settings: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, **settings)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
