"""Turns the flags that most commands share into one configuration layer.

A command has one parameter `settings`; the decorator replaces it with the flags. Precedence: flag > `--set` > TOML >
default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftframe.cli.completion import Completer, components, plugin_ids, values
from sftframe.cli.completion import settings as setting_keys
from sftframe.cli.options import MACHINE_PANEL, option
from sftframe.errors import ConfigError

if TYPE_CHECKING:
    from sftframe.config import Layer
    from sftframe.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values of the shared flags."""

    flags: dict[str, Any] = field(default_factory=dict)
    """The given values by configuration key, `section.key`."""
    assignments: tuple[str, ...] = ()
    config_path: Path | None = None
    """The configuration file: from `--config`, or found by `with_found_config`."""
    disabled: tuple[str, ...] = ()
    looks_for_config: bool = False
    """Whether `with_found_config` looks for a file: not with `--config` or `--no-config`."""

    def layer(self, *, asks_judge: bool = True) -> Layer:
        """The merged layers, without the file's table `[ablate]`, which is for ablations only.

        Args:
            asks_judge: whether the command asks the judge; see `file_layer`.
        """
        from sftframe.config import merge

        file = self.file_layer(asks_judge=asks_judge)
        return merge({key: value for key, value in file.items() if key != "ablate"}, self.given())

    def given(self) -> Layer:
        """What the user has set on this command line."""
        from sftframe.config import merge, nested, parse_settings

        flags = (nested(key, value) for key, value in self.flags.items())
        return merge(parse_settings(self.assignments), *flags)

    def file_layer(self, *, asks_judge: bool = True) -> Layer:
        """What the configuration file sets. The user must have accepted its servers and files first.

        Args:
            asks_judge: whether the command asks the judge; if not, its server needs no consent.

        Raises:
            ConfigError: the file cannot be read, or the user has not accepted what it asks for.
        """
        from sftframe.config import read_toml
        from sftframe.registry import load_registry
        from sftframe.trust import claims_of, folders_around, require

        if self.config_path is None:
            return {}
        document, registry = read_toml(self.config_path), load_registry(disabled=self.disabled)
        inside = folders_around(self.config_path)
        claims = claims_of(document, registry, given=self.given(), inside=inside, asks_judge=asks_judge)
        require(self.config_path, claims)
        return document

    def with_found_config(self) -> Settings:
        """These settings over `sftframe.toml` of the working directory, if it exists: for commands that start a run.

        Commands on an existing run do not look for the file, since the run keeps its settings.
        """
        from sftframe.cli.render import note

        if not self.looks_for_config or not CONFIG_NAME.is_file():
            return self
        note(f"settings from {CONFIG_NAME} in this folder; --no-config ignores them")
        return replace(self, config_path=CONFIG_NAME)

    def explain(self) -> None:
        """With `-v`, print on stderr which source sets what."""
        from sftframe.cli.console import Talk, talk
        from sftframe.cli.render import note
        from sftframe.config import flattened, merge, parse_settings, read_toml

        if talk.get() is not Talk.VERBOSE:
            return
        if self.config_path is not None:
            for key, value in flattened(merge(read_toml(self.config_path))):
                note(f"{key} = {value!r} ({self.config_path})")
        for key, value in flattened(parse_settings(self.assignments)):
            note(f"{key} = {value!r} (--set)")
        for key, value in self.flags.items():
            note(f"{key} = {value!r} (flag)")

    def registry(self) -> Registry:
        """The plugins that are not switched off; a broken one gives a warning."""
        from sftframe.cli.render import warn
        from sftframe.registry import load_registry

        registry = load_registry(disabled=self.disabled)
        for line in registry.warnings():
            warn(line)
        return registry


@dataclass(frozen=True, slots=True)
class _Flag:
    name: str
    kind: Any
    key: str
    help: str
    panel: str
    metavar: str | None = None
    complete: Completer | None = None


CONFIG_NAME = Path("sftframe.toml")
"""The configuration file that commands look for in the working directory."""

_PIECES, _TRAINING, _MACHINE = "Pieces", "Data and training", MACHINE_PANEL

