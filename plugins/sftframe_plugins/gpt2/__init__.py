"""The GPT-2 backends: the four published sizes, any checkpoint of the same architecture, and a small bundled model.

This package imports without torch; the network is imported when a model or tokenizer is loaded.
"""

from sftframe import hookimpl
from sftframe_plugins.gpt2.backend import GPT2XL, GPT2Any, GPT2Backend, GPT2Large, GPT2Medium, GPT2Nano, GPT2Small


@hookimpl
def sftframe_model_backends() -> list[type[GPT2Backend]]:
    return [GPT2Nano, GPT2Small, GPT2Medium, GPT2Large, GPT2XL, GPT2Any]
