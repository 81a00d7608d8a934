"""Lets TRL prepare the bundled data, and writes what its model would see: `python -m benchmarks.trl_dump FOLDER`.

TRL renders nothing here: it gets our prompt and answer as text, and adds the end token itself. `sftframe preview
--against` compares the dumps; `tests/pipeline/dumps/` has some of them. Needs trl and datasets, which are in no extra.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

NUM_ROWS = 24
Rows = list[dict[str, str]]
Options = dict[str, Any]


def main() -> None:
    """Write one file of rows for each way in which TRL masks, a folder of `datasets`, and packed rows."""
    folder = Path(sys.argv[1])
    run, exported = folder / "run", folder / "exported"
    small = ("--limit", str(NUM_ROWS), "--max-steps", "1")
    sftframe = Path(sys.executable).with_name("sftframe")
    subprocess.run([sftframe, "run", *small, "-q", "--out", run], check=True)
    subprocess.run([sftframe, "export", run, "--to", "hf", "--out", exported, "-q"], check=True)
    rows = _texts()
    for name, options in {
        "completion": {"completion_only_loss": True},
        "whole": {"completion_only_loss": False},
    }.items():
        dataset = _prepared(rows, exported, folder / "trainer", options)
        dataset.to_json(folder / f"{name}.jsonl")
        dataset.save_to_disk(folder / f"{name}-folder")
        dataset.to_parquet(folder / f"{name}.parquet")
        _batches(rows, exported, folder / "trainer", options, folder / f"{name}-batches.jsonl")


def _texts() -> Rows:
    from sftframe import load_registry
    from sftframe.config import DataConfig
    from sftframe.data import load_examples, split
    from sftframe.records import Role

    style = load_registry().prompt_style("alpaca")
    dataset = load_examples(DataConfig(limit=NUM_ROWS))
    rows, answered = [], (Role.RESPONSE, Role.END)
    for example in split(dataset, DataConfig(limit=NUM_ROWS)).train:
        segments = list(style.segments(example))
        rows.append(
            {
                "prompt": "".join(part.text for part in segments if part.role not in answered),
                "completion": "".join(part.text for part in segments if part.role in answered),
            }
        )
    return rows


def _trainer(rows: Rows, exported: Path, folder: Path, options: Options) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    settings = SFTConfig(
        output_dir=str(folder), report_to=[], use_cpu=True, max_length=None, per_device_train_batch_size=8, **options
    )
    return SFTTrainer(model=str(exported), args=settings, train_dataset=Dataset.from_list(rows))


def _prepared(rows: Rows, exported: Path, folder: Path, options: Options) -> Any:
    return _trainer(rows, exported, folder, options).train_dataset


def _batches(rows: Rows, exported: Path, folder: Path, options: Options, path: Path) -> None:
    """What reaches the model: padded batches with labels."""
    import json

    trainer = _trainer(rows, exported, folder, options)
    dataset = trainer.train_dataset
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(dataset), 8):
            batch = trainer.data_collator([dataset[at] for at in range(start, min(start + 8, len(dataset)))])
            file.write(json.dumps({name: values.tolist() for name, values in batch.items()}) + "\n")


if __name__ == "__main__":
    main()
