"""A run's manifest: what exactly a run was made of. With it a run can be repeated, and changes are found."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w
import torch
from pydantic import TypeAdapter
from torch import nn

from sftframe.config import Layer, RunConfig, flattened, merge, read_toml, validate
from sftframe.data import num_duplicates
from sftframe.device import describe_machine
from sftframe.errors import ConfigError, ModelError, PluginError, brief
from sftframe.files import plain, write_json, write_whole
from sftframe.pipeline.setup import Components, PreparedData, Setup, resolve
from sftframe.plugins import CausalLM, Component, PromptStyle, Tokenizer
from sftframe.prompts.tokens import FIXED_EXAMPLES, encode_prompts, style_fingerprint
from sftframe.registry import Registry, Seam
from sftframe.runs import RunFolder, read_object
from sftframe.training import StepLoader
from sftframe.version import __version__


def pairing_hashes(setup: Setup, model: CausalLM) -> Mapping[str, str]:
    """SHA-256 by name.

    `data`: the file. `split`: which examples train, validate and test. `test`: which examples are asked, in order.
    `initial_weights`: every parameter and buffer before the first step. `order`: which examples each batch of each
    optimizer step has.
    """
    prepared, config = setup.prepared, setup.config
    parts = {part: getattr(prepared, part).indices for part in ("train", "validation", "test")}
    loader = StepLoader(prepared.train, setup.components.strategy, config.train, seed=config.seed)
    return {
        "data": prepared.dataset.sha256,
        "split": _hashed(f"{part} {indices}" for part, indices in parts.items()),
        "test": _hashed([str([example.index for example in prepared.test_examples()])]),
        "initial_weights": weights_hash(model.module),
        "order": _hashed(str(groups) for groups in loader.schedule()),
    }


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers, with their names, shapes and dtypes; half a second per GB."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def _hashed(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


_CHANGEABLE = ("judge", "generate", "before", "max_failures", "device", "threads", "out")
"""Sections and keys that may change each time a command works on a run."""
_FREE = tuple(
    f"train.{key}"
    for key in (
        "checkpoint_every",
        "keep_checkpoints",
        "keep_best",
        "log_every",
        "compile",
        "compact",
        "gradient_checkpointing",
    )
)
"""Settings that change what is kept or how fast it is, but not what is trained."""
_ACCEPTABLE = ("train.", "seed", "dtype")
"""Settings that may be changed in the middle of a run, with `--accept-changes`."""
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
    """The configuration of an existing run, changed by a layer.

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
    """What a run keeps from beginning to end, by full key; the data's hash takes the place of their path."""
    pairs = flattened(config.model_dump(mode="json", exclude=set(_CHANGEABLE)))
    return {
        key: absolute_path_or_text(value) if isinstance(value, str) else value
        for key, value in pairs
        if key != "data.source"
    }


def _kept_settings(config: RunConfig) -> dict[str, Any]:
    """The settings that decide what is trained: those of `_fixed` that are set and not free."""
    kept = {key: value for key, value in _fixed(config).items() if value is not None and key not in _FREE}
    made: dict[str, Any] = plain(kept)
    return made


def changed_settings(folder: RunFolder) -> dict[str, tuple[Any, Any]]:
    """By full key the value in `config.toml` when the run was started and the value now, where these differ.

    Another path is no change by itself: the hashes of the files are compared.
    """
    recorded, now = read_manifest(folder), _kept_settings(read_config(folder))
    then = recorded.get("settings")
    if not isinstance(then, Mapping):  # an older run: what is known
        then = {key: recorded[key] for key in ("seed", "dtype") if key in recorded}
        now = {key: now.get(key) for key in then}
    # a default of a newer version is no change
    written = {key for key, _ in flattened(merge(read_toml(folder.config_path)))}
    now = {key: value for key, value in now.items() if key in then or key in written}
    pairs = {key: (then.get(key), now.get(key)) for key in sorted({*then, *now})}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1] and not all(map(_is_absolute, pair))}


def check_settings(folder: RunFolder, *, is_trained: bool) -> None:
    """Refuse to resume a run if its configuration was edited so that something else would be trained.

    Raises:
        ConfigError: the configuration was edited; the message says what was changed and what to do.
    """
    changes = changed_settings(folder)
    if not changes:
        return
    listed = ", ".join(f"{key} is {_shown(now)} and was {_shown(then)}" for key, (then, now) in changes.items())
    way = (
        f"or train its model further in a new run, with --set model.weights={folder.model_dir}"
        if is_trained
        else f"accept the change with sftframe run --resume {folder.path} --accept-changes, or make a new run"
    )
    raise ConfigError(f"{folder.config_path} was changed since this run was started: {listed}; put it back, {way}")


