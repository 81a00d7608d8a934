"""The pieces that have to stand what nobody would write and everybody once gets."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from sftframe_plugins.gpt2.loading import NANO_FOLDER
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer

from sftframe import PromptStyle, Registry, Tokenizer, load_registry


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The installed plugins, and the third-party style of the documentation."""
    folder = Path(__file__).parents[2] / "docs/examples/sftframe-vicuna/src/sftframe_vicuna"
    spec = importlib.util.spec_from_file_location("sftframe_vicuna_of_the_docs", folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Vicuna.name = "vicuna-of-the-docs"  # the package itself may be installed
    return load_registry().with_plugin(module, "docs")


@pytest.fixture(
    scope="session",
    params=[
        ("alpaca", {}),
        ("alpaca-stanford", {}),
        ("phi3", {}),
        ("phi3", {"end_tag": False}),
        ("vicuna-of-the-docs", {}),
    ],
    ids=["alpaca", "alpaca-stanford", "phi3", "phi3-short", "vicuna"],
)
def style(request: pytest.FixtureRequest, registry: Registry) -> PromptStyle:
    """Every prompt style there is."""
    name, options = request.param
    return registry.prompt_style(name, options)


@pytest.fixture(scope="session")
def nano_tokenizer() -> Tokenizer:
    """The bundled vocabulary, so that these tests need no other file."""
    return BytePairTokenizer.from_folder(NANO_FOLDER)
