"""A model of transformers as files: what a run keeps, and what other programs load."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoTokenizer, GenerationConfig, PreTrainedModel

from sftframe import ExportSettings, Tokenizer
from sftframe_plugins.export.tensors import cast
from sftframe_plugins.hf.gguf_file import export_gguf
from sftframe_plugins.hf.quietness import quiet

CONFIG_FILE = "config.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
GENERATION_CONFIG_FILE = "generation_config.json"
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja")
"""Where a tokenizer's folder may have chat templates beside its settings; these come first."""


def save(folder: Path, module: PreTrainedModel, tokenizer: Tokenizer) -> None:
    """Write a folder that `transformers.AutoModelForCausalLM` and `AutoTokenizer` load as well; see `CausalLM.save`."""
    _save_module(folder, module, _own_generation_config(module))
    tokenizer.save(folder)


def export(folder: Path, module: PreTrainedModel, tokenizer: Tokenizer, settings: ExportSettings) -> None:
    """Write the model for other programs; see `CausalLM.export`.

    Raises:
        ModelError: the form is not known, or a weight does not fit the dtype.
    """
    EXPORTS[settings.target](folder, module, tokenizer, settings)


def export_huggingface(folder: Path, module: PreTrainedModel, tokenizer: Tokenizer, settings: ExportSettings) -> None:
    """Write a folder for transformers: weights, tokenizer with the chat template, and how answers end.

    Raises:
        ModelError: a weight does not fit the dtype.
    """
    _save_module(folder, module, _generation_config(module, tokenizer, settings), _cast(module, settings.dtype))
    _add(folder / CONFIG_FILE, {"dtype": settings.dtype})
    tokenizer.save(folder)
    _set_chat_template(folder, tokenizer, settings.chat_template)


def _save_module(
    folder: Path, module: PreTrainedModel, generation: GenerationConfig, tensors: dict[str, Tensor] | None = None
) -> None:
    """Write weights and configuration; the module's own settings for answers stay as they are."""
    own = module.generation_config
    module.generation_config = generation
    try:
        with quiet():
            module.save_pretrained(folder, state_dict=tensors)
    finally:
        module.generation_config = own


def _own_generation_config(module: PreTrainedModel) -> GenerationConfig:
    """The model's settings for answers; where transformers refuses to write them, only its control tokens."""
    own: GenerationConfig = module.generation_config
    try:
        own.validate(strict=True)
    except ValueError:
        ids = {name: getattr(own, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        return GenerationConfig(**ids)
    return own


def _generation_config(module: PreTrainedModel, tokenizer: Tokenizer, settings: ExportSettings) -> GenerationConfig:
    """Greedy answers of the default length; every id that ends an answer of the model does so there too."""
    own = module.generation_config.eos_token_id
    others = own if isinstance(own, list) else [own]
    ends = [tokenizer.end_id, *settings.end_ids, *(end for end in others if end is not None)]
    ends = list(dict.fromkeys(ends))
    begins = tokenizer.begin_ids
    return GenerationConfig(
        bos_token_id=begins[0] if begins else module.generation_config.bos_token_id,
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=module.generation_config.pad_token_id or tokenizer.end_id,
        do_sample=False,
        max_new_tokens=settings.max_new_tokens,
    )


def _cast(module: PreTrainedModel, dtype: str) -> dict[str, Tensor]:
    """The weights in another precision, by name; tied ones stay one tensor, as transformers expects.

    Raises:
        ModelError: a number is too large for the dtype, or not finite.
    """
    made: dict[int, Tensor] = {}
    tensors = dict(module.state_dict())
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        if tensor.data_ptr() not in made or made[tensor.data_ptr()].shape != tensor.shape:
            made[tensor.data_ptr()] = cast(tensor, dtype, name)
        tensors[name] = made[tensor.data_ptr()]
    return tensors


def _set_chat_template(folder: Path, tokenizer: Tokenizer, template: str) -> None:
    """Have the tokenizer's files state the template, and no other one."""
    for pattern in TEMPLATE_FILES:
        for path in folder.glob(pattern):
            path.unlink()
    path = folder / TOKENIZER_CONFIG_FILE
    _add(path, {"chat_template": template}, {name: _end_name(tokenizer) for name in ("eos_token", "pad_token")})
    if _begins_with(folder, tokenizer.begin_ids):
        return
    names = {token_id: name for name, token_id in tokenizer.control_tokens.items()}
    begin = "".join(f"{{{{- {json.dumps(names[token_id])} -}}}}" for token_id in tokenizer.begin_ids)
    _add(path, {"chat_template": begin + template})


def _end_name(tokenizer: Tokenizer) -> str | None:
    """The end token's name in other programs."""
    names = (name for name, token_id in tokenizer.control_tokens.items() if token_id == tokenizer.end_id)
    return next(names, None)


def _begins_with(folder: Path, begin_ids: tuple[int, ...]) -> bool:
    """Whether a prompt of the chat template begins with the ids that the model was tuned with."""
    if not begin_ids:
        return True
    with quiet():
        theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        message = [{"role": "user", "content": "a"}]
        ids = theirs.apply_chat_template(message, tokenize=True, add_generation_prompt=True, return_dict=False)
    return tuple(ids[: len(begin_ids)]) == begin_ids


def _add(path: Path, more: Mapping[str, Any], missing: Mapping[str, Any] | None = None) -> None:
    """Change a JSON object in a file; the file is made if it is not there.

    Args:
        more: replaces what is there.
        missing: only for keys that are not there or null.
    """
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    content |= {key: value for key, value in (missing or {}).items() if content.get(key) is None}
    text = json.dumps(content | dict(more), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


EXPORTS: dict[str, Callable[[Path, PreTrainedModel, Tokenizer, ExportSettings], None]] = {
    "hf": export_huggingface,
    "gguf": export_gguf,
}
"""The function that writes each form."""
