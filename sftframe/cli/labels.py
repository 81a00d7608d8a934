"""The flags of people's labels that `judge`, `compare` and `ablate` share, and the files written for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli.options import option
from sftframe.cli.streams import write, write_json
from sftframe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sftframe.analysis import DrawnItem, PeopleLabels

_PANEL = "People's labels"

LabelFile = Annotated[
    Path | None,
    option(
        "--labels",
        help="People's labels of some answers, as CSV: they correct the judge. With --write-labels the file to write.",
        panel=_PANEL,
        metavar="FILE",
    ),
]
LabelScale = Annotated[
    str | None,
    option(
        "--label-scale",
        help="Lowest and highest label, for instance 1-5. Default: 0 to 1, 0 to 100, or yes and no.",
        panel=_PANEL,
        metavar="LOW-HIGH",
    ),
]
WriteLabels = Annotated[
    int | None,
    typer.Option(
        "--write-labels",
        help="Draw N items for people to label, and write them as CSV and as a page to fill in.",
        rich_help_panel=_PANEL,
        metavar="N",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """What is to be done with people's labels."""

    people: PeopleLabels | None = None
    """Labels that correct the judge."""
    num_items: int | None = None
    """Items to draw for people."""
    path: Path = Path("labels.csv")
    """The file of labels, or the one to be written."""
    scale: tuple[float, float] | None = None


def labelling(labels: Path | None, scale: str | None, number: int | None) -> Labelling:
    """The flags, checked; labels are read.

    Raises:
        ConfigError: flags that do not go together, or a file to write that exists.
        DataError: the labels cannot be read.
    """
    from sftframe.analysis import LEAST_LABELS, read_labels, read_scale

    if number is not None:
        path = labels or Path("labels.csv")
        if scale is not None:
            raise ConfigError("--label-scale is for labels that are read: leave it out with --write-labels")
        if number < LEAST_LABELS:
            raise ConfigError(f"--write-labels {number}: expected at least {LEAST_LABELS} items; start with a hundred")
        _check_free(path)
        return Labelling(num_items=number, path=path)
    if labels is None:
        if scale is not None:
            raise ConfigError("--label-scale is the scale of --labels FILE: name the file too")
        return Labelling()
    found = None if scale is None else read_scale(scale)
    return Labelling(people=read_labels(labels, scale=found), path=labels, scale=found)


def _check_free(path: Path) -> None:
    """No file is replaced: it may have hours of somebody's labels."""
    if path.suffix.lower() != ".csv":
        raise ConfigError(f"--labels {path}: with --write-labels expected a name that ends in .csv")
    for one in (path, path.with_suffix(".html")):
        if one.exists():
            raise ConfigError(f"{one} exists, and may have labels: name another file with --labels, or delete it")


def write_for_people(items: Sequence[DrawnItem], path: Path, command: str, *, as_json: bool) -> None:
    """Write the CSV file and the page, and say what to do with them.

    Args:
        command: that uses the labels, without `--labels`.
    """
    from sftframe.analysis import labels_csv
    from sftframe.files import write_whole
    from sftframe.report import label_page

    page = path.with_suffix(".html")
    try:
        write_whole(path, labels_csv(items))
        write_whole(page, label_page(items, file_name=path.name))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    num_answers = sum(len(item.answers) for item in items)
    if as_json:
        write_json({"csv": str(path), "page": str(page), "num_items": len(items), "num_answers": num_answers})
        return
    write(
        f"Drawn     {len(items):,} items with {num_answers:,} answers, in random order, without the names of arms\n"
        f"Page      {page}: open it in a browser, label, and save the file over {path.name}\n"
        f"Table     {path}: or fill in the column 'label'\n"
        f"Next      {command} --labels {path}\n"
    )
