"""A hook of mkdocs: it adds pages from outside `docs/` to the site, and corrects links to them."""

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
    """Correct the links of a page: in the repository its path has `docs/`, in the site it does not."""
    if page.file.src_uri.partition("/")[0] in _OUTSIDE:
        return markdown.replace("](../docs/", "](../")
    return re.sub(rf"\]\(\.\./((?:\.\./)*(?:{'|'.join(_OUTSIDE)})/README\.md)", r"](\1", markdown)
