"""A hook of mkdocs: at the old address of every page that was moved, it writes a page that leads to the new one.

mkdocs.yml has the list under `extra`, `moved`: the old page, or the old page with a heading, and where it is now.
"""

from __future__ import annotations

import html
import json
import logging
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LOG = logging.getLogger("mkdocs.hooks.moved_pages")
"""With `--strict`, a warning of a logger below `mkdocs` ends the build."""


def on_post_build(config: Any, **_: Any) -> None:
    """Write the pages."""
    site = Path(config["site_dir"])
    for name, text in moved_pages(config["extra"]["moved"]).items():
        if (site / name).exists():
            _LOG.warning("mkdocs.yml says that %s was moved, but it is there", name)
            continue
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
    for target in config["extra"]["moved"].values():
        if not (site / address(target).partition("#")[0]).is_file():
            _LOG.warning("mkdocs.yml says that a page was moved to %s, which is not there", target)


def moved_pages(moved: Mapping[str, str]) -> dict[str, str]:
    """For each old address the page that leads to the new one, also to a heading that went to another page.

    Browsers do not tell a server which heading is wanted, so a script in the page chooses; without it, a reader gets
    to the top of the new page.
    """
    pages = {}
    for old in (old for old in moved if "#" not in old):
        name = address(old)
        headings = {
            key.removeprefix(old): _link(name, target) for key, target in moved.items() if key.startswith(f"{old}#")
        }
        pages[name] = _PAGE.format(link=html.escape(_link(name, moved[old])), headings=json.dumps(headings))
    return pages


def address(page: str) -> str:
    """Where a page is in the site, with its heading.

    >>> address("how-to/gpu.md#measure-it"), address("plugins/README.md")
    ('how-to/gpu.html#measure-it', 'plugins/index.html')
    """
    path, sharp, heading = page.partition("#")
    folder, name = posixpath.split(path)
    name = "index.html" if name == "README.md" else f"{name.removesuffix('.md')}.html"
    return posixpath.join(folder, name) + sharp + heading


def _link(name: str, target: str) -> str:
    """From one address to another, so that it works on a disk and on any server."""
    return posixpath.relpath(address(target), posixpath.dirname(name) or ".")


_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="robots" content="noindex">
<title>This page was moved</title>
<script>
  const headings = {headings}, page = new URL("{link}", location.href);
  if (location.hash) page.hash = location.hash;
  location.replace(headings[location.hash] ?? page);
</script>
<noscript><meta http-equiv="refresh" content="0; url={link}"></noscript>
<p>This page was moved: <a href="{link}">read it there</a>.</p>
</html>
"""
