"""Reads a named source or a file into checked examples, and splits them into three parts."""

from sftframe.data.columns import HISTORY_SPEAKERS, setting_of, unused_columns_text
from sftframe.data.families import Families, likely_families
from sftframe.data.files import absolute_source, source_places
from sftframe.data.rows import DroppedRow, counted
from sftframe.data.sources import Dataset, load_answered, load_examples
from sftframe.data.splitting import Split, num_duplicates, split, torn_groups

__all__ = [
    "HISTORY_SPEAKERS",
    "Dataset",
    "DroppedRow",
    "Families",
    "Split",
    "absolute_source",
    "counted",
    "likely_families",
    "load_answered",
    "load_examples",
    "num_duplicates",
    "setting_of",
    "source_places",
    "split",
    "torn_groups",
    "unused_columns_text",
]
