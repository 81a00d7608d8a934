"""The decorator is missing."""

from sftframe_broken import GoodStyle


def sftframe_prompt_styles():
    return [GoodStyle]
