"""The `return` is missing."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


@hookimpl
def sftframe_prompt_styles():
    [GoodStyle]  # noqa: B018
