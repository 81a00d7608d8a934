"""Reads a prompt style from a Jinja template with `{{ instruction }}`, `{{ input }}` and `{{ response }}`.

`attribution` finds out which words are the template's and which are the example's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from sftframe.errors import ConfigError, suggestion
from sftframe.prompt_files.attribution import Asked, attribute
from sftframe.prompt_files.rendering import Rendering
from sftframe.records import Example, Role, Segment

FIELDS = ("instruction", "input", "response")


class JinjaLayout:
    """What a Jinja file says."""

    def __init__(self, source: str, variables: Mapping[str, Any]) -> None:
        taken = next((name for name in variables if name in FIELDS), None)
        if taken is not None:
            raise ConfigError(f"prompt.variables.{taken}: {taken} comes from the example; give it another name")
        self._template = Rendering("jinja", source)
        _check_names(self._template.names, variables)
        self._variables = dict(variables)

    def segments(self, example: Example) -> Sequence[Segment]:
        """The example's pieces. Raises ConfigError where a character's role is not certain."""
        return attribute(example, self._render)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The closing tag."""
        return closing_tag(self.segments(Example(index=0, instruction="Name a colour.", output="Red.")))

    def _render(self, asked: Sequence[Asked]) -> list[str]:
        names = [{"instruction": one.instruction, "input": one.input, "response": one.answer} for one in asked]
        try:
            return self._template.texts(self._variables, names)
        except ConfigError as error:
            raise ConfigError(f"the template cannot be rendered: {error}") from error


def closing_tag(pieces: Sequence[Segment]) -> tuple[str, ...]:
    """The text after the answer, as a stop string; nothing if it is white space."""
    tag = "".join(piece.text for piece in pieces if piece.role is Role.END).strip()
    return (tag,) if tag else ()


def _check_names(used: Set[str], variables: Mapping[str, Any]) -> None:
    known = (*FIELDS, *variables)
    unknown = next((name for name in sorted(used) if name not in known), None)
    if unknown is not None:
        own = f"; a name of your own gets its value with --set prompt.variables.{unknown}=VALUE"
        raise ConfigError(f"{{{{ {unknown} }}}} is not known{suggestion(unknown, known)}{own}")
    missing = next((field for field in FIELDS if field not in used), None)
    if missing is not None:
        raise ConfigError(f"the template never writes {{{{ {missing} }}}}, so an example's {missing} would be lost")
