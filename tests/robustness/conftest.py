"""The pieces that have to stand what nobody would write and everybody once gets."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from sftframe_plugins.gpt2.loading import NANO_FOLDER
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer

from sftframe import PromptStyle, Registry, Tokenizer, load_registry
from sftframe.cli.app import main


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line of talk: the error, where there is one."""
        return self.err.strip().splitlines()[-1]


Cli = Callable[..., Outcome]


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """`cli(*args, typed="")`: `sftframe ARGS` in this process, with a cache of its own and no terminal."""
    cache = tmp_path_factory.mktemp("cache")

    def call(*args: str | Path, typed: str = "") -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["sftframe", *map(str, args)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
            patch.setenv("SFTFRAME_CACHE", str(cache))
            patch.setenv("NO_COLOR", "1")
            with pytest.raises(SystemExit) as ended:
                main()
        return Outcome(code=int(ended.value.code or 0), out=out.getvalue(), err=err.getvalue())

    return call


HOSTILE_WORDS = "<script>alert(1)</script> {{ 7*7 }} \x1b]0;mine\x07\x9b2J"
"""HTML, Jinja and what a terminal obeys."""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> tuple[Path, Outcome]:
    """A run of two steps on data that speak HTML, Jinja and terminal, and what it said. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("finished")
    data = folder / "data.json"
    entries = [{"instruction": f"Repeat {n}: {HOSTILE_WORDS}", "input": "", "output": HOSTILE_WORDS} for n in range(20)]
    data.write_text(json.dumps(entries), encoding="utf-8")
    quick = ("--max-steps", "2", "--batch-size", "2", "--set", "before=false", "--set", "generate.max_new_tokens=4")
    quick += ("--set", "train.keep_optimizer=true")
    outcome = cli("run", "--data", data, "--out", folder / "run", "--threads", "1", *quick)
    assert outcome.code == 0, outcome.err
    return folder / "run", outcome
