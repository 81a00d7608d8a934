"""Makes the picture of a report for the README: the top of a page, as Chromium shows it.

    python -m recipes.docs.report_picture docs/assets/ablation-masks.html

Needs the extra `dev` and a Chromium on the path. Writes `docs/assets/report.png`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parents[2] / "docs" / "assets" / "report.png"
WIDTH, HEIGHT = 1200, 1120
"""Pixels; enough for the verdict and the drawing of the differences."""


def main(page_path: Path) -> None:
    """Write the picture of one page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(page_path.resolve().as_uri())
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
