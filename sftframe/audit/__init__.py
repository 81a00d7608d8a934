"""What is in a dataset, before a minute is spent on it: `sftframe data`."""

from sftframe.audit.cleaning import (
    Cleaning,
    check_target,
    clean,
    dropped_path,
    kinds_to_drop,
    settings_for,
    write_clean,
)
from sftframe.audit.examination import Audit, Lengths, TokenLengths, advice, audit
from sftframe.audit.kinds import KINDS, Finding, Kind, Sighting, find_kind
from sftframe.audit.page import audit_page

__all__ = [
    "KINDS",
    "Audit",
    "Cleaning",
    "Finding",
    "Kind",
    "Lengths",
    "Sighting",
    "TokenLengths",
    "advice",
    "audit",
    "audit_page",
    "check_target",
    "clean",
    "dropped_path",
    "find_kind",
    "kinds_to_drop",
    "settings_for",
    "write_clean",
]
