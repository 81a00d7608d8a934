"""Prints plugins: tables in a terminal, tab-separated lines in a pipe, and JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sftframe.cli.console import out, prose
from sftframe.cli.streams import write, write_json
from sftframe.registry import PluginInfo, Registry, Seam

if TYPE_CHECKING:
    from pathlib import Path

    from sftframe.scaffold import PluginProject
    from sftframe.testing.contract import Finding

NARROW = 80
"""In a narrower terminal the column of providers is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentRow:
    """One component of one plugin."""

    seam: Seam
    name: str
    summary: str
    provider: str
    version: str
    status: str
    """`ok`, or `conflict` when another plugin offers the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentDetails(ComponentRow):
    """What `plugins show` prints of a component; none is made for it."""

    is_first_party: bool
    options: dict[str, dict[str, Any]]
    """JSON schema by name: type, default, description, limits."""
    choose: str
    """The command that chooses it."""


def show_list(registry: Registry, *, as_json: bool) -> None:
    """Print all components by seam, then the plugins without components: broken or disabled ones."""
    rows = [row for seam in Seam for row in _rows(registry, seam)]
    absent = [info for info in registry.plugins if info.status != "ok"]
    slow = [info for info in registry.plugins if info.is_slow]
    console = out()
    if as_json:
        write_json({"components": [asdict(row) for row in rows], "plugins": [_document(p) for p in registry.plugins]})
    elif console.is_terminal:
        _print_tables(console, rows, absent)
        for info in slow:
            console.print(Text.assemble(("slow  ", "bold yellow"), info.label, f"  {_seconds(info)}"))
    else:
        _print_lines((r.seam, r.name, r.provider, r.version, r.status, r.summary) for r in rows)
        _print_lines(("plugin", "", p.id, p.version, p.status, p.error) for p in absent)
        _print_lines(("plugin", "", p.id, p.version, "slow", _seconds(p)) for p in slow)


def _seconds(info: PluginInfo) -> str:
    return f"takes {info.import_s:.1f} s to import, and every command waits for it"


def show_components(registry: Registry, seams: Sequence[Seam], name: str, *, as_json: bool) -> None:
    """Print one component of each seam: what it is, its options, and how to choose it."""
    details = [_details(registry, seam, name) for seam in seams]
    if as_json:
        write_json({"components": [asdict(each) for each in details]})
        return
    console = out()
    for each in details:
        origin = f"{each.provider} {each.version}" + (" (comes with sftframe)" if each.is_first_party else "")
        console.print(Text.assemble((each.name, "bold"), f"  {each.seam.noun}"))
        prose(console, Text(f"  {each.summary}\n  from    {origin}\n  choose  {each.choose}"))
        for option, schema in each.options.items():
            prose(console, _option(each.seam, option, schema))


class CheckReport:
    """Prints one line per promise when it was checked, or one JSON document at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self.num_checks = 0
        self.num_broken = 0
        self._as_json = as_json
        self._console = out()
        self._documents: list[dict[str, Any]] = []
        self._subject: dict[str, str] = {}

    def begin(self, seam: Seam, name: str) -> None:
        """Start the findings on a component."""
        self._subject = {"seam": seam.value, "name": name}
        if not self._as_json:
            self._console.print(Text.assemble((name, "bold"), f"  {seam.noun}"))

    def add(self, finding: Finding) -> None:
        """Print the finding on one more promise."""
        self.num_checks += 1
        self.num_broken += not finding.is_kept
        facts = {"promise": finding.promise, "is_kept": finding.is_kept, "error": finding.error}
        self._documents.append({**self._subject, **facts, "warning": finding.warning})
        if not self._as_json:
            mark = ("  kept    ", "green") if finding.is_kept else ("  broken  ", "bold red")
            reason = f": {finding.error}" if finding.error else ""
            prose(self._console, Text.assemble(mark, finding.promise, reason))
            if finding.warning:
                prose(self._console, Text.assemble(("  warning ", "yellow"), finding.warning))

    def end(self) -> None:
        """Print the last line, or the JSON document."""
        if self._as_json:
            write_json({"is_kept": not self.num_broken, "checks": self._documents})
        elif not self.num_broken:
            self._console.print(Text(f"  all {self.num_checks} promises are kept"))


