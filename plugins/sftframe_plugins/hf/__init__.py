"""The `hf` backend: any causal language model of transformers, from the Hugging Face hub or a folder.

This package imports without torch and without transformers, which is an extra; both are imported when a model or
tokenizer is loaded.
"""

from sftframe import hookimpl
from sftframe_plugins.hf.backend import HFBackend


@hookimpl
def sftframe_model_backends() -> list[type[HFBackend]]:
    return [HFBackend]
