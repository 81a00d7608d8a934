"""`python -m recipes.docs.tutorial` runs the tutorial's commands and writes their output into the page.

In `docs/tutorial.md`, it runs every bash block after `<!-- run -->`, in order, in one empty folder. The next text block
after `<!-- output -->` gets stdout and stderr. It trains, so it takes some minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
_STEP = re.compile(
    r"^<!-- run -->\n```bash\n(?P<command>.*?)^```$"
    r"(?P<between>(?:(?!^```).)*?)^<!-- output -->\n```text\n.*?^```$",
    flags=re.DOTALL | re.MULTILINE,
)


def main() -> None:
    """Run every step and write the page."""
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        text = _STEP.sub(lambda step: _replaced(step, folder), text)
    PAGE.write_text(text, encoding="utf-8")


def _replaced(step: re.Match[str], folder: str) -> str:
    command = step["command"]
    print(command, end="", flush=True)
    output = _output(command, folder)
    return f"<!-- run -->\n```bash\n{command}```{step['between']}<!-- output -->\n```text\n{output}```"


def _output(command: str, folder: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


if __name__ == "__main__":
    main()
