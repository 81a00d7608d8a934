"""Offers a prompt style as a judge."""

from sftframe import hookimpl
from sftframe_broken import GoodStyle


@hookimpl
def sftframe_judges():
    return [GoodStyle]
