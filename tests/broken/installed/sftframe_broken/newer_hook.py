"""Implements a hook that this version does not have."""

from sftframe import hookimpl


@hookimpl
def sftframe_data_sources():
    return []
