"""Prompt styles from Jinja files: of single questions, or of conversations with a loop over `turns`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from sftframe.errors import ConfigError, suggestion
from sftframe.prompts.conversation_marks import Wrap, attribute_conversation
from sftframe.prompts.marks import Asked, attribute, closing_tag
from sftframe.prompts.rendering import Rendering
from sftframe.records import Example, Role, Segment

FIELDS = ("instruction", "input", "response")
"""Names of a template of single questions, and keys of a turn."""
OF_CONVERSATIONS = ("turns", "system", "tools")
"""Names of a template of conversations."""


class JinjaLayout:
    """What a Jinja file says."""

    def __init__(self, source: str, variables: Mapping[str, Any]) -> None:
        self._template = Rendering("jinja", source)
        self.has_turns = "turns" in self._template.names
        known = OF_CONVERSATIONS if self.has_turns else FIELDS
        taken = next((name for name in variables if name in known), None)
        if taken is not None:
            raise ConfigError(f"prompt.variables.{taken}: {taken} comes from the example; give it another name")
        _check_names(self._template.names, variables, has_turns=self.has_turns)
        self._variables = dict(variables)

    def segments(self, example: Example) -> Sequence[Segment]:
        """The example's pieces. Raises ConfigError where a character's role is not certain."""
        return self.conversation(example) if self.has_turns else attribute(example, self._render)

    def conversation(self, example: Example) -> list[Segment]:
        """The pieces of a conversation. Raises ConfigError where a character's role is not certain."""
        return attribute_conversation(
            example, lambda wrap, answer: _names(example, wrap, answer or ""), self._rendered, has_prompt=False
        )

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The closing tag."""
        return closing_tag(self.segments(Example(index=0, instruction="Name a colour.", output="Red.")))

    def _render(self, asked: Sequence[Asked]) -> list[str]:
        return self._rendered(
            [{"instruction": one.instruction, "input": one.input, "response": one.answer} for one in asked]
        )

    def _rendered(self, names: Sequence[Mapping[str, Any]]) -> list[str]:
        try:
            return self._template.texts(self._variables, names)
        except ConfigError as error:
            raise ConfigError(f"the template cannot be rendered: {error}") from error


def _names(example: Example, wrap: Wrap, answer: str) -> dict[str, Any]:
    """What a template of conversations is rendered with. A turn in which a tool speaks has no instruction."""
    turns = []
    for number, one in enumerate(example.exchanges):
        is_tool = one.speaker == "tool"
        turns.append(
            {
                "instruction": "" if is_tool else wrap(Role.INSTRUCTION, one.instruction),
                "tool": wrap(Role.TOOL, one.instruction) if is_tool else "",
                "input": wrap(Role.INPUT, one.input),
                "response": wrap(Role.RESPONSE, one.output) if number < len(example.turns) else answer,
            }
        )
    return {"turns": turns, "system": wrap(Role.SYSTEM, example.system), "tools": wrap(Role.SYSTEM, example.tools)}


def _check_names(used: Set[str], variables: Mapping[str, Any], *, has_turns: bool) -> None:
    known = (*(OF_CONVERSATIONS if has_turns else FIELDS), *variables)
    unknown = next((name for name in sorted(used) if name not in known), None)
    if unknown in FIELDS:
        raise ConfigError(
            f"{{{{ {unknown} }}}} is not known in a template with turns: write {{{{ turn.{unknown} }}}} inside of "
            "{% for turn in turns %}"
        )
    if unknown is not None:
        own = f"; a name of your own gets its value with --set prompt.variables.{unknown}=VALUE"
        raise ConfigError(f"{{{{ {unknown} }}}} is not known{suggestion(unknown, known)}{own}")
    missing = next((field for field in FIELDS if field not in used and not has_turns), None)
    if missing is not None:
        raise ConfigError(f"the template never writes {{{{ {missing} }}}}, so an example's {missing} would be lost")
