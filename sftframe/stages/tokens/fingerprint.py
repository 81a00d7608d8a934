"""The fingerprint of a prompt style, so that a model's prompts never differ from those in training."""

from __future__ import annotations

import hashlib
import json

from sftframe.interfaces import PromptStyle
from sftframe.records import Example

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
    rendered = [[(p.role.label, p.text) for part in style.render(example) for p in part] for example in FIXED_EXAMPLES]
    return hashlib.sha256(json.dumps(rendered).encode()).hexdigest()
