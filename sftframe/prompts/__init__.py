"""Prompts: styles from files, the tokens of an example with their roles, and templates for other programs.

A whole text is tokenised once; roles come from byte offsets. A style without code is one of these files:

    ./my_style.toml              segments with roles
    ./my_style.jinja             a template with {{ instruction }}, {{ input }} and {{ response }}
    hf:./tokenizer_config.json   the chat template of a Hugging Face tokenizer
"""

from sftframe.prompts.export import check_out, control_tokens_in, write_export
from sftframe.prompts.file_styles import file_style, looks_like_a_file, prompt_file
from sftframe.prompts.tokens import (
    FIXED_EXAMPLES,
    LengthReport,
    TokenStore,
    encode_prompts,
    style_fingerprint,
    tokenize,
)

__all__ = [
    "FIXED_EXAMPLES",
    "LengthReport",
    "TokenStore",
    "check_out",
    "control_tokens_in",
    "encode_prompts",
    "file_style",
    "looks_like_a_file",
    "prompt_file",
    "style_fingerprint",
    "tokenize",
    "write_export",
]
