"""Nothing is wrong but its manners: it prints while it is imported."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle

print("welcome to chatty")  # noqa: T201


class Chatty(GoodStyle):
    name = "chatty"


@hookimpl
def sftframe_prompt_styles():
    return [Chatty]
