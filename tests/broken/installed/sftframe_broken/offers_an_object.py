"""Offers an instance instead of the class."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


@hookimpl
def sftframe_prompt_styles():
    return [GoodStyle()]
