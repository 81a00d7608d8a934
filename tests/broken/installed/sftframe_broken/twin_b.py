"""Offers a name that another plugin offers too."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Twin(GoodStyle):
    name = "twin"
    summary = "the one of twin_b"


@hookimpl
def sftframe_prompt_styles():
    return [Twin]
