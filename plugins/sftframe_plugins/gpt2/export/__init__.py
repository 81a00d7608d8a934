"""A GPT-2 written out for other programs: Hugging Face's folder, and llama.cpp's single file.

Takes a network, its tokenizer and `ExportSettings`; gives files in an empty folder. Knows nothing of runs and prompt
styles: the chat template comes ready made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sftframe import ExportSettings
from sftframe_plugins.gpt2.export.gguf_file import export_gguf
from sftframe_plugins.gpt2.export.huggingface import export_huggingface
from sftframe_plugins.gpt2.network import GPT2
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer

EXPORTS: dict[str, Callable[[Path, GPT2, BytePairTokenizer, ExportSettings], None]] = {
    "hf": export_huggingface,
    "gguf": export_gguf,
}
"""What writes each form."""
