"""`summary.json`: writes a run's `Summary` as a JSON document, and reads it.

Fields are added over time, never renamed, so unknown keys are ignored when reading. A number that is not finite is
`null` in the document, because JSON has no NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sftframe.errors import DataError
from sftframe.records import JudgeSummary, Summary, TrainSummary, Yardsticks

Document = Mapping[str, Any]
"""A JSON object."""


def summary_document(summary: Summary) -> dict[str, Any]:
    """The JSON object of a summary: strings, finite numbers, None, lists and dictionaries only.

    >>> yardsticks = Yardsticks(
    ...     response_nll_per_token=0.5, response_nll_per_byte=float("nan"), prompt_nll_per_token=2.0
    ... )
    >>> document = summary_document(Summary(
    ...     run="runs/one", prompt="alpaca", collate="mask-pad", model="gpt2-nano", data="starter", seed=1,
    ...     before=None, after=yardsticks, train=None,
    ... ))
    >>> document["before"], document["after"]["response_nll_per_token"], document["after"]["response_nll_per_byte"]
    (None, 0.5, None)
    """
    document: dict[str, Any] = _plain(asdict(summary))
    return document


def parse_summary(document: Document) -> Summary:
    """The summary in a document of `summary_document`; a required number that is `null` becomes NaN.

    Raises:
        DataError: a key is missing, or a value is of the wrong kind.
    """
    try:
        return Summary(
            run=str(document["run"]),
            prompt=str(document["prompt"]),
            collate=str(document["collate"]),
            model=str(document["model"]),
            data=str(document["data"]),
            seed=int(document["seed"]),
            before=_yardsticks(document["before"]),
            after=_yardsticks(document["after"]),
            train=_train(document["train"]),
            length_report={str(name): int(count) for name, count in document.get("length_report", {}).items()},
        )
    except KeyError as error:
        raise DataError(f"summary.json lacks the key {error}: {_ADVICE}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"summary.json contains a value of the wrong kind ({error}): {_ADVICE}") from error


_ADVICE = "expected the keys that sftframe writes; run the last stage on the run's folder again to write it again"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _yardsticks(document: Document | None) -> Yardsticks | None:
    if document is None:
        return None
    return Yardsticks(
        response_nll_per_token=_number(document["response_nll_per_token"]),
        response_nll_per_byte=_number(document["response_nll_per_byte"]),
        prompt_nll_per_token=_number(document["prompt_nll_per_token"]),
        exact_match=_optional(document["exact_match"]),
        stop_rate=_optional(document["stop_rate"]),
        length_ratio=_optional(document["length_ratio"]),
        judge=_judge(document["judge"]),
    )


def _judge(document: Document | None) -> JudgeSummary | None:
    if document is None:
        return None
    ends = document["ci95"]
    return JudgeSummary(
        name=str(document["name"]),
        mean=_optional(document["mean"]),
        ci95=None if ends is None else (_number(ends[0]), _number(ends[1])),
        num_scored=int(document["num_scored"]),
        num_items=int(document["num_items"]),
    )


def _train(document: Document | None) -> TrainSummary | None:
    if document is None:
        return None
    return TrainSummary(
        steps=int(document["steps"]),
        examples_seen=int(document["examples_seen"]),
        tokens_seen=int(document["tokens_seen"]),
        seconds=_number(document["seconds"]),
        tokens_per_s=_number(document["tokens_per_s"]),
        peak_memory_bytes=int(document["peak_memory_bytes"]),
        counted_share={str(role): _number(share) for role, share in document["counted_share"].items()},
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _optional(value: float | None) -> float | None:
    return None if value is None else float(value)