def accept_changes(folder: RunFolder, *, step: int) -> str:
    """Write into the manifest which settings differ from a step on; the run continues with them.

    Args:
        step: the last step that was taken with the old settings.

    Returns:
        The changes in words; empty where there are none.

    Raises:
        ConfigError: a setting was changed that a run keeps from beginning to end.
    """
    changes = changed_settings(folder)
    refused = [key for key in changes if not key.startswith(_ACCEPTABLE)]
    if refused:
        then, now = changes[refused[0]]
        raise ConfigError(
            f"{folder.config_path}: {refused[0]} is {_shown(now)} and was {_shown(then)}: a run keeps it from "
            "beginning to end; put it back, or make a new run"
        )
    if not changes:
        return ""
    document = dict(read_manifest(folder))
    known = document.get("changes")
    entry = {
        "behind_step": step,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {key: {"was": then, "is": now} for key, (then, now) in changes.items()},
    }
    document["changes"] = [*(known if isinstance(known, list) else []), entry]
    document["settings"] = _kept_settings(read_config(folder))
    write_json(folder.manifest_path, document)
    return ", ".join(f"{key} {_shown(then)} → {_shown(now)}" for key, (then, now) in changes.items())


def last_change(folder: RunFolder) -> int:
    """The step after which settings were last changed; 0 if they never were."""
    entries = read_manifest(folder).get("changes")
    steps = [_at(entry, "behind_step") for entry in entries] if isinstance(entries, list) else []
    return max((step for step in steps if type(step) is int), default=0)


def check_made_with(folder: RunFolder, layer: Layer, registry: Registry) -> None:
    """Check that an existing run trains what a layer describes.

    Raises:
        ConfigError: it is another run.
    """
    try:
        read_changed_config(folder, layer)
        wanted, found = (_fixed(config) for config in (resolve(layer, registry), read_config(folder)))
        for key in sorted({*wanted, *found}):
            is_components = key.partition(".")[0] in (
                "prompt",
                "collate",
                "model",
            )  # the run has all options spelled out
            if not is_components and wanted.get(key) != found.get(key):
                raise ConfigError(f"{key} is {_shown(found.get(key))}, expected {_shown(wanted.get(key))}")
    except ConfigError as error:
        raise ConfigError(
            f"{folder.path} contains another run than the one that belongs there: {error}; sftframe does not change "
            "it; move it away, then the run is made again"
        ) from error


def _is_absolute(value: object) -> bool:
    return isinstance(value, str) and "\n" not in value and Path(value).is_absolute()


def _shown(value: object) -> str:
    return "not set" if value is None else brief(value)


def dumped_options(component: Component) -> dict[str, Any]:
    """A component's options as JSON values, the unset ones left out."""
    values: dict[str, Any] = TypeAdapter(component.Options).dump_python(
        component.options, mode="json", exclude_none=True
    )
    return {key: absolute_path_or_text(value) if isinstance(value, str) else value for key, value in values.items()}


def absolute_path_or_text(value: str) -> str:
    """A path that exists, made absolute, so that the run can be resumed from another working directory."""
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
    config, components, prepared = setup.config, setup.components, setup.prepared
    parts = prepared.split
    document = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"sftframe": __version__, **{name: importlib.metadata.version(name) for name in _PACKAGES}},
        "components": _described(config, components, setup.registry),
        "data": {
            "source": prepared.dataset.source,
            "sha256": prepared.dataset.sha256,
            "train": len(parts.train),
            "test": len(parts.test),
            "validation": len(parts.validation),
            "duplicates": asdict(num_duplicates(parts)),
            **_unused(prepared),
        },
        "lengths": asdict(prepared.lengths),
        "template": template_identity(components.style, components.tokenizer),
        "tokenizer": {"sha256": components.tokenizer.fingerprint, "vocab_size": components.tokenizer.vocab_size},
        "weights": dict(components.backend.identity),
        "judge": components.judge.identity,
        "seed": config.seed,
        "settings": _kept_settings(read_config(folder)),
        "pairing": dict(pairing_hashes(setup, model)),
        "device": setup.device,
        "dtype": config.dtype,
        "machine": {
            **asdict(describe_machine()),
            **asdict(setup.process),
        },
    }
    write_json(folder.manifest_path, document)


