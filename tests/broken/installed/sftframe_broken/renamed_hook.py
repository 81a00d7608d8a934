"""Nothing is wrong: pluggy lets a hook be implemented under another name."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Renamed(GoodStyle):
    name = "renamed"


@hookimpl(specname="sftframe_prompt_styles")
def styles():
    yield Renamed
