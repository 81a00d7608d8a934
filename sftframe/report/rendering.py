"""What all pages are made with: templates, the manifest's facts, lines and axes."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sftframe.escaping import escape_controls
from sftframe.formatting import fixed, percent, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MAX_VALUES = 12
"""Values of a list that are shown."""

Table = tuple[str, tuple[tuple[str, str], ...]]
"""A caption and its lines of name and value."""


_WORDS = {
    "lengths.num_examples": "examples",
    "lengths.num_tokens": "tokens",
    "lengths.longest": "longest example, tokens",
    "lengths.mean": "mean length, tokens",
    "lengths.max_length": "limit of length, tokens",
    "lengths.over_long": "examples over the limit",
    "lengths.num_dropped": "examples left out",
    "lengths.num_truncated": "examples cut",
    "lengths.num_tokens_cut": "tokens cut off",
    "lengths.prompt_cut": "examples cut in the prompt",
    "data.sha256": "SHA-256",
    "data.train": "examples to train on",
    "data.test": "test items",
    "data.validation": "validation examples",
    "data.duplicates.test_in_train": "test items that are also in train",
    "data.duplicates.test_in_validation": "test items that are also in validation",
    "data.duplicates.validation_in_train": "validation examples that are also in train",
    "machine.os": "operating system",
    "machine.python": "Python",
    "machine.cpu": "processor",
    "machine.physical_cores": "physical cores",
    "machine.memory_bytes": "memory, bytes",
    "machine.torch": "PyTorch",
    "machine.threads_before": "threads before sftframe chose",
    "machine.keeps_freed_memory": "keeps freed memory",
    "machine.spin_count": "rounds that an idle thread waits (GOMP_SPINCOUNT)",
    "machine.foreign_cores": "cores that other programs used",
    "tokenizer.sha256": "SHA-256",
    "tokenizer.vocab_size": "tokens in the vocabulary",
    "template.sha256": "SHA-256",
    "pairing.initial_weights": "initial weights",
    "pairing.order": "order of batches",
    "run.dtype": "number format",
}
"""Words for the keys that manifests have today. Settings and components keep the names by which they are set."""


def key_words(name: str, caption: str) -> str:
    """A manifest's key in words; a key without words stays as it is.

    >>> key_words("physical_cores", "machine"), key_words("new_key", "machine")
    ('physical cores', 'new_key')
    """
    return _WORDS.get(f"{caption}.{name}", name)


def manifest_tables(manifest: Mapping[str, Any]) -> tuple[Table, ...]:
    """One table per nested entry of the manifest, after one for the values at its top.

    >>> manifest_tables({"seed": 1, "machine": {"cpu": {"cores": 2}, "device": "cpu"}, "versions": {}})
    (('run', (('seed', '1'),)), ('machine', (('cpu.cores', '2'), ('device', 'cpu'))))
    """
    top = {name: value for name, value in manifest.items() if not isinstance(value, Mapping)}
    groups: dict[str, Any] = {"run": top}
    groups |= {str(name): value for name, value in manifest.items() if isinstance(value, Mapping)}
    tables = ((caption, tuple(_lines(group))) for caption, group in groups.items())
    return tuple(table for table in tables if table[1])


def repeat_command(run: str) -> str:
    """The command that repeats a run, into a folder next to it.

    >>> repeat_command("runs/my run")
    "sftframe run --config 'runs/my run/config.toml' --out 'runs/my run-again'"
    """
    folder = run.rstrip("/")
    return shlex.join(["sftframe", "run", "--config", f"{folder}/config.toml", "--out", f"{folder}-again"])


def _lines(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _lines(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list) for item in value):
        for position, item in enumerate(value):
            yield from _lines(item, f"{path}[{position}]")
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        shown = ", ".join(_text(item) for item in value[:MAX_VALUES])
        return f"{shown}, … ({len(value)} in all)" if len(value) > MAX_VALUES else shown or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A page's first heading and the text below it."""

    sentence: str
    answers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """A reader's next questions, each with the lines that answer it."""
    notes: tuple[str, ...] = ()
    """What a reader must know to understand the sentence."""
    note_class: str = "note"


