"""Reads a model's `config.json`, and refuses what is no causal language model that can be trained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

from sftframe import ModelError, read_named_text
from sftframe_plugins.hf.quietness import quiet

CONFIG = "config.json"

LENGTH_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx")
"""Names under which a `config.json` has the most positions of a row."""


def read_configuration(folder: Path, name: str) -> Any:
    """The configuration, an object of transformers.

    Args:
        name: the model's name in messages.

    Raises:
        ModelError: it cannot be read, or the model cannot be trained here; the message says why and what to do.
    """
    values = _read(folder / CONFIG)
    problem = next(_problems(values), None)
    if problem is not None:
        raise ModelError(f"{name} {problem}")
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except THEIR_ERRORS as error:
        raise ModelError(f"{folder / CONFIG} is no valid configuration: {one_line(error)}") from error
    _forget_instructions(config)
    if config.is_encoder_decoder:
        raise ModelError(f"{name} {_encoder_decoder(config.model_type)}")
    if not _is_of_text_alone(config):
        raise ModelError(f"{name} {_OTHER_INPUT}")
    return config


_INSTRUCTIONS = ("auto_map", "fusion_config", "transformers_weights")
"""What a `config.json` may tell the library to load or replace; a network needs none of it."""


def _forget_instructions(config: Any) -> None:
    """Leave only what describes the network: an implementation may be named by a repository with code."""
    config._attn_implementation = None
    config._experts_implementation = None
    for name in _INSTRUCTIONS:
        vars(config).pop(name, None)


def _is_of_text_alone(config: Any) -> bool:
    """Whether the configuration is that of a language model, not of one that contains a language model."""
    try:
        return config.get_text_config() is config
    except ValueError:  # several parts could be it
        return False


def own_context_length(config: Any) -> int | None:
    """The most positions of a row by the configuration; None where the model has no limit."""
    lengths = [getattr(config, key, None) for key in LENGTH_KEYS]
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


THEIR_ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ImportError, EOFError),
    SafetensorError,
    StrictDataclassError,
)
"""What transformers raises for files that it cannot use."""


def one_line(error: BaseException) -> str:
    """The error in one line, with its first words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:200]}"


_OTHER_INPUT = (
    "also takes pictures or sound, and sftframe trains language models on text alone: name a model of text, such as "
    "the text part of this one saved by itself"
)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(read_named_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read {path}: {one_line(error)}; expected a JSON object; fetch it again") from error
    if not isinstance(values, dict):
        raise ModelError(f"cannot read {path}: found a JSON {type(values).__name__}, expected an object")
    return values


def _problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Why the model cannot be trained, by its `config.json`; the gravest reason first."""
    kind = values.get("model_type")
    if not isinstance(kind, str) or not kind:
        yield "has a config.json without model_type: it is no model of transformers"
        return
    remote = values.get("auto_map")
    if kind not in transformers.CONFIG_MAPPING:
        yield _unknown(kind, has_code=bool(remote))
        return
    if values.get("is_encoder_decoder") or kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        yield _encoder_decoder(kind)
    if any(key in values for key in ("vision_config", "audio_config")):
        yield _OTHER_INPUT
    quantised = values.get("quantization_config") or values.get("compression_config")
    if quantised:
        way = quantised.get("quant_method", "") if isinstance(quantised, Mapping) else ""
        yield (
            f"is quantised{f' ({way})' if way else ''}: such weights cannot be trained; name the model that it was "
            "made from"
        )
    yield from _other_tasks(kind, values)


def _encoder_decoder(kind: str) -> str:
    return f"is an encoder-decoder model ({kind}), and sftframe trains models with a decoder alone"


def _unknown(kind: str, *, has_code: bool) -> str:
    known = f"transformers {transformers.__version__} has no model type {kind!r}"
    if has_code:
        return (
            f"comes with Python code of its own, and {known}: sftframe runs no code from a repository (there is no "
            "trust_remote_code); name a model that transformers has, or a newer transformers if it has this one"
        )
    return f"needs another transformers: {known}; update it with pip install -U transformers"


def _other_tasks(kind: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Refusals of encoders, and of networks with another head."""
    wanted, body = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind), MODEL_MAPPING_NAMES.get(kind)
    if wanted is None:
        yield f"is no causal language model: transformers has no class for model type {kind!r} that writes text"
        return
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not values.get("is_decoder"):
        yield f"is an encoder ({kind}): every token sees the later ones, so it cannot write; name a decoder"
    named = values.get("architectures")
    bodies = {body} if isinstance(body, str) else set(body or ())
    if isinstance(named, list) and named and not set(map(str, named)) & {wanted, *bodies}:
        yield f"is a {named[0]}, not a {wanted}: it has another head, or none; name the language model it was made from"
