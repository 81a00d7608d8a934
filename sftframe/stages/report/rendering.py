"""Makes a page of a report's content: jinja2 escapes everything, and all reports share one frame.

A content security policy lets the page load nothing and run only its own script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from sftframe.stages.report import numerals
from sftframe.stages.report.manifest import key_words
from sftframe.visible import visible

_OWN = __package__ or ""
"""The package with the frame and the pieces that all reports share."""


def render_page(
    content: Mapping[str, Any], *, package: str = _OWN, styles: Sequence[str] = (), scripts: Sequence[str] = ()
) -> str:
    """A package's `page.html.j2`, which extends `frame.html.j2`; the same content gives the same characters.

    Args:
        package: its `templates` are searched before the shared ones.
        styles: files of the package's templates, after the shared `page.css`.
        scripts: likewise, after the shared `theme.js`.
    """
    from markupsafe import Markup

    script = "".join([_asset(_OWN, "theme.js"), *(_asset(package, name) for name in scripts)])
    style = "".join([_asset(_OWN, "page.css"), *(_asset(package, name) for name in styles)])
    template = _environment(package).get_template("page.html.j2")
    page: str = template.render(
        content,
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return _encodable(page)


def _environment(package: str) -> Any:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, _OWN))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = (numerals.fixed, numerals.signed, numerals.percent, numerals.duration, numerals.memory)
    environment.filters |= {number.__name__: number for number in numbers}
    environment.filters |= {"visible": visible, "key_words": key_words}
    return environment


def _asset(package: str, name: str) -> str:
    return files(package).joinpath("templates", name).read_text(encoding="utf-8")


def _encodable(page: str) -> str:
    """Replace half a surrogate pair, which JSON data may contain and UTF-8 cannot write, by a question mark."""
    return page.encode("utf-8", errors="replace").decode("utf-8")
