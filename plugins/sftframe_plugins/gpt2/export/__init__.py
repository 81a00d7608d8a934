"""Exports a GPT-2 for other programs: Hugging Face's folder, and llama.cpp's single file."""

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
"""The function that writes each form."""
