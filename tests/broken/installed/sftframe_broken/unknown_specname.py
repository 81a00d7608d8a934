"""Implements a hook that does not exist, under a name that is not one of a hook."""

from sftframe import hookimpl


@hookimpl(specname="sftframe_samplers")
def samplers():
    return []
