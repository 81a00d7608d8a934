"""Runs on disk: a run's folder and its files, records that are read back, and the list of all runs."""

from sftframe.runs.listing import ListedRun, check_is_run, delete_run, free_run, runs_in
from sftframe.runs.records import read_json, read_object, read_record, read_records
from sftframe.runs.settings import (
    absolute_path_or_text,
    accept_changes,
    check_settings,
    fixed_settings,
    kept_settings,
    last_change,
    load_run,
    read_changed_config,
    setting_in_words,
)
from sftframe.runs.store import AnswerFiles, Label, LoadedRun, RunStore, manifest_entry

__all__ = [
    "AnswerFiles",
    "Label",
    "ListedRun",
    "LoadedRun",
    "RunStore",
    "absolute_path_or_text",
    "accept_changes",
    "check_is_run",
    "check_settings",
    "delete_run",
    "fixed_settings",
    "free_run",
    "kept_settings",
    "last_change",
    "load_run",
    "manifest_entry",
    "read_changed_config",
    "read_json",
    "read_object",
    "read_record",
    "read_records",
    "runs_in",
    "setting_in_words",
]
