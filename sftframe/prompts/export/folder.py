"""The folder of an export: the model's own files, and those that are made from the prompt style."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sftframe.errors import ConfigError, PluginError, suggestion
from sftframe.files import check_target, require_space, whole_dir, write_json, write_whole
from sftframe.plugins import CausalLM, PromptStyle, Tokenizer
from sftframe.prompts.export.chat_template import chat_template
from sftframe.prompts.export.derived import PromptTemplate, control_tokens_in, derive_template
from sftframe.prompts.export.modelfile import bare_modelfile, left_out_of_modelfile, modelfile
from sftframe.records import Example, ExportSettings
from sftframe.version import __version__

CONTENTS = "sftframe-export.json"
"""The list of written files, with version and source."""
MODELFILE = "Modelfile"


def check_out(out: Path, *, force: bool) -> None:
    """Check that an export may be written to a folder; nothing is written.

    Args:
        force: replace the export that is there.

    Raises:
        ConfigError: it is a file, or contains something that must not be replaced.
    """
    here, place = Path.cwd().resolve(), out.resolve()
    if place == here or place in here.parents:
        raise ConfigError(f"{out} is the folder you are in, or above it: an export needs its own folder; see --out")
    check_target(out, "an export", _foreign, force=force)


def write_export(
    model: CausalLM,
    style: PromptStyle,
    out: Path,
    *,
    target: str,
    dtype: Literal["float32", "float16"],
    name: str,
    max_new_tokens: int,
) -> tuple[str, ...]:
    """Write a model with its prompt for other programs; an older export in `out` is replaced, see `check_out`.

    Args:
        target: one of the model's `export_targets`.
        dtype: of the matrices, `float32` or `float16`.
        name: the model's name.
        max_new_tokens: longest answer, as a default.

    Returns:
        What the prompt style writes and the export cannot, with the reason; a sentence each.

    Raises:
        ConfigError: the model has no such export, or the folder cannot be written.
        ModelError: a package is missing, or the weights do not fit the dtype.
        PluginError: the prompt style cannot be written as a template, or other programs would read it differently.
    """
    if target not in model.export_targets:
        raise ConfigError(f"--to: no export {target!r} for this model{suggestion(target, model.export_targets)}")
    from sftframe.prompts.tokens import ending_ids  # imports numpy, which listing must not

    template = _derived(style)
    left_out = () if template is None or style.chat_template is not None else template.left_out
    if target == "gguf":
        left_out = (*left_out, *_left_out_of_ollama(style, template, model))
    controls = control_tokens_in(style, model.tokenizer)
    if controls:
        raise PluginError(
            f"prompt style {style.name!r} cannot be exported: it writes {controls[0]!r}; other programs read that as "
            "one control token of this tokenizer, but the model was trained on its letters; train with a style that "
            "uses other words"
        )
    settings = ExportSettings(
        target=target,
        dtype=dtype,
        chat_template=_chat_template(style, template, model.tokenizer),
        max_new_tokens=max_new_tokens,
        name=name,
        end_ids=ending_ids(style, model.tokenizer),
    )
    texts = _texts_beside(model, style, template, settings)
    _require_space(model, out, dtype)
    with whole_dir(out.resolve()) as making:
        _fill(making, model, style, left_out, settings, texts)
    return left_out


def _derived(style: PromptStyle) -> PromptTemplate | None:
    """The template that a style follows; None if it has a chat template of its own that does not follow one.

    Raises:
        PluginError: it follows none, and has no chat template either.
    """
    try:
        return derive_template(style)
    except PluginError:
        if style.chat_template is None:
            raise
        return None


def _chat_template(style: PromptStyle, template: PromptTemplate | None, tokenizer: Tokenizer) -> str:
    """The style's own chat template as it is, else one that writes what the style and the tokenizer write."""
    if style.chat_template is not None or template is None:
        return style.chat_template or ""
    if not tokenizer.reads_control_names:
        return chat_template(template)
    names = {token_id: name for name, token_id in tokenizer.control_tokens.items()}
    begin = "".join(names[token_id] for token_id in tokenizer.begin_ids)
    is_begun = not begin or str(template.without_input[0]).startswith(begin)
    closes = any(name in template.answer_end for name in tokenizer.control_tokens)
    return chat_template(template, begin="" if is_begun else begin, closes_answers=closes)


def _left_out_of_ollama(style: PromptStyle, template: PromptTemplate | None, model: CausalLM) -> Iterator[str]:
    if template is not None:
        if style.chat_template is not None:
            yield from (f"in Ollama {reason}" for reason in template.left_out)
        yield from left_out_of_modelfile(template, _end_token(model))
        return
    yield (
        "the chat template in Ollama: it changes white space, which Ollama's language cannot; it takes the template "
        "that Ollama knows for such a model, or none"
    )


def _end_token(model: CausalLM) -> str:
    """The name that other programs read as the tokenizer's end token; empty if there is none."""
    names = (name for name, number in model.tokenizer.control_tokens.items() if number == model.tokenizer.end_id)
    return next(names, "")


def _texts_beside(
    model: CausalLM, style: PromptStyle, template: PromptTemplate | None, settings: ExportSettings
) -> dict[str, str]:
    """The files next to the model's own, by name."""
    if settings.target != "gguf":
        return {}
    sizes = {"context_length": model.context_length, "max_new_tokens": settings.max_new_tokens}
    if template is None:
        return {MODELFILE: bare_modelfile(style.name, style.stop_strings, **sizes)}
    return {MODELFILE: modelfile(template, **sizes, end_token=_end_token(model))}


def _fill(
    making: Path,
    model: CausalLM,
    style: PromptStyle,
    left_out: tuple[str, ...],
    settings: ExportSettings,
    texts: dict[str, str],
) -> None:
    try:
        model.export(making, settings)
    except OSError as error:
        raise ConfigError(f"cannot write the export: {error.strerror or error}; choose another --out") from error
    for name, text in texts.items():
        write_whole(making / name, text)
    contents = {
        "made_by": f"sftframe {__version__}",
        "target": settings.target,
        "dtype": settings.dtype,
        "prompt_style": style.name,
        "prompt": style.prompt_text(_NAMED),
        "prompt_with_input": style.prompt_text(replace(_NAMED, input="{input}")),
        "stop_strings": style.stop_strings,
        "left_out": left_out,
        "files": sorted([CONTENTS, *(path.relative_to(making).as_posix() for path in making.rglob("*"))]),
    }
    write_json(making / CONTENTS, contents)


_NAMED = Example(index=0, instruction="{instruction}", output="{response}")


def _foreign(out: Path) -> str:
    """A file that no earlier export wrote into the folder."""
    written: set[str] = set()
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        written = {name.partition("/")[0] for name in json.loads((out / CONTENTS).read_bytes())["files"]}
    foreign = min((path.name for path in out.iterdir() if path.name not in written), default="")
    return foreign and f"contains {foreign}, which no export wrote"


def _require_space(model: CausalLM, out: Path, dtype: str) -> None:
    num_weights = sum(parameter.numel() for parameter in model.module.parameters())
    needed = num_weights * (2 if dtype == "float16" else 4)
    require_space(out, needed, "the export")