_FLAGS = (
    _Flag(
        "--prompt",
        str,
        "prompt.name",
        "Prompt style, or a file with one. Default: own, the model's chat template, if it has one; else alpaca.",
        _PIECES,
        "NAME",
        components("prompt"),
    ),
    _Flag(
        "--collate",
        str,
        "collate.name",
        "Collate strategy: which tokens count in the loss. Default: mask-pad.",
        _PIECES,
        "NAME",
        components("collate"),
    ),
    _Flag("--model", str, "model.name", "Model backend. Default: gpt2-nano.", _PIECES, "NAME", components("model")),
    _Flag(
        "--judge",
        str,
        "judge.name",
        "Judge of the answers. Default: reference.",
        _PIECES,
        "NAME",
        components("judge"),
    ),
    _Flag(
        "--data",
        str,
        "data.source",
        "starter (the default), ch07, a file, folder or pattern, or hf:OWNER/NAME.",
        _TRAINING,
        "SOURCE",
        values("starter", "ch07"),
    ),
    _Flag("--limit", int, "data.limit", "Use only the first N examples.", _TRAINING, "N"),
    _Flag(
        "--shuffle-split",
        int,
        "data.shuffle_split",
        "Split at random with this seed. Default: in file order.",
        _TRAINING,
        "N",
    ),
    _Flag(
        "--max-length",
        int,
        "tokens.max_length",
        "Longest example in tokens. Default: the model's context length.",
        _TRAINING,
        "N",
    ),
    _Flag(
        "--boundary",
        str,
        "tokens.boundary",
        "whole (default), or split: tokenise prompt and answer separately.",
        _TRAINING,
        "HOW",
        values("whole", "split"),
    ),
    _Flag(
        "--epochs",
        float,
        "train.epochs",
        "Passes over the training examples. Default: the model's, 2 for gpt2-nano.",
        _TRAINING,
        "X",
    ),
    _Flag("--max-steps", int, "train.max_steps", "Stop after this many optimizer steps.", _TRAINING, "N"),
    _Flag(
        "--batch-size",
        int,
        "train.batch_size",
        "Examples per forward pass. Default: the model's, 8 for gpt2-nano.",
        _TRAINING,
        "N",
    ),
    _Flag(
        "--lr",
        float,
        "train.lr",
        "Peak learning rate. Default: the model's, 0.0015 for gpt2-nano, 0.00005 for most.",
        _TRAINING,
        "X",
    ),
    _Flag("--seed", int, "seed", "Random seed for data order, weights and sampling. Default: 123.", _MACHINE, "N"),
    _Flag(
        "--device",
        str,
        "device",
        "auto (default: the fastest available), cpu, cuda, cuda:1 or mps.",
        _MACHINE,
        "NAME",
        values("auto", "cpu", "cuda", "mps"),
    ),
    _Flag(
        "--dtype",
        str,
        "dtype",
        "float32 (default) or bfloat16 (autocast).",
        _MACHINE,
        "NAME",
        values("float32", "bfloat16"),
    ),
    _Flag("--threads", int, "threads", "CPU threads. Default: the number of physical cores.", _MACHINE, "N"),
)

VARIED = tuple(
    flag.key
    for flag in _FLAGS
    if flag.key.partition(".")[0] in ("prompt", "collate", "model", "tokens", "train") or flag.key == "dtype"
)
"""Settings with a flag that takes several values in an ablation."""

MADE_WITH_THE_RUN = (
    "--prompt",
    "--collate",
    "--model",
    "--data",
    "--limit",
    "--shuffle-split",
    "--max-length",
    "--boundary",
    "--epochs",
    "--max-steps",
    "--batch-size",
    "--lr",
    "--seed",
    "--dtype",
)
"""Settings that a run keeps."""


def key_of(flag: str) -> str | None:
    """The key of the setting that a shared flag sets.

    >>> key_of("--lr"), key_of("--json")
    ('train.lr', None)
    """
    return next((shared.key for shared in _FLAGS if shared.name == flag), None)


def flag_values(key: str, given: Any) -> list[Any]:
    """The values of one flag of `ablate`: a text is split at commas if the setting can vary.

    >>> flag_values("train.epochs", "1, 2"), flag_values("train.batch_size", "8"), flag_values("data.source", "a,b")
    ([1.0, 2.0], [8], ['a,b'])

    Raises:
        ConfigError: a value is not a number.
    """
    from sftframe.ablation import split_values

    flag = next((flag for flag in _FLAGS if flag.key == key), None)
    if flag is None or key not in VARIED or not isinstance(given, str):
        return [given]
    return [_number(flag, text) if flag.kind in (int, float) else text for text in split_values(given)]


