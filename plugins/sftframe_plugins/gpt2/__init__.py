"""GPT-2 in its four published sizes, any checkpoint of its architecture, and a small one that is bundled.

Imports without torch; the network and everything near it is imported when a model or tokenizer is asked for.
"""

from sftframe import hookimpl
from sftframe_plugins.gpt2.backend import GPT2XL, GPT2Any, GPT2Backend, GPT2Large, GPT2Medium, GPT2Nano, GPT2Small


@hookimpl
def sftframe_model_backends() -> list[type[GPT2Backend]]:
    return [GPT2Nano, GPT2Small, GPT2Medium, GPT2Large, GPT2XL, GPT2Any]
