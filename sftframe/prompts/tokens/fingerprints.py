"""Hashes of what a prompt style writes, so that a later change is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from sftframe.plugins import PromptStyle
from sftframe.prompts.tokens.rendered import writes
from sftframe.records import Example, Turn

FIXED_EXAMPLES = (
    Example(index=0, instruction="Name a primary colour.", output="Red is a primary colour."),
    Example(index=1, instruction="Translate into French.", input="good morning", output="bonjour"),
    Example(
        index=2, instruction="Tell both lines:\n- naïve\n- 東京", input="first\n\nsecond", output="« naïve »\n東京"
    ),
)
"""The examples of a fingerprint: without input, with input, with line breaks and other scripts."""


def style_fingerprint(style: PromptStyle) -> str:
    """SHA-256 of the rendering of `FIXED_EXAMPLES`, hexadecimal; styles with the same text have the same hash."""
    return _hash_of(style, FIXED_EXAMPLES)


_EARLIER = (Turn(instruction="Greet me.", output="Hello!"), Turn(instruction="Add:", input="2 and 3", output="5"))
_CONVERSATION = Example(index=3, turns=_EARLIER, instruction="And in words?", output="Five.")
_CALL = Turn(instruction="What is the weather?", output='{"name": "weather", "arguments": {}}', is_call=True)
FIXED_CONVERSATIONS = (
    _CONVERSATION,
    replace(_CONVERSATION, system="Be brief."),
    Example(
        index=4,
        turns=(_CALL,),
        speaker="tool",
        instruction='{"sun": true}',
        output="It is sunny.",
        tools='[{"name": "weather", "description": "Tells the weather.", "parameters": {}}]',
    ),
)
"""The conversations of a fingerprint: three exchanges, the same with a system message, and one with a tool."""


def conversation_fingerprint(style: PromptStyle) -> str:
    """SHA-256 of the rendering of those `FIXED_CONVERSATIONS` that the style writes, hexadecimal."""
    return _hash_of(style, [example for example in FIXED_CONVERSATIONS if writes(style, example)])


def _hash_of(style: PromptStyle, examples: Sequence[Example]) -> str:
    rendered = [[(p.role.label, p.text) for part in style.render(example) for p in part] for example in examples]
    return hashlib.sha256(json.dumps(rendered).encode()).hexdigest()