def show_project(project: PluginProject, place: Path, files: Sequence[Path], *, as_json: bool) -> None:
    """Print the new plugin's files and what to do next."""
    choice = f"{project.seam.flag} {project.name}"
    path = (
        str(place) if place.is_absolute() else f"./{place.as_posix()}"
    )  # pip reads a bare name as a package of the index
    install = f"pip install -e {shlex.quote(path + '[test]')}"
    command = "ablate --collate mask-pad,mask-instruction" if project.seam is Seam.LAUNCHER else "run"
    steps = (install, f"pytest {shlex.quote(path)}", f"sftframe {command} {choice}")
    if as_json:
        facts = {"kind": project.seam.value, "name": project.name, "package": project.distribution}
        written = {"path": str(place.absolute()), "files": [each.as_posix() for each in files], "next": steps}
        write_json({**facts, "module": project.module, "class": project.class_name, **written})
        return
    console = out()
    console.print(Text.assemble((str(place), "bold"), f"  {project.seam.noun} {project.name}, {project.distribution}"))
    for each in files:
        console.print(Text(f"  {each.as_posix()}"), soft_wrap=True)
    for number, step in enumerate(steps):
        console.print(Text(f"{'Next' if not number else '':8} {step}"), soft_wrap=True)


def _rows(registry: Registry, seam: Seam) -> list[ComponentRow]:
    rows = []
    for name in registry.names(seam):
        offers = registry.offers(seam, name)
        for info, component in offers:
            status = "ok" if len(offers) == 1 else "conflict"
            rows.append(
                ComponentRow(
                    seam=seam,
                    name=name,
                    summary=component.summary,
                    provider=info.id,
                    version=info.version,
                    status=status,
                )
            )
    return rows


def _details(registry: Registry, seam: Seam, name: str) -> ComponentDetails:
    from sftframe.config import option_fields

    info, component = registry.provider(seam, name), registry.find(seam, name)
    return ComponentDetails(
        seam=seam,
        name=name,
        summary=component.summary,
        provider=info.id,
        version=info.version,
        status="ok",
        is_first_party=info.is_first_party,
        options=option_fields(component.Options),
        choose=f"sftframe {'ablate' if seam is Seam.LAUNCHER else 'run'} {seam.flag} {name}",
    )


def _print_tables(console: Console, rows: Sequence[ComponentRow], absent: Sequence[PluginInfo]) -> None:
    for seam in sorted({row.seam for row in rows}, key=list(Seam).index):
        table = Table(title=f"{seam.noun}  {seam.flag} NAME", title_justify="left")
        table.add_column("name", overflow="fold")
        table.add_column("what it is")
        is_wide = console.width >= NARROW
        if is_wide:
            table.add_column("from", overflow="fold")
        for row in (row for row in rows if row.seam == seam):
            name = Text(row.name, "bold") if row.status == "ok" else Text(f"{row.name} ({row.status})", "bold red")
            table.add_row(name, Text(row.summary), *([f"{row.provider} {row.version}"] if is_wide else []))
        console.print(table)
    for info in absent:
        console.print(Text.assemble((f"{info.status}  ", "bold red"), info.label, f"  {info.error}"))
    if any(row.status == "conflict" for row in rows):
        console.print(Text("Choose a name in conflict with its plugin's id: ID:NAME."))


def _option(seam: Seam, name: str, schema: dict[str, Any]) -> Text:
    facts = [_type(schema), *_limits(schema), f"default {json.dumps(schema.get('default'), ensure_ascii=False)}"]
    return Text.assemble(
        (f"  {seam.option_flag}{name}=…", "cyan"), f"  {schema.get('description', '')}  ({', '.join(facts)})"
    )


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema's type in words: `number`, `text or null`, `"a" or "b"`."""
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    name = str(schema.get("type", "value"))
    return "text" if name == "string" else name


def _limits(schema: dict[str, Any]) -> list[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]


def _document(info: PluginInfo) -> dict[str, Any]:
    components = [{"seam": seam.value, "name": name} for seam, name in info.components]
    return {**asdict(info), "components": components}


def _print_lines(lines: Iterable[Sequence[str]]) -> None:
    for fields in lines:
        write("\t".join(fields) + "\n")
