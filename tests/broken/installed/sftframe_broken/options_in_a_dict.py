"""Options are a dict where a class is expected."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Loose(GoodStyle):
    name = "loose"
    Options = {"greeting": "hello"}  # noqa: RUF012


@hookimpl
def sftframe_prompt_styles():
    return [Loose]
