"""Has an option that must be given, so that the style's name alone is not enough."""

from dataclasses import dataclass

from sftframe import hookimpl
from sftframe_broken import GoodStyle


@dataclass(frozen=True, kw_only=True)
class Needy:
    greeting: str


class NeedyStyle(GoodStyle):
    name = "needy"
    Options = Needy


@hookimpl
def sftframe_prompt_styles():
    return [NeedyStyle]
