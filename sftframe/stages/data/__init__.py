"""The first step of a run: from a named source or a file to checked examples, and from those to the three parts.

Knows file formats and field names; knows nothing of prompt styles, tokens or models.
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
