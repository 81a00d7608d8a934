"""What the exports of all models have in common: weights in another precision, and GGUF files."""

GGUF_FILE = "model.gguf"
GGUF_IS_MISSING = "writing GGUF needs the package gguf: pip install 'sftframe[gguf]'"
