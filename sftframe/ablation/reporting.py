"""The report of an ablation: one page about all of its arms.

It is written to `report.html` in the ablation's folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress

from sftframe.ablation.grid import Arm
from sftframe.ablation.running import Ablation, CellResult
from sftframe.comparison import ComparisonResult
from sftframe.comparison.report import PageInput, comparison_page, read_arm_curves
from sftframe.config import merge
from sftframe.consent import accepting, claims_of, unaccepted
from sftframe.errors import SftframeError
from sftframe.files import write_whole
from sftframe.pipeline.preview import view_examples
from sftframe.pipeline.setup import Components, resolve
from sftframe.registry import Registry
from sftframe.stages.data import load_examples, split
from sftframe.stages.tokens import tokenize

ShownTokens = list[tuple[str, str, bool, float]]
"""Text, role label, whether it counts as a target, weight."""


def write_ablation_report(
    ablation: Ablation,
    result: ComparisonResult,
    cells: Sequence[CellResult],
    *,
    warn: Callable[[str], None] = lambda text: None,
) -> None:
    """Write `report.html`.

    Args:
        warn: gets what is left out.

    Raises:
        DataError: a run's `metrics.jsonl` is damaged.
    """
    folder = ablation.folder
    page = PageInput(
        result=result,
        title=str(folder.path),
        failed_cells=[(one.cell.name, one.error) for one in cells if one.error],
        curves=read_arm_curves(result.arms),
        gradients=folder.read_gradients(),
        command=shlex.join(["sftframe", "ablate", "--config", str(folder.plan_path), "--out", f"{folder.path}-again"]),
        token_examples=_token_examples(ablation, result, warn),
    )
    write_whole(folder.report_path, comparison_page(page))


def _token_examples(
    ablation: Ablation, result: ComparisonResult, warn: Callable[[str], None]
) -> dict[str, ShownTokens]:
    path = ablation.folder.path
    unknown = unaccepted(claims_of(ablation.folder.read_plan(), ablation.registry, inside=[path], asks_judge=False))
    if unknown:
        words = "; ".join(claim.words for claim in unknown)
        warn(f"no example is shown as tokens, because sftframe would {words}; accept it with: {accepting(path)}")
        return {}
    arms = {arm.name: arm for arm in ablation.plan.grid.arms}
    found: dict[str, ShownTokens] = {}
    for compared in result.arms:
        with suppress(SftframeError):  # without its vocabulary the example is missing, not the report
            found[compared.name] = _tokens_of(arms[compared.name], compared.any_run().seed, ablation.registry)
    return {name: tokens for name, tokens in found.items() if tokens}


def _tokens_of(arm: Arm, seed: int, registry: Registry) -> ShownTokens:
    """Tokens of the first example with an input in the first batch in file order; of its first if none has one."""
    config = resolve(merge(arm.layer, {"seed": seed}), registry)
    components = Components.choose(config, registry)
    batch = split(load_examples(config.data), config.data).train[: config.train.batch_size]
    chosen = next((example for example in batch if example.input), batch[0])
    store, _ = tokenize(
        batch,
        components.style,
        components.tokenizer,
        config.tokens,
        context_length=components.backend.context_length(None),
    )
    return [
        (token.text, token.role, token.weight > 0, token.weight)
        for example, tokens in view_examples(components, store, len(store))
        if example.index == chosen.index
        for token in tokens
    ]
