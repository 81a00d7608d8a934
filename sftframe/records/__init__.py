"""The records that pass from one stage to the next: frozen dataclasses, keyword-only, without behaviour.

    data ──> prompt style ──> tokens ──> collate ──> train ──> generate ──> judge ──> report
    Example   [Segment]   TokenizedExample  Batch   StepRecord  Response   Verdict   Summary

Nothing here imports torch or numpy.
"""

from sftframe.records.answers import Completion, ExportSettings, GenerationSettings, Response, StopReason
from sftframe.records.batches import Batch, EvalBatch, StepData
from sftframe.records.examples import Example, Role, Segment, TokenizedExample
from sftframe.records.results import ItemResult, JudgeSummary, Summary, TrainSummary, Yardsticks
from sftframe.records.training import EvalRecord, Likelihood, StepRecord
from sftframe.records.verdicts import JudgeItem, JudgePair, Preference, Verdict, VerdictStatus, Winner

__all__ = [
    "Batch",
    "Completion",
    "EvalBatch",
    "EvalRecord",
    "Example",
    "ExportSettings",
    "GenerationSettings",
    "ItemResult",
    "JudgeItem",
    "JudgePair",
    "JudgeSummary",
    "Likelihood",
    "Preference",
    "Response",
    "Role",
    "Segment",
    "StepData",
    "StepRecord",
    "StopReason",
    "Summary",
    "TokenizedExample",
    "TrainSummary",
    "Verdict",
    "VerdictStatus",
    "Winner",
    "Yardsticks",
]
