"""Fails after the first component; none of its components may be offered."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class FirstHalf(GoodStyle):
    name = "first-half"


@hookimpl
def sftframe_prompt_styles():
    yield FirstHalf
    raise ValueError("half way\nand a second line")
