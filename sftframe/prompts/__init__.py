"""Prompts: styles from files, the tokens of an example with their roles, and templates for other programs.

A whole text is tokenised once; roles come from byte offsets. A style without code is one of these files:

    ./my_style.toml              segments with roles
    ./my_style.jinja             a template with {{ instruction }}, {{ input }} and {{ response }}
    hf:./tokenizer_config.json   the chat template of a Hugging Face tokenizer

`own` is the chat template of the model that is trained.
"""

from sftframe.prompts.export import check_out, control_tokens_in, write_export, written_control_tokens
from sftframe.prompts.file_styles import OwnTemplate, file_style
from sftframe.prompts.files import OWN, looks_like_a_file, prompt_file

__all__ = [
    "OWN",
    "OwnTemplate",
    "check_out",
    "control_tokens_in",
    "file_style",
    "looks_like_a_file",
    "prompt_file",
    "write_export",
    "written_control_tokens",
]
