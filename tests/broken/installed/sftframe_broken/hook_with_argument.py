"""Takes an argument that the hook does not have."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


@hookimpl
def sftframe_prompt_styles(config):
    return [GoodStyle]
