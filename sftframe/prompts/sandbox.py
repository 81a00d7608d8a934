"""The process that reads and renders templates: a sandbox with limits on time and memory.

`rendering` runs this file as a script; nothing imports it, so that templates never compute in the process that trains.
The environments are set up as in transformers, so that a chat template gives the same text. Requests and
answers are JSON.

Frames: 8 bytes of length, big-endian, then the content.
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from datetime import datetime
from typing import Any, BinaryIO, NoReturn

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.environment import Environment
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_MOST_CHARACTERS = 1_000_000
"""The longest text that a template may add to its texts: a style is a page."""


class Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which the same template always gives the same text."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, **settings)
        del self.filters["random"]
        del self.globals["lipsum"]  # its text is random

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Limit repetition: the error comes at once and on every system, before the process reaches a limit."""
        sizes = [len(each) if hasattr(each, "__len__") else 1 for each in (left, right)]
        counts = [each for each in (left, right) if isinstance(each, int)]
        if operator == "**" or any(abs(count) * max(sizes) > _MOST_CHARACTERS for count in counts):
            raise SecurityError(f"{operator} makes something that is too large")
        return super().call_binop(context, operator, left, right)


def style_environment() -> Environment:
    """For the user's Jinja files: an unknown name is an error."""
    return Sandbox(undefined=StrictUndefined)


def chat_environment() -> Environment:
    """For chat templates: what transformers offers, except today's date, which would change the prompt every day."""
    environment = Sandbox(extensions=[_Generation, loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    return environment


class _Generation(Extension):
    """`{% generation %}` marks the model's words in transformers; here only its body is written."""

    tags = {"generation"}  # noqa: RUF012  as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, indent: int | None = None, **settings: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, **settings)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def serve(requests: BinaryIO, answers: BinaryIO, *, cpu_s: float, memory_bytes: int) -> None:
    """Answer requests until the stream ends; a request that takes too much processor time ends the process.

    Args:
        cpu_s: processor seconds per request, by a system timer that no computation can delay.
        memory_bytes: address space of the process; more is a `MemoryError`.
    """
    _set_up_signals()
    _limit_memory(memory_bytes)
    environments = {"jinja": style_environment(), "hf": chat_environment()}
    templates: dict[int, Template] = {}
    while frame := read_frame(requests):
        _limit_time(cpu_s)
        answer = json.dumps(_answered(json.loads(frame), environments, templates)).encode()
        _limit_time(0)
        answers.write(len(answer).to_bytes(8, "big") + answer)
        answers.flush()


def read_frame(stream: BinaryIO) -> bytes:
    """The next frame; empty at the end of the stream."""
    size = stream.read(8)
    return stream.read(int.from_bytes(size, "big")) if len(size) == 8 else b""


def _answered(request: Any, environments: dict[str, Environment], templates: dict[int, Template]) -> dict[str, Any]:
    """The `names` of a read template, the `texts` of a rendered one, or the `error`."""
    try:
        if "source" in request:
            environment, source = environments[request["kind"]], request["source"]
            names = sorted(meta.find_undeclared_variables(environment.parse(source)))
            templates[request["template"]] = environment.from_string(source)
            return {"names": names}
        template, common = templates[request["template"]], _with_clock(request["common"])
        return {"texts": [_bounded(template.render({**common, **names}), names) for names in request["each"]]}
    except TemplateSyntaxError as error:
        return {"error": f"line {error.lineno}: {error.message}"}
    except MemoryError:
        return {"limit": "memory"}
    except Exception as error:  # any error of a template's own computations
        message = str(error).strip().partition("\n")[0][:1000]
        is_clear = isinstance(error, TemplateError) and message
        return {"error": message if is_clear else f"{type(error).__name__}: {message}"}


CLOCK = "strftime_now"
"""What chat templates call to learn the date: in transformers today's, here the day that the request gives."""


def _with_clock(common: dict[str, Any]) -> dict[str, Any]:
    if CLOCK not in common:
        return common
    return {**common, CLOCK: datetime.fromisoformat(common[CLOCK]).strftime}


def _bounded(text: str, given: Any) -> str:
    if len(text) > _MOST_CHARACTERS + 8 * len(repr(given)):
        raise SecurityError(f"it writes {len(text)} characters, which is too large for a prompt")
    return text


def _set_up_signals() -> None:
    """Reset signals: settings of the parent, for instance under nohup, are inherited."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPROF", "SIGPIPE"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _limit_memory(num_bytes: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # missing on Windows; without effect on macOS
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = num_bytes if hard == resource.RLIM_INFINITY else min(num_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _limit_time(seconds: float) -> None:
    """Let the system end the process after this processor time, even within one long operation; 0 = no limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer, cpu_s=float(sys.argv[2]), memory_bytes=int(sys.argv[3]))
