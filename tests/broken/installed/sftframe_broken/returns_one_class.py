"""Returns a class where a list of classes is expected."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


@hookimpl
def sftframe_prompt_styles():
    return GoodStyle
