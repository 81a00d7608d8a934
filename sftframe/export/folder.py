"""Writes the folder of an export: checks the place, and writes all files or none.

The model writes its own files. Next to them come the `Modelfile`, if the form has one, and a list of all written files.
A later export replaces only the files on that list.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

from sftframe import __version__
from sftframe.errors import ConfigError, PluginError, suggestion
from sftframe.export.chat_template import chat_template
from sftframe.export.modelfile import modelfile
from sftframe.export.template import PromptTemplate, control_tokens_in, derive_template
from sftframe.files import whole_dir, write_json, write_whole
from sftframe.interfaces import CausalLM, PromptStyle
from sftframe.records import ExportSettings

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
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file: --out needs a folder, a new one or an empty one")
    here, place = Path.cwd().resolve(), out.resolve()
    if place == here or place in here.parents:
        raise ConfigError(f"{out} is the folder you are in, or above it: an export needs its own folder; see --out")
    entries = {path.name for path in out.iterdir()} if out.exists() else set()
    if not entries:
        return
    foreign = sorted(entries - _written_before(out))
    if foreign:
        raise ConfigError(
            f"{out} contains {foreign[0]}, which no export wrote: sftframe does not change the folder, --force or not; "
            "choose another --out"
        )
    if not force:
        raise ConfigError(f"{out} contains an export already: choose another --out, or replace it with --force")


def write_export(
    model: CausalLM,
    style: PromptStyle,
    out: Path,
    *,
    target: str,
    dtype: Literal["float32", "float16"],
    name: str,
    max_new_tokens: int,
) -> None:
    """Write a model with its prompt for other programs; an older export in `out` is replaced, see `check_out`.

    Args:
        target: one of the model's `export_targets`.
        dtype: of the matrices, `float32` or `float16`.
        name: the model's name.
        max_new_tokens: longest answer, as a default.

    Raises:
        ConfigError: the model has no such export, or the folder cannot be written.
        ModelError: a package is missing, or the weights do not fit the dtype.
        PluginError: the prompt style cannot be written as a template, or other programs would read it differently.
    """
    if target not in model.export_targets:
        raise ConfigError(f"--to: no export {target!r} for this model{suggestion(target, model.export_targets)}")
    template = derive_template(style)
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
        chat_template=chat_template(template),
        max_new_tokens=max_new_tokens,
        name=name,
    )
    texts = _texts_beside(model, template, settings)
    _require_space(model, out, dtype)
    with whole_dir(out.resolve()) as making:
        _fill(making, model, template, settings, texts)


def _texts_beside(model: CausalLM, template: PromptTemplate, settings: ExportSettings) -> dict[str, str]:
    """The files next to the model's own, by name."""
    if settings.target != "gguf":
        return {}
    text = modelfile(template, context_length=model.context_length, max_new_tokens=settings.max_new_tokens)
    return {MODELFILE: text}


def _fill(
    making: Path, model: CausalLM, template: PromptTemplate, settings: ExportSettings, texts: dict[str, str]
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
        "prompt_style": template.style,
        "prompt": template.render("{instruction}"),
        "prompt_with_input": template.render("{instruction}", "{input}"),
        "stop_strings": template.stop_strings,
        "files": sorted([CONTENTS, *(path.relative_to(making).as_posix() for path in making.rglob("*"))]),
    }
    write_json(making / CONTENTS, contents)


def _written_before(out: Path) -> set[str]:
    """Names of the files that an earlier export wrote into a folder."""
    try:
        content = json.loads((out / CONTENTS).read_text(encoding="utf-8"))
        return {name.partition("/")[0] for name in content["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _require_space(model: CausalLM, out: Path, dtype: str) -> None:
    num_weights = sum(parameter.numel() for parameter in model.module.parameters())
    needed = num_weights * (2 if dtype == "float16" else 4)
    place = next(path for path in (out.resolve(), *out.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise ConfigError(
            f"not enough disk: the export needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free at {place}; "
            "make room, or choose a folder on another disk with --out"
        )
