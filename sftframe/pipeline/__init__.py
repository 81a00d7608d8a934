"""A whole run, and its stages one by one, as Python functions."""

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
from sftframe.pipeline.session import Session, announce_data, resume, run
from sftframe.pipeline.setup import (
    Components,
    PreparedData,
    backend_defaults,
    check_resources,
    chosen_components,
    prepare_data,
    resolve,
)
from sftframe.pipeline.tuned_model import FinishedRun, TunedModel

__all__ = [
    "BatchView",
    "Components",
    "FinishedRun",
    "PreparedData",
    "Previewed",
    "Session",
    "TokenView",
    "TunedModel",
    "announce_data",
    "backend_defaults",
    "check_made_with",
    "check_resources",
    "chosen_components",
    "count_targets",
    "count_tokens",
    "prepare_data",
    "read_data",
    "resolve",
    "resume",
    "run",
    "view_batches",
    "view_examples",
]
