"""Fails while it is imported."""

LIMIT = 1 / 0
