"""A run's manifest: what exactly a run was made of. With it a run can be repeated, and changes are found."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from sftframe.config import Layer, RunConfig
from sftframe.data import absolute_source, counted, num_duplicates
from sftframe.device import describe_machine
from sftframe.errors import ConfigError, ModelError, PluginError
from sftframe.pipeline.setup import Components, PreparedData, Setup, resolve
from sftframe.plugins import CausalLM, Component, PromptStyle, Tokenizer
from sftframe.prompts.tokens import FIXED_EXAMPLES, conversation_fingerprint, encode_prompts, style_fingerprint
from sftframe.registry import Registry, Seam
from sftframe.runs import (
    RunStore,
    absolute_path_or_text,
    fixed_settings,
    kept_settings,
    manifest_entry,
    read_changed_config,
    setting_in_words,
)
from sftframe.training import StepLoader, weights_hash
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


def _hashed(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


_PACKAGES = ("torch", "tiktoken", "pydantic", "pluggy", "safetensors", "numpy", "ollama")
_PACKAGES_OF_EXTRAS = ("transformers", "tokenizers", "peft")


def write_config(folder: RunStore, config: RunConfig, components: Components) -> None:
    """Write `config.toml` with every option of every component spelled out."""
    document = config.model_dump(mode="json", exclude_none=True, exclude={"out"})
    for key in ("source", "test", "validation"):
        if key in document["data"]:
            document["data"][key] = absolute_source(document["data"][key])
    for seam, component in _by_seam(components).items():
        choice, options = getattr(config, seam.value), dumped_options(component)
        if component.argument is not None and component.argument not in choice.options:
            options.pop(component.argument, None)  # the name contains it
        document[seam.value] = {"name": absolute_path_or_text(choice.name), **options}
    document[Seam.JUDGE.value]["cache"] = config.judge.cache
    if config.collate.turns != "all":
        document[Seam.COLLATE.value]["turns"] = config.collate.turns
    folder.write_config(document)


def check_made_with(folder: RunStore, layer: Layer, registry: Registry) -> None:
    """Check that an existing run trains what a layer describes.

    Raises:
        ConfigError: it is another run.
    """
    try:
        read_changed_config(folder, layer)
        wanted, found = (fixed_settings(config) for config in (resolve(layer, registry), folder.config()))
        for key in sorted({*wanted, *found}):
            # the run has all options spelled out
            is_components = key.partition(".")[0] in ("prompt", "collate", "model") and key != "collate.turns"
            if not is_components and wanted.get(key) != found.get(key):
                raise ConfigError(
                    f"{key} is {setting_in_words(found.get(key))}, expected {setting_in_words(wanted.get(key))}"
                )
    except ConfigError as error:
        raise ConfigError(
            f"{folder.path} contains another run than the one that belongs there: {error}; sftframe does not change "
            "it; move it away, then the run is made again"
        ) from error


def dumped_options(component: Component) -> dict[str, Any]:
    """A component's options as JSON values, the unset ones left out."""
    values: dict[str, Any] = TypeAdapter(component.Options).dump_python(
        component.options, mode="json", exclude_none=True
    )
    return {key: absolute_path_or_text(value) if isinstance(value, str) else value for key, value in values.items()}


def write_manifest(folder: RunStore, setup: Setup, model: CausalLM) -> None:
    """Write `manifest.json`.

    Args:
        model: as it is before the first step.
    """
    config, components, prepared = setup.config, setup.components, setup.prepared
    parts = prepared.split
    document = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"sftframe": __version__, **dict(_versions())},
        "components": _described(config, components, setup.registry),
        "data": {
            "source": prepared.dataset.source,
            "sha256": prepared.dataset.sha256,
            "train": len(parts.train),
            "test": len(parts.test),
            "validation": len(parts.validation),
            "duplicates": asdict(num_duplicates(parts)),
            **_conversations(prepared),
            **_reading(prepared),
        },
        "lengths": asdict(prepared.lengths),
        "template": template_identity(components.style, components.tokenizer),
        "tokenizer": {"sha256": components.tokenizer.fingerprint, "vocab_size": components.tokenizer.vocab_size},
        "weights": dict(components.backend.identity),
        "judge": components.judge.identity,
        "seed": config.seed,
        "settings": kept_settings(folder.config()),
        "pairing": dict(pairing_hashes(setup, model)),
        "device": setup.device,
        **({} if setup.ranks is None else {"ranks": list(setup.ranks.hosts)}),
        "dtype": config.dtype,
        "machine": {
            **asdict(describe_machine()),
            **asdict(setup.process),
        },
    }
    folder.write_manifest(document)


