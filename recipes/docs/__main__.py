"""`python -m recipes.docs` writes the reference pages; with `--check` it lists old pages and ends with exit code 1."""

from __future__ import annotations

import sys
from pathlib import Path

from recipes.docs.cli_page import cli_page
from recipes.docs.configuration_page import configuration_page
from recipes.docs.contract_pages import errors_page, hooks_page
from recipes.docs.data_flow import data_flow_svg

DOCS = Path(__file__).parents[2] / "docs"

GENERATED = {
    "reference/cli.md": cli_page,
    "reference/configuration.md": configuration_page,
    "reference/hooks.md": hooks_page,
    "reference/errors.md": errors_page,
    "assets/data-flow.svg": data_flow_svg,
}
"""For each path below `docs/`, the function that makes its text."""


def main() -> None:
    """Write the pages, or compare them."""
    is_check = sys.argv[1:] == ["--check"]
    stale = []
    for name, make in GENERATED.items():
        path, text = DOCS / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not is_check:
                path.write_text(text, encoding="utf-8")
    print("\n".join(stale) or "all pages are up to date")
    sys.exit(1 if is_check and stale else 0)


if __name__ == "__main__":
    main()
