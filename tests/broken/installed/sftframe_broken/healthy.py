"""Nothing is wrong; its neighbours must not pull it down."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Healthy(GoodStyle):
    name = "healthy"


@hookimpl
def sftframe_prompt_styles():
    return [Healthy]
