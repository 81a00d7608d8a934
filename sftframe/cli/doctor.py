"""`sftframe doctor`: says what is wrong with this machine and installation, and what to do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from sftframe.cli.settings import Settings, takes_only
from sftframe.cli.streams import output


@takes_only("--prompt", "--collate", "--model", "--judge")
def doctor(
    settings: Settings,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Find problems that would stop a run, and say what to do. Exit code 1 if there are any.

    Without options it checks the bundled example. It asks judges and Hugging Face whether they answer.

    Example: sftframe doctor --judge ollama --set judge.model=llama3
    """
    from sftframe.cli.doctor_render import Rows, show_document
    from sftframe.config import validate
    from sftframe.doctor import examine, is_usable
    from sftframe.registry import load_registry

    settings = settings.with_found_config()
    config = validate(settings.layer())
    registry = load_registry(disabled=settings.disabled)  # broken plugins are findings here, not warnings
    findings = []
    with Rows(is_silent=as_json) as rows:
        for finding in examine(config, registry, stdout=output().results, begin=rows.begin):
            findings.append(finding)
            rows.add(finding)
    if as_json:
        show_document(findings)
    else:
        rows.conclude(findings)
    if not is_usable(findings):
        raise typer.Exit(1)
