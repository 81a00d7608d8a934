"""Raises one of sftframe's own errors while it is imported."""

from sftframe import ConfigError

raise ConfigError("set ACME_KEY first")
