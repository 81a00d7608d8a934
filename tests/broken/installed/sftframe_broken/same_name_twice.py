"""Offers two styles of one name."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class One(GoodStyle):
    name = "same"


class Other(GoodStyle):
    name = "same"


@hookimpl
def sftframe_prompt_styles():
    return [One, Other]
