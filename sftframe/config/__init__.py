"""A run's configuration: its settings, the merging of layers, and the messages about bad values.

Layers, the strongest first: command-line flag, `--set section.key=value`, TOML file, the model backend's own
defaults, the defaults of `sections`. A component's options are checked against its own `Options`.
"""

from sftframe.config.layers import Layer, flattened, merge, nested, parse_settings, read_toml, settings_in_words
from sftframe.config.sections import (
    Choice,
    DataConfig,
    GenerateConfig,
    LoraConfig,
    RunConfig,
    Section,
    TokensConfig,
    TrainConfig,
    settings_of_every_component,
)
from sftframe.config.template import ChosenComponent, commented_toml
from sftframe.config.validation import build_options, expectation, explain, known_keys, option_fields, validate

__all__ = [
    "Choice",
    "ChosenComponent",
    "DataConfig",
    "GenerateConfig",
    "Layer",
    "LoraConfig",
    "RunConfig",
    "Section",
    "TokensConfig",
    "TrainConfig",
    "build_options",
    "commented_toml",
    "expectation",
    "explain",
    "flattened",
    "known_keys",
    "merge",
    "nested",
    "option_fields",
    "parse_settings",
    "read_toml",
    "settings_in_words",
    "settings_of_every_component",
    "validate",
]
