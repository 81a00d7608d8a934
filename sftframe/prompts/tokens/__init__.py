"""Examples as tokens with roles, within the longest length that a run allows."""

from sftframe.prompts.tokens.encoding import byte_lengths, encode_prompts, token_roles, tokenize
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
    "byte_lengths",
    "conversation_fingerprint",
    "encode_prompts",
    "style_fingerprint",
    "token_roles",
    "tokenize",
    "what_helps_over_long",
    "writes",
]
