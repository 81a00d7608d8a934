"""A letter is missing from the hook's name."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


@hookimpl
def sftframe_prompt_style():
    return [GoodStyle]