def _number(flag: _Flag, text: str) -> int | float:
    kind: type[int] | type[float] = flag.kind
    try:
        return kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{flag.name}: expected {expected}, or several with commas between, found {text!r}") from None


def takes_settings(
    *leave_out: str, takes_several: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `settings` with the shared flags, except those that do not apply.

    Args:
        takes_several: flags of settings that can vary take several values, with commas between; see `flag_values`.
    """
    flags = [
        replace(flag, kind=str, metavar=f"{flag.metavar},…") if takes_several and flag.key in VARIED else flag
        for flag in _FLAGS
        if flag.name not in leave_out
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def wrapper(**given: Any) -> None:
            values = {flag.key: given.pop(_parameter(flag.name)) for flag in flags}
            config, no_config = given.pop("config"), given.pop("no_config")
            settings = Settings(
                flags={key: value for key, value in values.items() if value is not None},
                assignments=tuple(given.pop("set_")),
                config_path=None if no_config or not config else Path(config),
                disabled=tuple(given.pop("no_plugin")),
                looks_for_config=not no_config and config is None,
            )
            del given["debug"]
            with _talking(quiet=given.pop("quiet"), verbose=given.pop("verbose")):
                command(settings=settings, **given)

        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
        _set_signature(wrapper, [*own, *map(_declared, flags), *_general()])
        return wrapper

    return decorate


@contextmanager
def _talking(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """Set how much is printed on stderr."""
    from sftframe.cli.console import Talk, talk

    if quiet and verbose:
        raise ConfigError("--quiet and --verbose: choose one")
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    token = talk.set(Talk.QUIET if quiet else Talk.VERBOSE if verbose else Talk.NORMAL)
    try:
        yield
    finally:
        talk.reset(token)


def takes_only(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As `takes_settings`, with only these shared flags."""
    return takes_settings(*(flag.name for flag in _FLAGS if flag.name not in names))


def _parameter(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _declared(flag: _Flag) -> inspect.Parameter:
    info = option(flag.name, help=flag.help, panel=flag.panel, metavar=flag.metavar, complete=flag.complete)
    return _keyword(_parameter(flag.name), Annotated[flag.kind | None, info], None)


def _general() -> list[inspect.Parameter]:
    return [
        _keyword(
            "config",
            Annotated[
                str | None,
                _option(
                    "--config",
                    "TOML file with settings. Default: sftframe.toml in the working directory, for commands that start "
                    "something new. '' reads no file.",
                    "FILE",
                ),
            ],
            None,
        ),
        _keyword("no_config", Annotated[bool, _switch("--no-config", help="Do not read sftframe.toml.")], False),
        _keyword(
            "set_",
            Annotated[
                list[str],
                _option("--set", "Any setting, for example train.lr=1e-4; repeatable.", "KEY=VALUE", setting_keys),
            ],
            (),
        ),
        _keyword(
            "no_plugin", Annotated[list[str], _option("--no-plugin", "Do not load this plugin.", "ID", plugin_ids)], ()
        ),
        _keyword(
            "quiet",
            Annotated[bool, _switch("--quiet", "-q", help="Print only results, warnings and errors.")],
            False,
        ),
        _keyword(
            "verbose",
            Annotated[
                bool,
                _switch("--verbose", "-v", help="Print more: where each setting comes from, and the log of libraries."),
            ],
            False,
        ),
        _keyword("debug", Annotated[bool, _switch("--debug", help="Show tracebacks.")], False),
    ]


def _switch(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_MACHINE)


def _option(name: str, text: str, metavar: str, complete: Completer | None = None) -> Any:
    return option(name, help=text, panel=_MACHINE, metavar=metavar, complete=complete)


def _keyword(name: str, annotation: Any, default: Sequence[str] | bool | None) -> inspect.Parameter:
    value = list(default) if isinstance(default, tuple) else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=value)


def _set_signature(function: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> None:
    """Typer reads a command's parameters from its signature and annotations."""
    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    function.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in named}
