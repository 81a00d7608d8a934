"""From examples to tokens with roles: the whole text is tokenised once, roles come from byte offsets."""

from sftframe.stages.tokens.encoding import byte_lengths, encode_prompts, token_roles, tokenize
from sftframe.stages.tokens.fingerprint import FIXED_EXAMPLES, style_fingerprint
from sftframe.stages.tokens.lengths import LengthReport
from sftframe.stages.tokens.store import TokenStore

__all__ = [
    "FIXED_EXAMPLES",
    "LengthReport",
    "TokenStore",
    "byte_lengths",
    "encode_prompts",
    "style_fingerprint",
    "token_roles",
    "tokenize",
]
