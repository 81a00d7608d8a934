"""A hook of mkdocs: pages that lie beside the code, not in `docs/`, are part of the site, and links lead there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[2]
_OUTSIDE = ("benchmarks", "recipes")
"""Folders at the root whose README is a page."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for folder in _OUTSIDE:
        page = _ROOT / folder / "README.md"
        files.append(File.generated(config, f"{folder}/README.md", abs_src_path=str(page)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """In the repository `docs/` lies between a page and the root; in the site it does not."""
    if page.file.src_uri.partition("/")[0] in _OUTSIDE:
        return markdown.replace("](../docs/", "](../")
    return re.sub(rf"\]\(\.\./((?:\.\./)*(?:{'|'.join(_OUTSIDE)})/README\.md)", r"](\1", markdown)
