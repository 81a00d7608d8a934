"""Calls of a plugin's code: an error in it names the plugin, and its records are checked."""

from __future__ import annotations

import inspect
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, wraps
from typing import Any, TypeVar

from sftframe.errors import PluginError, SftframeError
from sftframe.plugins.interfaces import CollateStrategy, Component, Judge, PromptStyle, Tokenizer
from sftframe.plugins.launchers import Launcher
from sftframe.plugins.models import CausalLM, ModelBackend


@contextmanager
def plugin_wall(package: str, doing: str = "") -> Iterator[None]:
    """Run a plugin's code; its exceptions become a `PluginError`, except Ctrl-C and messages meant for the user.

    Args:
        package: the plugin's top-level package, to find its own line in a traceback.
        doing: what is done; the message begins with it.
    """
    try:
        yield
    except BaseException as error:  # SystemExit too: a plugin must not end the program
        if passes(error):
            raise
        raise PluginError(f"{doing}{': ' if doing else ''}{describe(error, package)}") from error


def passes(error: BaseException) -> bool:
    """Whether an error is not the plugin's: Ctrl-C, a message for the user, a closed pipe."""
    return isinstance(error, KeyboardInterrupt | GeneratorExit | SftframeError | BrokenPipeError)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: CUDA has its own error class, other allocators raise a RuntimeError."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or any(word in str(error) for word in words))
    )


def describe(error: BaseException, package: str) -> str:
    """An exception as one line: its class, the first line of its message, and its place in the plugin.

    >>> describe(ValueError("no such size: 7"), "acme")
    'ValueError: no such size: 7'
    """
    message = str(error).strip().partition("\n")[0]
    place = _place(error, package)
    return type(error).__name__ + (f": {message}" if message else "") + (f" ({place})" if place else "")


def _place(error: BaseException, package: str) -> str:
    """`file:line` of the innermost frame that belongs to the plugin, else of the innermost one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        (frame.f_globals.get("__name__", "").partition(".")[0], f"{frame.f_code.co_filename}:{line}")
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for top, place in frames if top == package]
    beyond = [place for top, place in frames if top != __name__.partition(".")[0]]
    return next(reversed(own or beyond), "")


T = TypeVar("T")

_INTERFACES: tuple[type, ...] = (PromptStyle, CollateStrategy, ModelBackend, Judge, Launcher, CausalLM, Tokenizer)
_RETURNS = {"load": CausalLM, "tokenizer": Tokenizer}
"""What a backend's methods must return; anything else would fail far from its cause."""
_WRITING = ("save", "export")
"""Methods that may end with a full disk: their caller reports that as an error of the disk."""


class CallError(PluginError):
    """A component's code failed; the message names plugin, component, method, exception and place."""


def guarded(subject: T, label: str) -> T:
    """The same object; from now on errors in its code name its plugin.

    Args:
        label: what it is and where it comes from, the beginning of a message.
    """
    interface = next((each for each in _INTERFACES if isinstance(subject, each)), None)
    if interface is None or hasattr(type(subject), "_sftframe_label"):
        return subject
    kind = _guarded_class(type(subject), interface, label, vars(subject) if hasattr(subject, "__dict__") else {})
    # a class with slots, or one that refuses subclasses, stays as it is: then its errors do not name the plugin
    with suppress(TypeError):
        object.__setattr__(subject, "__class__", kind)
    if isinstance(subject, CausalLM):
        guarded(subject.tokenizer, label)
    return subject


def unguarded(kind: type[Any]) -> type[Any]:
    """The class that a plugin wrote, of one that `guarded` made or of itself: it can be sent to other processes."""
    return kind.__bases__[0] if "_sftframe_label" in vars(kind) else kind


def _guarded_class(kind: type, interface: type, label: str, own: dict[str, Any]) -> type:
    facts: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    members: dict[str, Any] = {"_sftframe_label": label, **facts}
    for name in _names(interface):
        member = inspect.getattr_static(kind, name)
        # inherited methods of a model and a tokenizer call the plugin's module, which nothing else guards
        is_inherited = member is inspect.getattr_static(interface, name)
        if is_inherited and interface not in (CausalLM, Tokenizer):
            continue
        if isinstance(member, property) and member.fset is not None:
            continue  # what the core sets is not the plugin's code
        if isinstance(member, property | cached_property):
            members[name] = property(_read(kind, member, name, label))
        elif inspect.isfunction(member) and name not in own:
            members[name] = _called(kind, member, name, label)
    try:
        return type(kind)(kind.__name__, (kind,), members)
    except Exception:  # a plugin's __init_subclass__ or metaclass may want something else
        return kind


def _names(interface: type) -> list[str]:
    """Methods and properties that the core calls."""
    found: dict[str, None] = {}
    for base in interface.__mro__:
        if base is not Component and base.__module__.rpartition(".")[0] == __package__:
            found |= dict.fromkeys(name for name in vars(base) if not name.startswith("_") or name == "__call__")
    return list(found)


def _called(kind: type, method: Callable[..., Any], name: str, label: str) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *given: Any, **named: Any) -> Any:
        if _inside.is_so:
            return method(self, *given, **named)
        result = _behind(lambda: method(self, *given, **named), kind, name, label)
        if isinstance(result, Iterator):
            return _each(result, kind, name, label)
        if isinstance(self, ModelBackend) and name in _RETURNS:
            wanted = _RETURNS[name]
            if not isinstance(result, wanted):
                raise CallError(f"{label}: {name}() gave {type(result).__name__}; expected a {wanted.__name__}")
            guarded(result, label)
        return result

    return call


def _read(kind: type, member: Any, name: str, label: str) -> Callable[[Any], Any]:
    def read(self: Any) -> Any:
        if _inside.is_so:
            return member.__get__(self, kind)
        return _behind(lambda: member.__get__(self, kind), kind, name, label)

    return read


def _each(items: Iterator[Any], kind: type, name: str, label: str) -> Iterator[Any]:
    end = object()
    try:
        while (item := _behind(lambda: next(items, end), kind, name, label)) is not end:
            yield item
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


class _Inside(threading.local):
    """Whether this thread is already in a component's code."""

    is_so = False


_inside = _Inside()


def _behind(work: Callable[[], Any], kind: type, name: str, label: str) -> Any:
    was_inside, _inside.is_so = _inside.is_so, True
    try:
        return work()
    except BaseException as error:
        is_of_disk = name in _WRITING and (isinstance(error, OSError) or type(error).__name__ == "SafetensorError")
        if passes(error) or is_out_of_memory(error) or is_of_disk:
            raise
        package = kind.__module__.partition(".")[0]
        raise CallError(f"{label} failed in {name}: {describe(error, package)}") from error
    finally:
        _inside.is_so = was_inside
