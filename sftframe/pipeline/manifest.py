"""A run's manifest: what exactly went into it, so that it can be repeated, and refused when something has changed."""

from __future__ import annotations

import importlib.metadata
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import TypeAdapter

from sftframe import __version__
from sftframe.config import Layer, RunConfig, flattened, merge, read_toml, validate
from sftframe.device import describe_machine
from sftframe.errors import ConfigError, ModelError, PluginError, brief
from sftframe.interfaces import CausalLM, Component, PromptStyle, Tokenizer
from sftframe.pipeline.pairing import pairing_hashes, weights_hash
from sftframe.pipeline.setup import Components, Material, Setup
from sftframe.registry import Registry, Seam
from sftframe.runs import RunFolder, write_json, write_whole
from sftframe.stages.data import num_duplicates
from sftframe.stages.tokens import FIXED_EXAMPLES, encode_prompts, style_fingerprint

_CHANGEABLE = ("judge", "generate", "before", "max_failures", "device", "threads", "out")
"""Sections and keys that may differ each time a run is worked on."""
_REQUIRED = ("components", "data", "template", "tokenizer", "judge")
"""What the stages of an existing run read from its manifest."""
_TEXTS = ("judge", "data.source", "data.sha256", "template.sha256", "tokenizer.sha256")
_SECTIONS = ("components", "components.prompt")
_PACKAGES = ("torch", "tiktoken", "pydantic", "pluggy", "safetensors", "numpy", "ollama")


def write_config(folder: RunFolder, config: RunConfig, components: Components) -> None:
    """Write `config.toml` with every option of every component spelled out."""
    document = config.model_dump(mode="json", exclude_none=True, exclude={"out"})
    document["data"]["source"] = absolute_path_or_text(config.data.source)
    for seam, component in _by_seam(components).items():
        document[seam.value] = {"name": getattr(config, seam.value).name, **dumped_options(component)}
    document[Seam.JUDGE.value]["cache"] = config.judge.cache
    write_whole(folder.config_path, tomli_w.dumps(document))


def read_config(folder: RunFolder) -> RunConfig:
    """The configuration of an existing run."""
    return validate(read_toml(folder.config_path))


def read_changed_config(folder: RunFolder, layer: Layer) -> RunConfig:
    """The configuration of an existing run with a layer over it.

    Raises:
        ConfigError: the layer changes what the run was made with; only judge, generation and machine may change.
    """
    recorded = read_config(folder)
    config = validate(merge(recorded.model_dump(mode="json", exclude_none=True), layer))
    old, new = _fixed(recorded), _fixed(config)
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            raise ConfigError(
                f"{key} is {old.get(key)!r} in the run {folder.path} and cannot become {new.get(key)!r}: "
                "leave it out, or make a new run with it"
            )
    return config


def _fixed(config: RunConfig) -> dict[str, Any]:
    """What a run keeps from beginning to end, by full key."""
    pairs = flattened(config.model_dump(mode="json", exclude=set(_CHANGEABLE)))
    return {key: absolute_path_or_text(value) if isinstance(value, str) else value for key, value in pairs}


def dumped_options(component: Component) -> dict[str, Any]:
    """A component's options as JSON values, the unset ones left out."""
    values: dict[str, Any] = TypeAdapter(component.Options).dump_python(
        component.options, mode="json", exclude_none=True
    )
    return {key: absolute_path_or_text(value) if isinstance(value, str) else value for key, value in values.items()}


def absolute_path_or_text(value: str) -> str:
    """A path that exists as an absolute one, so that the run can be gone on with from another folder."""
    path = Path(value)
    try:
        is_path = (len(path.parts) > 1 or path.suffix != "") and path.exists()
    except OSError:  # too long for a path: a text
        return value
    return str(path.absolute()) if is_path else value


def write_manifest(folder: RunFolder, setup: Setup, model: CausalLM) -> None:
    """Write `manifest.json`.

    Args:
        model: as it is before the first step.
    """
    config, components, material = setup.config, setup.components, setup.material
    parts = material.split
    document = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"sftframe": __version__, **{name: importlib.metadata.version(name) for name in _PACKAGES}},
        "components": _described(config, components, setup.registry),
        "data": {
            "source": material.dataset.source,
            "sha256": material.dataset.sha256,
            "train": len(parts.train),
            "test": len(parts.test),
            "validation": len(parts.validation),
            "duplicates": asdict(num_duplicates(parts)),
            **_unused(material),
        },
        "lengths": asdict(material.lengths),
        "template": template_identity(components.style, components.tokenizer),
        "tokenizer": {"sha256": components.tokenizer.fingerprint, "vocab_size": components.tokenizer.vocab_size},
        "weights": dict(components.backend.identity),
        "judge": components.judge.identity,
        "seed": config.seed,
        "pairing": dict(pairing_hashes(setup, model)),
        "device": setup.device,
        "dtype": config.dtype,
        "machine": {
            **asdict(describe_machine()),
            **asdict(setup.process),
        },
    }
    write_json(folder.manifest_path, document)


def _unused(material: Material) -> dict[str, Any]:
    """What the data have and the run does not use; nothing where all is used."""
    names = [column.name for column in material.dataset.unused_columns]
    return {"unused_columns": names} if names else {}


