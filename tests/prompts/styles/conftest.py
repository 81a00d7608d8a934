"""Prompt styles from files that a test writes."""

import json

import pytest

from sftframe import Registry


@pytest.fixture
def style_of(tmp_path):
    """Makes a style of a file's text: `style_of("x.toml", text, **options)`."""

    def make(name, text, **options):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return Registry().prompt_style(str(tmp_path / name), options)

    return make


@pytest.fixture
def chat_style_of(tmp_path):
    """Makes a style of a chat template and special tokens, as a tokenizer's folder holds them."""

    def make(template, options=None, **tokens):
        folder = tmp_path / "some-model"
        folder.mkdir(exist_ok=True)
        config = {"chat_template": template, **tokens}
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
        return Registry().prompt_style(f"hf:{folder / 'tokenizer_config.json'}", options)

    return make
