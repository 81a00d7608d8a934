"""The first step of a run: reads a named source or a file into checked examples, and splits them into three parts.

Prompt styles, tokens and models are not used here.
"""

from sftframe.stages.data.answered import AnsweredDataset, load_answered
from sftframe.stages.data.columns import UnusedColumn, unused_columns_told
from sftframe.stages.data.parts import Duplicates, Split, num_duplicates, split
from sftframe.stages.data.sources import Dataset, load_examples

__all__ = [
    "AnsweredDataset",
    "Dataset",
    "Duplicates",
    "Split",
    "UnusedColumn",
    "load_answered",
    "load_examples",
    "num_duplicates",
    "split",
    "unused_columns_told",
]
