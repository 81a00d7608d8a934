"""Nothing is wrong: a hook of today, and one that an older sftframe may not have."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Spanning(GoodStyle):
    name = "spanning"


@hookimpl
def sftframe_prompt_styles():
    return [Spanning]


@hookimpl(optionalhook=True, specname="sftframe_metrics")
def metrics():
    return []