def _unused(prepared: PreparedData) -> dict[str, Any]:
    """What the data contain and the run does not use; empty if all is used."""
    names = [column.name for column in prepared.dataset.unused_columns]
    return {"unused_columns": names} if names else {}


def template_identity(style: PromptStyle, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the style writes, and its tokens: hash of the rendering, and ids of the fixed examples' prompts."""
    return {"sha256": style_fingerprint(style), "prompt_ids": encode_prompts(FIXED_EXAMPLES, style, tokenizer)}


def check_unchanged(folder: RunFolder, components: Components, prepared: PreparedData | None = None) -> None:
    """Refuse to resume a run if its template, tokenizer or data have changed since it was started.

    Raises:
        PluginError: the prompt style writes other text, or its ids differ.
        ModelError: the tokenizer is a different one.
        ConfigError: the data have changed.
    """
    check_template(folder, components.style, components.tokenizer)
    recorded = read_manifest(folder)
    if prepared is not None and prepared.dataset.sha256 != recorded["data"]["sha256"]:
        raise ConfigError(
            f"{folder.path}: the data {prepared.dataset.source} have changed since this run was started: SHA-256 "
            f"{prepared.dataset.sha256[:12]}…, expected {recorded['data']['sha256'][:12]}…; restore them, or start a "
            "new run"
        )


def check_weights(folder: RunFolder, model: CausalLM) -> None:
    """Refuse to resume a run if its weights before training have changed.

    Raises:
        ModelError: they have changed.
    """
    started_with = _at(read_manifest(folder), "pairing.initial_weights")
    found = weights_hash(model.module)
    if started_with not in (None, found):
        raise ModelError(
            f"{folder.path}: the weights before training are not those that this run was started with: SHA-256 "
            f"{found[:12]}…, expected {str(started_with)[:12]}…; restore them, or start a new run"
        )


def check_template(folder: RunFolder, style: PromptStyle, tokenizer: Tokenizer) -> None:
    """Refuse a style or tokenizer that gives other prompts than those in training.

    Raises:
        PluginError: the style writes other text, or its ids differ.
        ModelError: the tokenizer is a different one.
    """
    recorded = read_manifest(folder)
    found = template_identity(style, tokenizer)
    if recorded["template"] != found:
        what = "renders" if recorded["template"]["sha256"] != found["sha256"] else "is tokenised"
        made_with = defaultdict(lambda: "?", recorded["components"]["prompt"])
        raise PluginError(
            f"{folder.path}: prompt style {style.name!r} {what} differently from when this run was trained "
            f"(with {made_with['plugin']} {made_with['version']}): install that version, or train again"
        )
    if recorded["tokenizer"]["sha256"] != tokenizer.fingerprint:
        raise ModelError(
            f"{folder.path}: the tokenizer is not the one that this run was trained with: SHA-256 "
            f"{tokenizer.fingerprint[:12]}…, expected {recorded['tokenizer']['sha256'][:12]}…; restore it or train "
            "again"
        )


def cuts_beginning(folder: RunFolder) -> bool:
    """Whether the run was started when `truncate-prompt` still cut the beginning of a prompt; a run keeps its rule."""
    document = read_manifest(folder)
    is_cut = _at(document, "lengths.num_truncated") not in (None, 0)
    return is_cut and _at(document, "lengths.prompt_cut") != "input"


def read_manifest(folder: RunFolder) -> Mapping[str, Any]:
    """The manifest of an existing run.

    Raises:
        ConfigError: it is missing or damaged.
    """
    document = read_object(folder.manifest_path)
    missing = [key for key in _REQUIRED if key not in document]
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
    """The plugin id of each of a run's components, as far as its manifest says."""
    components = read_manifest(folder)["components"]
    found = {seam: _at(components, f"{seam.value}.plugin") for seam in Seam}
    return {seam: plugin for seam, plugin in found.items() if isinstance(plugin, str)}


def _at(document: object, name: str) -> object:
    """The value under a dotted name; None where there is none."""
    for key in name.split("."):
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def record_judge(folder: RunFolder, config: RunConfig, components: Components, registry: Registry) -> None:
    """Write into the manifest which judge gave the verdicts; its digest is known after its check."""
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
