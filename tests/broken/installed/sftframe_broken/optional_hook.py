"""Nothing is wrong: all that it has is for versions that come later, and it says so."""

from sftframe import hookimpl


@hookimpl(optionalhook=True)
def sftframe_data_sources():
    return []
