"""Is offered without trouble and fails when it is made."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Fragile(GoodStyle):
    name = "fragile"

    def __init__(self, options=None):
        raise RuntimeError("no such table")


@hookimpl
def sftframe_prompt_styles():
    return [Fragile]
