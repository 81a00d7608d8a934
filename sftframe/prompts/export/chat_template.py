"""The template of a prompt style in Jinja: the chat template that transformers and llama.cpp read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from sftframe.prompts.export.derived import ConversationTemplate, Opening, Piece, Prompts, PromptTemplate, Slot

NO_SYSTEM = "This model was tuned without system messages: leave it out, or put it into the question."
ONE_TURN = "This model was tuned on single questions: give one user message, and at most its answer."
NO_TOOLS = "This model was tuned without tools: leave them out, and calls of them too."
PLAIN_TEXT = "This model was tuned on plain text: give the content as one text, not as a list of parts."
IN_TURNS = "This model was tuned on conversations: give one system message at most, then user and assistant in turns."
TOOLS_IN_TURNS = f"{IN_TURNS[:-1]}; results of tools stand where the user would, but not first."
PARSED_ARGUMENTS = (
    "Give the arguments of a call as an object, not as a text: the model was tuned on one way to write it."
)

_EXPRESSIONS = {
    Slot.INSTRUCTION: "message['content']",
    Slot.INPUT: "message['input']",
    Slot.SYSTEM: "system",
    Slot.TOOLS: "tools | tojson",
}
_IS_ANSWERED = "add_generation_prompt or not loop.last"


def chat_template(template: PromptTemplate, *, begin: str = "", closes_answers: bool = False) -> str:
    """The template in Jinja. All text is in string literals, so that white space between tags never matters.

    It refuses what the style never writes. Calls of tools and their results are read as those of the data are: the
    function of a call in JSON, several results in one message with a line each.

    Args:
        begin: names of control tokens that stand before every text and that the style does not write.
        closes_answers: a control token of the style closes every answer, and no end token follows.
    """
    plain = Prompts(without_input=template.without_input, with_input=template.with_input)
    single = ConversationTemplate(openings={Opening(False, False): plain}, later=None, result=None, is_open=False)
    writer = _Writer(template, template.conversation or single, begin=begin, closes_answers=closes_answers)
    return "\n".join(writer.lines()) + "\n"


class _Writer:
    def __init__(
        self, template: PromptTemplate, conversation: ConversationTemplate, *, begin: str, closes_answers: bool
    ) -> None:
        self._template = template
        self._begin = begin
        self._closes_answers = closes_answers
        self._conversation = conversation
        self._has_results = conversation.result is not None
        self._has_system = any(opening.has_system for opening in conversation.openings)
        self._has_tools = any(opening.has_tools for opening in conversation.openings)

    def lines(self) -> Iterator[str]:
        yield "{%- set has_system = messages[0]['role'] == 'system' -%}"
        yield "{%- set system = messages[0]['content'] if has_system else '' -%}"
        yield "{%- set said = messages[1:] if has_system else messages -%}"
        if not self._has_system:
            yield from _refusal("has_system", NO_SYSTEM)
        if not self._has_tools:
            yield from _refusal("tools", NO_TOOLS)
        yield from _refusal("not said", self._order)
        if self._conversation.later is None:
            yield from _refusal("said | length > 2", ONE_TURN)
        yield from _outputs([_literal(self._begin)], indent=0)
        yield "{%- for message in said -%}"
        yield "{%- set before = said[loop.index0 - 1]['role'] if loop.index0 else '' -%}"
        yield from self._checks()
        yield "{%- if message['role'] == 'assistant' -%}"
        yield from self._answer()
        if self._conversation.result is not None:
            yield "{%- elif message['role'] == 'tool' -%}"
            yield from _result(self._conversation.result)
        for opening, prompts in sorted(self._conversation.openings.items(), reverse=True):
            conditions = ["not before", *(["system"] if opening.has_system else [])]
            conditions += ["tools"] if opening.has_tools else []
            yield f"{{%- elif {' and '.join(conditions)} -%}}"
            yield from _question(prompts)
        if self._conversation.later is not None:
            yield "{%- else -%}"
            yield from _question(self._conversation.later)
        yield "{%- endif -%}"
        yield "{%- endfor -%}"

    @property
    def _order(self) -> str:
        """What is said about messages in another order."""
        if self._conversation.later is None:
            return ONE_TURN
        return TOOLS_IN_TURNS if self._has_results else IN_TURNS

    def _checks(self) -> Iterator[str]:
        """Refuse a message that stands where the data have none like it, and content that is no text."""
        asked = "['user', 'tool']" if self._has_results else "['user']"
        orders = [
            f"message['role'] == 'assistant' and before in {asked}",
            "message['role'] == 'user' and before in ['', 'assistant']",
        ]
        orders += ["message['role'] == 'tool' and before in ['assistant', 'tool']"] if self._has_results else []
        yield from _refusal(f"not ({' or '.join(orders)})", self._order)
        is_text = "message['content'] is string"
        if self._has_results:
            is_text += " or (message['tool_calls'] and not message['content'])"
        else:
            yield from _refusal("message['tool_calls']", NO_TOOLS)
        yield from _refusal(f"not ({is_text}) or system is not string", PLAIN_TEXT)

    def _answer(self) -> Iterator[str]:
        yield from _outputs([_literal(self._template.answer_start)])
        if self._has_results:
            yield "  {%- if message['tool_calls'] -%}"
            yield from _calls()
            yield "  {%- else -%}"
            yield "    {{- message['content'] -}}"
            yield "  {%- endif -%}"
        else:
            yield "  {{- message['content'] -}}"
        yield from _outputs([_literal(self._template.answer_end)])
        if self._closes_answers:
            return
        if self._conversation.is_open:
            yield "  {{- eos_token -}}"
        else:
            yield "  {%- if loop.last -%}"
            yield "    {{- eos_token -}}"
            yield "  {%- endif -%}"


def _refusal(condition: str, message: str) -> Iterator[str]:
    yield f"{{%- if {condition} -%}}"
    yield f"  {{{{- raise_exception({_literal(message)}) -}}}}"
    yield "{%- endif -%}"


def _calls() -> Iterator[str]:
    """The calls of an answer after its text, one or a list of them."""
    yield "    {%- if message['content'] and message['content'] | trim -%}"
    yield "      {{- message['content'] -}}"
    yield '      {{- "\\n" -}}'
    yield "    {%- endif -%}"
    yield "    {%- if message['tool_calls'] | length > 1 -%}"
    yield '      {{- "[" -}}'
    yield "    {%- endif -%}"
    yield "    {%- for one in message['tool_calls'] -%}"
    yield "      {%- set call = one['function'] if one['function'] else one -%}"
    yield "      {%- if call['arguments'] is string -%}"
    yield f"        {{{{- raise_exception({_literal(PARSED_ARGUMENTS)}) -}}}}"
    yield "      {%- endif -%}"
    yield "      {{- call | tojson -}}"
    yield "      {%- if not loop.last -%}"
    yield '        {{- ", " -}}'
    yield "      {%- endif -%}"
    yield "    {%- endfor -%}"
    yield "    {%- if message['tool_calls'] | length > 1 -%}"
    yield '      {{- "]" -}}'
    yield "    {%- endif -%}"


def _result(pieces: tuple[Piece, ...]) -> Iterator[str]:
    """What a tool gave back; further results follow in the same message."""
    place = pieces.index(Slot.INSTRUCTION)
    yield "  {%- if before == 'tool' -%}"
    yield '    {{- "\\n" -}}'
    yield "  {%- else -%}"
    yield from _outputs(map(_expression, pieces[:place]), indent=4)
    yield "  {%- endif -%}"
    yield "  {{- message['content'] -}}"
    yield "  {%- if (add_generation_prompt if loop.last else said[loop.index0 + 1]['role'] != 'tool') -%}"
    yield from _outputs(map(_expression, pieces[place + 1 :]), indent=4)
    yield "  {%- endif -%}"


def _question(prompts: Prompts) -> Iterator[str]:
    yield "  {%- if message['input'] -%}"
    yield from _prompt(prompts.with_input)
    yield "  {%- else -%}"
    yield from _prompt(prompts.without_input)
    yield "  {%- endif -%}"


def _prompt(pieces: tuple[Piece, ...]) -> Iterator[str]:
    """The question; the words after it, which ask for the answer, only if an answer follows."""
    is_open = isinstance(pieces[-1], Slot)
    asked, asking = (pieces, ()) if is_open else (pieces[:-1], pieces[-1:])
    yield from _outputs(map(_expression, asked), indent=4)
    if asking:
        yield f"    {{%- if {_IS_ANSWERED} -%}}"
        yield from _outputs(map(_expression, asking), indent=6)
        yield "    {%- endif -%}"


def _outputs(expressions: Iterable[str], indent: int = 2) -> Iterator[str]:
    for expression in expressions:
        if expression != _literal(""):
            yield f"{' ' * indent}{{{{- {expression} -}}}}"


def _expression(piece: Piece) -> str:
    return _EXPRESSIONS[piece] if isinstance(piece, Slot) else _literal(piece)


def _literal(text: str) -> str:
    """Jinja reads JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)
