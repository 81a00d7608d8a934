"""One component is fine and the other is not; none may be offered."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Fine(GoodStyle):
    name = "fine"


class NotFine(GoodStyle):
    name = "Not fine"


@hookimpl
def sftframe_prompt_styles():
    return [Fine, NotFine]
