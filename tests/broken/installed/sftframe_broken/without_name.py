"""The style has no name."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Nameless(GoodStyle):
    name = None


@hookimpl
def sftframe_prompt_styles():
    return [Nameless]
