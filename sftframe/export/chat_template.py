"""Writes the Jinja chat template for Hugging Face tokenizers and llama.cpp: a message becomes the prompt of training.

The template accepts one user message: its `content` is the instruction, and it may have an `input`. For training, the
answer may follow. The template refuses what the model has never seen: system messages and several turns.

Reference: https://huggingface.co/docs/transformers/chat_templating
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from sftframe.export.template import Piece, PromptTemplate, Slot

NO_SYSTEM = "This model was tuned without system messages: leave it out, or put it into the question."
ONE_TURN = "This model was tuned on single questions: give one user message, and at most its answer."

PLAIN_TEXT = "This model was tuned on plain text: give the content as one text, not as a list of parts."

_EXPRESSIONS = {Slot.INSTRUCTION: "question['content']", Slot.INPUT: "question['input']"}


def chat_template(template: PromptTemplate) -> str:
    """The template in Jinja. All text is in string literals, so that white space between tags never matters."""
    return "\n".join(_lines(template)) + "\n"


def _lines(template: PromptTemplate) -> Iterator[str]:
    yield "{%- set question = messages[0] -%}"
    yield "{%- set has_answer = messages | length == 2 and messages[1]['role'] == 'assistant' -%}"
    yield "{%- if question['role'] == 'system' -%}"
    yield f"  {{{{- raise_exception({_literal(NO_SYSTEM)}) -}}}}"
    yield "{%- elif question['role'] != 'user' or (messages | length > 1 and not has_answer) -%}"
    yield f"  {{{{- raise_exception({_literal(ONE_TURN)}) -}}}}"
    yield "{%- endif -%}"
    yield "{%- if question['content'] is not string or (has_answer and messages[1]['content'] is not string) -%}"
    yield f"  {{{{- raise_exception({_literal(PLAIN_TEXT)}) -}}}}"
    yield "{%- endif -%}"
    yield "{%- if question['input'] -%}"
    yield from _prompt(template.with_input)
    yield "{%- else -%}"
    yield from _prompt(template.without_input)
    yield "{%- endif -%}"
    yield "{%- if has_answer -%}"
    answer = (_literal(template.answer_start), "messages[1]['content']", _literal(template.answer_end), "eos_token")
    yield from _outputs(text for text in answer if text != _literal(""))
    yield "{%- endif -%}"


def _prompt(pieces: tuple[Piece, ...]) -> Iterator[str]:
    """The question; the words after it, which ask for the answer, only if an answer follows."""
    is_open = isinstance(pieces[-1], Slot)
    asked, asking = (pieces, ()) if is_open else (pieces[:-1], pieces[-1:])
    yield from _outputs(map(_expression, asked))
    if asking:
        yield "  {%- if add_generation_prompt or has_answer -%}"
        yield from _outputs(map(_expression, asking), indent=4)
        yield "  {%- endif -%}"


def _outputs(expressions: Iterable[str], indent: int = 2) -> Iterator[str]:
    for expression in expressions:
        yield f"{' ' * indent}{{{{- {expression} -}}}}"


def _expression(piece: Piece) -> str:
    return _EXPRESSIONS[piece] if isinstance(piece, Slot) else _literal(piece)


def _literal(text: str) -> str:
    """Jinja reads JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)