def _versions() -> Iterator[tuple[str, str]]:
    """Versions of the packages that results depend on, as far as they are installed."""
    for name in (*_PACKAGES, *_PACKAGES_OF_EXTRAS):
        with suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


def _conversations(prepared: PreparedData) -> dict[str, int]:
    """How many examples have earlier exchanges; empty if none has."""
    number = sum(bool(example.turns) for example in prepared.dataset.examples)
    return {"conversations": number} if number else {}


def _reading(prepared: PreparedData) -> dict[str, Any]:
    """How the entries were read, and what the data contain and the run does not use; nothing stands for none."""
    dataset = prepared.dataset
    found = {
        "origin": dict(dataset.origin),
        "files": dict(dataset.part_files),
        "changed": dict(dataset.changes),
        "dropped": counted([row.reason for row in dataset.dropped]),
        "unused_columns": [column.name for column in dataset.unused_columns],
    }
    return {"shape": dataset.shape, "rows": dataset.num_rows, **{key: value for key, value in found.items() if value}}


def template_identity(style: PromptStyle, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the style writes, and its tokens: hash of the rendering, and ids of the fixed examples' prompts.

    Of a style that writes conversations also the hash of those.
    """
    identity = {"sha256": style_fingerprint(style), "prompt_ids": encode_prompts(FIXED_EXAMPLES, style, tokenizer)}
    return identity | ({"conversation": conversation_fingerprint(style)} if style.can_converse else {})


def check_unchanged(folder: RunStore, components: Components, prepared: PreparedData | None = None) -> None:
    """Refuse to resume a run if its template, tokenizer or data have changed since it was started.

    Raises:
        PluginError: the prompt style writes other text, or its ids differ.
        ModelError: the tokenizer is a different one.
        ConfigError: the data have changed.
    """
    check_template(folder, components.style, components.tokenizer)
    recorded = folder.manifest()
    if prepared is not None and prepared.dataset.sha256 != recorded["data"]["sha256"]:
        raise ConfigError(
            f"{folder.path}: the data {prepared.dataset.source} have changed since this run was started: SHA-256 "
            f"{prepared.dataset.sha256[:12]}…, expected {recorded['data']['sha256'][:12]}…; restore them, or start a "
            "new run"
        )


def check_weights(folder: RunStore, model: CausalLM) -> None:
    """Refuse to resume a run if its weights before training have changed.

    Raises:
        ModelError: they have changed.
    """
    started_with = manifest_entry(folder.manifest(), "pairing.initial_weights")
    found = weights_hash(model.module)
    if started_with not in (None, found):
        raise ModelError(
            f"{folder.path}: the weights before training are not those that this run was started with: SHA-256 "
            f"{found[:12]}…, expected {str(started_with)[:12]}…; restore them, or start a new run"
        )


def check_template(folder: RunStore, style: PromptStyle, tokenizer: Tokenizer) -> None:
    """Refuse a style or tokenizer that gives other prompts than those in training.

    Raises:
        PluginError: the style writes other text, or its ids differ.
        ModelError: the tokenizer is a different one.
    """
    recorded = folder.manifest()
    found = template_identity(style, tokenizer)
    changed = [key for key, value in recorded["template"].items() if found.get(key) != value]
    if changed:
        what = "is tokenised" if changed == ["prompt_ids"] else "renders"
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


def cuts_beginning(folder: RunStore) -> bool:
    """Whether the run was started when `truncate-prompt` still cut the beginning of a prompt; a run keeps its rule."""
    document = folder.manifest()
    is_cut = manifest_entry(document, "lengths.num_truncated") not in (None, 0)
    return is_cut and manifest_entry(document, "lengths.prompt_cut") != "input"


def unread_columns(folder: RunStore) -> tuple[str, ...]:
    """The columns that the run was started without; a newer version may read more of them."""
    found = manifest_entry(folder.manifest(), "data.unused_columns")
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


def record_judge(folder: RunStore, config: RunConfig, components: Components, registry: Registry) -> None:
    """Write into the manifest which judge gave the verdicts; its digest is known after its check."""
    document = dict(folder.manifest())
    document["judge"] = components.judge.identity
    document["components"] = {
        **document["components"],
        Seam.JUDGE.value: _described(config, components, registry)["judge"],
    }
    folder.write_manifest(document)


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
