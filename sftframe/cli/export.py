"""`sftframe export`: writes a run's model and its prompt for other programs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from sftframe.cli import completion
from sftframe.cli.options import Run, option
from sftframe.cli.settings import Settings, takes_only
from sftframe.cli.streams import saved, write_json


@takes_only()
def export(
    path: Run,
    settings: Settings,
    to: Annotated[
        str,
        option(
            "--to",
            metavar="FORM",
            help="hf (transformers) or gguf (llama.cpp, Ollama).",
            complete=completion.values("hf", "gguf"),
        ),
    ],
    out: Annotated[
        Path | None,
        option("--out", metavar="DIR", help="The export's folder. Default: RUN/export-FORM."),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option("--dtype", help="Precision of the weight matrices.")
    ] = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace the export in the folder --out.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print where the export is and what to do next as JSON.")
    ] = False,
) -> None:
    """Write a run's model and its prompt for other programs.

    Example: sftframe export runs/mine --to gguf --dtype float16
    """
    from sftframe.cli import console
    from sftframe.cli.render import TerminalObserver
    from sftframe.pipeline import FinishedRun
    from sftframe.prompts import check_out, write_export

    run = FinishedRun.open(path, settings.registry(), settings.layer(asks_judge=False))
    run.backend.check_export(to)
    folder = out or path / f"export-{to}"
    check_out(folder, force=force)
    name = path.resolve().name
    with TerminalObserver() as observer:
        tuned = run.load(observer)
        observer.begin("export", None, "files")
        left_out = write_export(
            tuned.model,
            tuned.style,
            folder,
            target=to,
            dtype=dtype,
            name=name,
            max_new_tokens=tuned.config.generate.max_new_tokens,
        )
        observer.end()
        for reason in left_out:
            observer.warn(f"left out of the export: {reason}")
    following = _next(to, name, folder)
    with saved(folder):
        if as_json:
            facts = {"run": str(path), "path": str(folder.absolute()), "format": to, "dtype": dtype, "next": following}
            write_json({**facts, "left_out": left_out})
            return
        console.out().print(f"Export  {folder}", soft_wrap=True)
        console.out().print(f"Next    {following}", soft_wrap=True)


def _next(target: str, name: str, folder: Path) -> str:
    """The command to run next with the export."""
    if target == "gguf":
        model = "".join(c if c.isalnum() or c in "-_." else "-" for c in name.lower())
        return f"ollama create {shlex.quote(model)} -f {shlex.quote(str(folder / 'Modelfile'))}"
    question = '[{"role": "user", "content": "Who are you?"}]'
    code = (
        f'from transformers import pipeline; print(pipeline("text-generation", {json.dumps(str(folder))})({question}))'
    )
    return f"python -c {shlex.quote(code)}"
