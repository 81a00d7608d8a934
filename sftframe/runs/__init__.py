"""Runs on disk: a run's folder and its files, records that are read back, and the list of all runs."""

from sftframe.runs.folder import RunFolder
from sftframe.runs.listing import ListedRun, check_is_run, delete_run, free_run, runs_in
from sftframe.runs.records import read_json, read_object, read_record, read_records

__all__ = [
    "ListedRun",
    "RunFolder",
    "check_is_run",
    "delete_run",
    "free_run",
    "read_json",
    "read_object",
    "read_record",
    "read_records",
    "runs_in",
]
