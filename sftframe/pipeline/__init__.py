"""A whole run, and its stages one by one, as Python functions."""

from sftframe.pipeline.against import Against, RowDifference, Token, compare_dump, our_rows
from sftframe.pipeline.announcement import (
    about_columns,
    about_groups,
    about_turns,
    about_unweighted_tests,
    announce_data,
)
from sftframe.pipeline.dumps import read_dump
from sftframe.pipeline.manifest import check_made_with
from sftframe.pipeline.preview import (
    BatchView,
    Previewed,
    TokenView,
    count_targets,
    count_tokens,
    read_data,
    view_batches,
    view_examples,
)
from sftframe.pipeline.session import Session, resume, run
from sftframe.pipeline.setup import (
    Components,
    PreparedData,
    backend_defaults,
    check_last_answers,
    check_resources,
    chooses_prompt,
    chosen_components,
    prepare_data,
    resolve,
)
from sftframe.pipeline.tuned_model import FinishedRun, TunedModel

__all__ = [
    "Against",
    "BatchView",
    "Components",
    "FinishedRun",
    "PreparedData",
    "Previewed",
    "RowDifference",
    "Session",
    "Token",
    "TokenView",
    "TunedModel",
    "about_columns",
    "about_groups",
    "about_turns",
    "about_unweighted_tests",
    "announce_data",
    "backend_defaults",
    "check_last_answers",
    "check_made_with",
    "check_resources",
    "chooses_prompt",
    "chosen_components",
    "compare_dump",
    "count_targets",
    "count_tokens",
    "our_rows",
    "prepare_data",
    "read_data",
    "read_dump",
    "resolve",
    "resume",
    "run",
    "view_batches",
    "view_examples",
]
