"""The same with a pydantic model."""

from pydantic import BaseModel

from sftframe import hookimpl
from sftframe_broken import GoodStyle


class Needy(BaseModel):
    greeting: str


class NeedyModelStyle(GoodStyle):
    name = "needy-model"
    Options = Needy


@hookimpl
def sftframe_prompt_styles():
    return [NeedyModelStyle]
