"""A method that every style needs is missing."""

from sftframe import PromptStyle, hookimpl


class Unfinished(PromptStyle):
    name = "unfinished"
    summary = "does not say its segments"


@hookimpl
def sftframe_prompt_styles():
    return [Unfinished]
