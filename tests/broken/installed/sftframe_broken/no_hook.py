"""Offers nothing at all."""

from sftframe_broken import GoodStyle  # noqa: F401
