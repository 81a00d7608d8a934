"""The summary is more than a line."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Wordy(GoodStyle):
    name = "wordy"
    summary = "one line\nand another"


@hookimpl
def sftframe_prompt_styles():
    return [Wordy]