_PACKAGE = __package__ or ""
"""Whose `templates` hold all pages, and the frame and the pieces that they share."""


def render_page(
    template: str, content: Mapping[str, Any], *, styles: Sequence[str] = (), scripts: Sequence[str] = ()
) -> str:
    """A page of a template that extends `frame.html.j2`; the same content gives the same characters.

    Args:
        styles: files beside the template, after the shared `page.css`.
        scripts: likewise, after the shared `theme.js`.
    """
    from markupsafe import Markup

    script = "".join(_asset(name) for name in ("theme.js", *scripts))
    style = "".join(_asset(name) for name in ("page.css", *styles))
    page: str = (
        _environment()
        .get_template(template)
        .render(
            content,
            style=Markup(style),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return _encodable(page)


@cache
def _environment() -> Any:
    """All templates are compiled once, however many pages a process writes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = (fixed, signed, percent)
    environment.filters |= {number.__name__: number for number in numbers}
    environment.filters |= {"escape_controls": escape_controls, "key_words": key_words}
    return environment


def _asset(name: str) -> str:
    return files(_PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")


def _encodable(page: str) -> str:
    """Replace half a surrogate pair, which JSON data may contain and UTF-8 cannot write, by a question mark."""
    return page.encode("utf-8", errors="replace").decode("utf-8")


INK, GRID = "#333333", "#dddddd"
"""Colours of text and axes, and of the lines in the background, in every drawing."""

_METADATA = ("Creator", "Date", "Format", "Type")
_ATTRIBUTES = (
    'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'stroke-linejoin="round" stroke-linecap="butt"'
)


def drawing_settings(font_pt: float, salt: str) -> Any:
    """A context in which figures are made and saved.

    Args:
        salt: makes the ids inside a drawing different from those of the page's other drawings.
    """
    import matplotlib

    return matplotlib.rc_context(
        {
            "font.size": font_pt,
            "font.family": "sans-serif",
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "grid.color": GRID,
            "legend.frameon": False,
        }
    )


LOG_RATIO = 4
"""A loss that falls by more than this factor gets a logarithmic axis: on a linear one its end looks flat."""


def scale_values(axes: Axes, values: Iterable[float], label: str, *, is_from_zero: bool = False) -> None:
    """Choose the y axis by what is drawn, and say on the axis when it is logarithmic.

    Args:
        is_from_zero: a linear axis begins at 0.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    finite = [value for value in values if math.isfinite(value)]
    if finite and 0 < min(finite) < max(finite) / LOG_RATIO:
        axes.set_yscale("log")
        is_short = max(finite) < 30 * min(finite)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6, 8) if is_short else (1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel(f"{label} (logarithmic axis)")
    else:
        axes.set_ylabel(label)
        if is_from_zero:
            axes.set_ylim(bottom=0)


def svg_element(figure: Figure, colours: Mapping[str, str]) -> str:
    """The figure as an `<svg>` element; the same figure gives the same characters.

    Args:
        colours: name by colour as drawn, `#0072b2`: `train` becomes `var(--chart-train, #0072b2)`.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    parts: list[Any] = [figure, *figure.axes, *(second for axes in figure.axes for second in axes.child_axes)]
    for part in parts:
        part.patch.set(facecolor="none", edgecolor="none")
    data = io.StringIO()
    # `savefig` draws everything twice, the first time for a crop that is not wanted here
    canvas: Any = FigureCanvasSVG(figure)  # matplotlib's is untyped
    canvas.print_svg(data, metadata=dict.fromkeys(_METADATA))
    return _embeddable(data.getvalue(), {INK: "ink", GRID: "grid", **colours})


def _embeddable(svg: str, colours: Mapping[str, str]) -> str:
    """Only the `<svg>` element: no prologue or style sheet, only ids that are used, colours as CSS properties."""
    head, body = svg[svg.index("<svg") :].split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)
    assert view_box is not None, "matplotlib writes a view box"
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in referred else "", body)
    for colour, name in colours.items():
        body = body.replace(colour, f"var(--chart-{name}, {colour})")
    return f"<svg {view_box[0]} {_ATTRIBUTES}>{body.strip()}"
