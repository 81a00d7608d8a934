"""The judges that come with sftframe: `reference` compares with known answers, `ollama` and `openai` ask a model."""

from __future__ import annotations

from collections.abc import Iterable

from sftframe import Judge, hookimpl
from sftframe_plugins.judges.ollama import OllamaJudge
from sftframe_plugins.judges.openai import OpenAIJudge
from sftframe_plugins.judges.reference import ReferenceJudge


@hookimpl
def sftframe_judges() -> Iterable[type[Judge]]:
    """All judges of this plugin."""
    return (ReferenceJudge, OllamaJudge, OpenAIJudge)
