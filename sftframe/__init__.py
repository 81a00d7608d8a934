"""sftframe: instruction fine-tuning of GPT-2-class models, piece by piece, with comparisons that can be trusted.

All that a plugin author may import is in `__all__`; everything else is internal. `RunConfig`, `run` and
`load_registry` are loaded on first use, so that `import sftframe` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sftframe.errors import ConfigError, DataError, JudgeError, ModelError, PluginError, SftframeError, TrainingError
from sftframe.plugins import (
    IGNORED,
    CausalLM,
    CellEvent,
    CellOutcome,
    CellTask,
    CollateStrategy,
    Component,
    Contact,
    Judge,
    Launch,
    Launcher,
    ModelBackend,
    NoOptions,
    PromptStyle,
    Tokenizer,
    hookimpl,
    option,
)
from sftframe.records import (
    Batch,
    Completion,
    EvalRecord,
    Example,
    ExportSettings,
    GenerationSettings,
    JudgeItem,
    JudgePair,
    Preference,
    Response,
    Role,
    Segment,
    StepRecord,
    Summary,
    TokenizedExample,
    Turn,
    Verdict,
    Yardsticks,
)
from sftframe.version import __version__

if TYPE_CHECKING:
    from sftframe.compaction import (
        CompactAttention,
        CompactBatch,
        GroupedAttention,
        compact,
        select_states,
        term_nll,
        tied_embedding,
        weighted_loss,
    )
    from sftframe.config import RunConfig
    from sftframe.files import check_plain, read_named_file, read_named_text
    from sftframe.judging import compare_answers, judge_file
    from sftframe.network.downloads import cache_dir, fetch
    from sftframe.network.http import http_client, http_transport, why_unreachable
    from sftframe.network.routes import NetworkError, TooLargeError, find_route
    from sftframe.pipeline import resume, run
    from sftframe.plugins.decoding import Answer, Sampler, check_fits
    from sftframe.progress import Observer, Sample
    from sftframe.registry import Registry, load_registry
    from sftframe.training import Callback, Pause, RunEnd, RunStart

__all__ = [
    "IGNORED",
    "Answer",
    "Batch",
    "Callback",
    "CausalLM",
    "CellEvent",
    "CellOutcome",
    "CellTask",
    "CollateStrategy",
    "CompactAttention",
    "CompactBatch",
    "Completion",
    "Component",
    "ConfigError",
    "Contact",
    "DataError",
    "EvalRecord",
    "Example",
    "ExportSettings",
    "GenerationSettings",
    "GroupedAttention",
    "Judge",
    "JudgeError",
    "JudgeItem",
    "JudgePair",
    "Launch",
    "Launcher",
    "ModelBackend",
    "ModelError",
    "NetworkError",
    "NoOptions",
    "Observer",
    "Pause",
    "PluginError",
    "Preference",
    "PromptStyle",
    "Registry",
    "Response",
    "Role",
    "RunConfig",
    "RunEnd",
    "RunStart",
    "Sample",
    "Sampler",
    "Segment",
    "SftframeError",
    "StepRecord",
    "Summary",
    "TokenizedExample",
    "Tokenizer",
    "TooLargeError",
    "TrainingError",
    "Turn",
    "Verdict",
    "Yardsticks",
    "__version__",
    "cache_dir",
    "check_fits",
    "check_plain",
    "compact",
    "compare_answers",
    "fetch",
    "find_route",
    "hookimpl",
    "http_client",
    "http_transport",
    "judge_file",
    "load_registry",
    "option",
    "read_named_file",
    "read_named_text",
    "resume",
    "run",
    "select_states",
    "term_nll",
    "tied_embedding",
    "weighted_loss",
    "why_unreachable",
]

_LAZY = {
    "CompactAttention": "sftframe.compaction",
    "CompactBatch": "sftframe.compaction",
    "GroupedAttention": "sftframe.compaction",
    "compact": "sftframe.compaction",
    "select_states": "sftframe.compaction",
    "term_nll": "sftframe.compaction",
    "tied_embedding": "sftframe.compaction",
    "weighted_loss": "sftframe.compaction",
    "Answer": "sftframe.plugins.decoding",
    "Callback": "sftframe.training",
    "Pause": "sftframe.training",
    "RunEnd": "sftframe.training",
    "RunStart": "sftframe.training",
    "Registry": "sftframe.registry",
    "RunConfig": "sftframe.config",
    "Sampler": "sftframe.plugins.decoding",
    "cache_dir": "sftframe.network.downloads",
    "Observer": "sftframe.progress",
    "Sample": "sftframe.progress",
    "check_fits": "sftframe.plugins.decoding",
    "check_plain": "sftframe.files",
    "compare_answers": "sftframe.judging",
    "fetch": "sftframe.network.downloads",
    "find_route": "sftframe.network.routes",
    "http_client": "sftframe.network.http",
    "http_transport": "sftframe.network.http",
    "why_unreachable": "sftframe.network.http",
    "NetworkError": "sftframe.network.routes",
    "TooLargeError": "sftframe.network.routes",
    "judge_file": "sftframe.judging",
    "load_registry": "sftframe.registry",
    "read_named_file": "sftframe.files",
    "read_named_text": "sftframe.files",
    "resume": "sftframe.pipeline",
    "run": "sftframe.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'sftframe' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
