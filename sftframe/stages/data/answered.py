"""Files of answered examples: instruction data with a model's answer in every entry, as the chapter writes them.

The file does not say which model answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sftframe.stages.data.examples import to_answers
from sftframe.stages.data.fields import FieldNames
from sftframe.stages.data.sources import Dataset, first_entries, make_dataset, parse_entries, read_source

if TYPE_CHECKING:
    from sftframe.config import DataConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredDataset:
    """Examples with an answer each."""

    dataset: Dataset
    answers: tuple[str, ...]
    """One per example, in their order."""


def load_answered(config: DataConfig) -> AnsweredDataset:
    """The answered examples in the file `data.source`, all of them checked.

    The answer is the field `model_response`, or the one that `data.fields.response` names; it may be empty.

    Raises:
        DataError: no such file, a file that cannot be read, or an entry that cannot be used; names entry and field.
        ConfigError: `data.fields` gives two fields the same name in the file.
    """
    names = FieldNames.of(config.fields, has_response=True)
    suffix, data = read_source(config.source)
    entries = first_entries(parse_entries(data, suffix, config.source, names), config.limit)
    dataset = make_dataset(data, entries, config.source, names)
    return AnsweredDataset(dataset=dataset, answers=to_answers(entries, config.source, names))
