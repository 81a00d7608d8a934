"""Prompt styles without code: a TOML file of segments, a Jinja template, or a Hugging Face chat template.

    ./my_style.toml              segments with roles
    ./my_style.jinja             a template with {{ instruction }}, {{ input }} and {{ response }}
    hf:./tokenizer_config.json   the chat template of a Hugging Face tokenizer

The option `content` keeps the file's text, so that a run does not need the file afterwards.
"""

from __future__ import annotations

from sftframe.prompt_files.names import FileName, looks_like_a_file, prompt_file
from sftframe.prompt_files.style import FilePromptStyle, file_style

__all__ = ["FileName", "FilePromptStyle", "file_style", "looks_like_a_file", "prompt_file"]
