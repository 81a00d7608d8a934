"""Reads what a chat template needs from a Hugging Face tokenizer's files: the template, and the special tokens as text.

A `chat_template.jinja` or `chat_template.json` next to the configuration wins, as in transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftframe.errors import ConfigError, brief
from sftframe.prompt_files.style import read_text

_CONFIG = "tokenizer_config.json"


def read_tokenizer_files(path: Path) -> str:
    """The document, as a run keeps it: `chat_template` (by name) and `tokens` (by name).

    Raises:
        ConfigError: there is no such file, it does not belong to a tokenizer, or it has no chat template.
    """
    config_path = path / _CONFIG if path.is_dir() else path
    is_template = config_path.suffix != ".json"
    config = {} if is_template else _read_json(config_path)
    templates = read_text(config_path) if is_template else _template_beside(config_path.parent, config)
    if not templates:
        raise ConfigError(
            f"{config_path} has no chat_template, and there is no chat_template.jinja next to it: the tokenizer of an "
            "instruction-tuned model has one"
        )
    document = {"chat_template": _by_name(templates, config_path), "tokens": _tokens(config)}
    return json.dumps(document, ensure_ascii=False, indent=1)


def _template_beside(folder: Path, config: Mapping[str, Any]) -> Any:
    jinja, separate = folder / "chat_template.jinja", folder / "chat_template.json"
    if jinja.is_file():
        return read_text(jinja)
    if separate.is_file():
        return _read_json(separate).get("chat_template")
    return config.get("chat_template")


def _by_name(templates: Any, path: Path) -> dict[str, str]:
    """One template is called `default`; a list of them has names."""
    if isinstance(templates, str):
        return {"default": templates}
    try:
        named = {str(each["name"]): str(each["template"]) for each in templates}
    except (TypeError, KeyError) as error:
        raise ConfigError(
            f"{path}: chat_template is {brief(templates)}; expected a text, or a list of name and template"
        ) from error
    return named


def _tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """Special tokens as text: a text, or an object with its `content`."""
    found = {}
    for key, value in config.items():
        text = value.get("content") if isinstance(value, Mapping) else value
        if key.endswith("_token") and isinstance(text, str):
            found[key] = text
    return found


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path} contains {brief(document)}; expected an object with a chat_template")
    return document
