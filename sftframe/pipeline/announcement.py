"""What a run is about to do, said before its first step: the pieces, the split, the lengths, and what looks wrong."""

from __future__ import annotations

from sftframe.pipeline.setup import Setup
from sftframe.progress import Observer
from sftframe.stages.data import num_duplicates


def announce(setup: Setup, observer: Observer) -> None:
    """Tell the observer: notes on what there is, warnings on cut or dropped examples and on repeated ones."""
    config, lengths, parts = setup.config, setup.material.lengths, setup.material.split
    observer.note(
        f"model {config.model.name} · prompt {config.prompt.name} · collate {config.collate.name} · "
        f"judge {config.judge.name} · data {config.data.source} · seed {config.seed}"
    )
    observer.note(
        f"{len(parts.train)} train, {len(parts.test)} test and {len(parts.validation)} validation examples; "
        f"tokens: mean {lengths.mean:.1f}, longest {lengths.longest}, at most {lengths.max_length}"
    )
    if lengths.over_long:
        observer.warn(
            f"{len(lengths.over_long)} examples are over {lengths.max_length} tokens: {lengths.num_dropped} dropped, "
            f"{lengths.num_truncated} cut by {lengths.num_tokens_cut} tokens"
        )
    num_repeated = num_duplicates(parts).test_in_train
    if num_repeated:
        observer.warn(f"{num_repeated} test examples stand in the training examples too")