def template_identity(style: PromptStyle, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the style writes and what it becomes: hash of the rendering, and ids of the fixed examples' prompts."""
    return {"sha256": style_fingerprint(style), "prompt_ids": encode_prompts(FIXED_EXAMPLES, style, tokenizer)}


def check_unchanged(folder: RunFolder, components: Components, material: Material | None = None) -> None:
    """Refuse to go on with a run whose template, tokenizer or data are not those it was started with.

    Raises:
        PluginError: the prompt style renders otherwise, or its ids differ.
        ModelError: the tokenizer is another.
        ConfigError: the data are others.
    """
    check_template(folder, components.style, components.tokenizer)
    recorded = read_manifest(folder)
    if material is not None and material.dataset.sha256 != recorded["data"]["sha256"]:
        raise ConfigError(
            f"{folder.path}: the data {material.dataset.source} have changed since this run was started: SHA-256 "
            f"{material.dataset.sha256[:12]}…, expected {recorded['data']['sha256'][:12]}…; restore them, or start anew"
        )


def check_weights(folder: RunFolder, model: CausalLM) -> None:
    """Refuse to go on with a run whose weights before training are not those it was started with.

    Raises:
        ModelError: they are others.
    """
    started_with = _at(read_manifest(folder), "pairing.initial_weights")
    found = weights_hash(model.module)
    if started_with not in (None, found):
        raise ModelError(
            f"{folder.path}: the weights before training are not those that this run was started with: SHA-256 "
            f"{found[:12]}…, expected {str(started_with)[:12]}…; restore them, or start anew"
        )


def check_template(folder: RunFolder, style: PromptStyle, tokenizer: Tokenizer) -> None:
    """Refuse a style or tokenizer that gives other prompts than those that the run's model was trained with.

    Raises:
        PluginError: the style renders otherwise, or its ids differ.
        ModelError: the tokenizer is another.
    """
    recorded = read_manifest(folder)
    found = template_identity(style, tokenizer)
    if recorded["template"] != found:
        what = "renders" if recorded["template"]["sha256"] != found["sha256"] else "is tokenised"
        made_with = defaultdict(lambda: "?", recorded["components"]["prompt"])
        raise PluginError(
            f"{folder.path}: prompt style {style.name!r} {what} otherwise than when this run was trained "
            f"(with {made_with['plugin']} {made_with['version']}): install that version, or train again"
        )
    if recorded["tokenizer"]["sha256"] != tokenizer.fingerprint:
        raise ModelError(
            f"{folder.path}: the tokenizer is another than when this run was trained: SHA-256 "
            f"{tokenizer.fingerprint[:12]}…, expected {recorded['tokenizer']['sha256'][:12]}…; restore it or train anew"
        )


def cuts_beginning(folder: RunFolder) -> bool:
    """Whether the run was begun when `truncate-prompt` cut the beginning of a prompt: a run keeps the rule it has."""
    document = read_manifest(folder)
    is_cut = _at(document, "lengths.num_truncated") not in (None, 0)
    return is_cut and _at(document, "lengths.prompt_cut") != "input"


def read_manifest(folder: RunFolder) -> Mapping[str, Any]:
    """The manifest of an existing run.

    Raises:
        ConfigError: it is missing or damaged.
    """
    try:
        document: Mapping[str, Any] = json.loads(folder.manifest_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read {folder.manifest_path}: {error}; is {folder.path} a run's folder?") from error
    missing = [key for key in _REQUIRED if not isinstance(document, dict) or key not in document]
    if missing:
        raise ConfigError(
            f"{folder.manifest_path} has no {missing[0]!r}: it was not written by this version of sftframe, or changed"
        )
    for kind, names in ((str, _TEXTS), (Mapping, _SECTIONS)):
        wrong = next((name for name in names if not isinstance(_at(document, name), kind)), None)
        if wrong is not None:
            raise ConfigError(
                f"{folder.manifest_path}: {wrong} is {brief(_at(document, wrong))}, expected "
                f"{'text' if kind is str else 'an object'}: the file was changed or is damaged"
            )
    return document


def providers(folder: RunFolder) -> dict[Seam, str]:
    """The id of the plugin that each of a run's components came from, as far as its manifest says."""
    components = read_manifest(folder)["components"]
    found = {seam: _at(components, f"{seam.value}.plugin") for seam in Seam}
    return {seam: plugin for seam, plugin in found.items() if isinstance(plugin, str)}


def _at(document: object, name: str) -> object:
    """The value under a dotted name; None where there is none."""
    for key in name.split("."):
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def record_judge(folder: RunFolder, config: RunConfig, components: Components, registry: Registry) -> None:
    """Write into the manifest which judge the verdicts are from; its digest is known once it was checked."""
    document = dict(read_manifest(folder))
    document["judge"] = components.judge.identity
    document["components"] = {
        **document["components"],
        Seam.JUDGE.value: _described(config, components, registry)["judge"],
    }
    write_json(folder.manifest_path, document)


def _by_seam(components: Components) -> dict[Seam, Component]:
    return {
        Seam.PROMPT: components.style,
        Seam.COLLATE: components.strategy,
        Seam.MODEL: components.backend,
        Seam.JUDGE: components.judge,
    }


def _described(config: RunConfig, components: Components, registry: Registry) -> dict[str, Any]:
    described = {}
    for seam, component in _by_seam(components).items():
        provider = registry.provider(seam, getattr(config, seam.value).name)
        described[seam.value] = {
            "name": component.name,
            "plugin": provider.id,
            "version": provider.version,
            "options": dumped_options(component),
        }
    return described
