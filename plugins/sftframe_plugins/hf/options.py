"""What can be set for the `hf` backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sftframe import option


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the model is, and how much of it is trusted."""

    repo: str = option(
        "",
        "a repository on the Hugging Face hub, OWNER/NAME or OWNER/NAME@REVISION, or a folder; --model hf:REPO sets it "
        "as well",
        examples=["Qwen/Qwen3-0.6B", "./my-model"],
    )
    weights: Literal["pretrained", "random"] = option(
        "pretrained", "`pretrained`: those of the repository; `random`: new ones for its config.json"
    )
    context_length: int | None = option(
        None, "the most tokens of a row, where it should be less than the model can do", ge=2
    )
    allow_pickle: bool = option(
        False,
        "also read weights from pytorch_model.bin where there are no safetensors; only tensors are read from it, and "
        "no code in it is run",
    )
    ignore_unused: bool = option(
        False, "load a checkpoint although it has weights that the network has no place for; they are left out"
    )
