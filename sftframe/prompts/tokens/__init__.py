"""Examples as tokens with roles, within the longest length that a run allows."""

from sftframe.prompts.tokens.controls import ending_ids
from sftframe.prompts.tokens.encoding import encode_prompts, tokenize
from sftframe.prompts.tokens.fingerprints import FIXED_EXAMPLES, conversation_fingerprint, style_fingerprint
from sftframe.prompts.tokens.lengths import Builder, LengthReport, what_helps_over_long
from sftframe.prompts.tokens.rendered import UnwrittenError, writes
from sftframe.prompts.tokens.store import TokenStore

__all__ = [
    "FIXED_EXAMPLES",
    "Builder",
    "LengthReport",
    "TokenStore",
    "UnwrittenError",
    "conversation_fingerprint",
    "encode_prompts",
    "ending_ids",
    "style_fingerprint",
    "tokenize",
    "what_helps_over_long",
    "writes",
]
