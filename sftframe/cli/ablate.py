"""`sftframe ablate`: runs a grid of paired runs and shows the verdict on the settings that vary."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from sftframe.cli import completion
from sftframe.cli.labels import LabelFile, Labelling, LabelScale, WriteLabels, labelling, write_for_people
from sftframe.cli.options import option
from sftframe.cli.settings import Settings, flag_values, takes_settings
from sftframe.cli.streams import saved
from sftframe.errors import ConfigError

if TYPE_CHECKING:
    from sftframe.ablation import Ablation, Axis, CellResult, Plan
    from sftframe.config import Layer
    from sftframe.registry import Registry

_PANEL = "Ablation"
_VERDICT = "Verdict"
_MANY_CELLS = 60
"""A larger grid starts only with --yes."""

Seeds = Annotated[
    str | None,
    option("--seeds", help="Number of seeds, or a list: 5, or 1,2,3. Default: 3.", panel=_PANEL, metavar="N"),
]
YardstickKey = Annotated[
    str | None,
    option(
        "--yardstick",
        help="The yardstick that decides: judge (default), response_nll_per_byte, exact_match, stop_rate or "
        "length_ratio. All are reported.",
        panel=_VERDICT,
        metavar="KEY",
    ),
]
Margin = Annotated[
    float | None,
    option(
        "--margin",
        help="Smaller differences count as none. Default: judge, exact_match and stop_rate 2 points, length_ratio "
        "0.05, response_nll_per_byte 2 % of the baseline.",
        panel=_VERDICT,
        metavar="X",
    ),
]
Baseline = Annotated[
    str | None,
    option(
        "--baseline",
        help="The arm that the others are compared with. Default: the first.",
        panel=_VERDICT,
        metavar="ARM",
    ),
]
Jobs = Annotated[
    int | None,
    option("--jobs", help="Number of runs at the same time. Default: 1.", panel=_PANEL, metavar="N"),
]
Deviation = Annotated[
    float | None,
    option(
        "--sd",
        help="Standard deviation of an item's paired difference. Shows the smallest difference that the grid can find.",
        panel=_PANEL,
        metavar="X",
    ),
]
Pilot = Annotated[
    Path | None,
    option(
        "--pilot",
        help="An earlier ablation to take that standard deviation from.",
        panel=_PANEL,
        metavar="DIR",
        complete=completion.ablations,
    ),
]
Repeats = Annotated[
    int | None,
    option(
        "--repeats", help="Judge one run's answers K times, to measure the judge's noise.", panel=_PANEL, metavar="K"
    ),
]
Gradients = Annotated[
    bool,
    option(
        "--gradients", help="Also measure the cosine between the arms' gradients on the same batches.", panel=_PANEL
    ),
]
Out = Annotated[
    Path | None,
    option("--out", help="The ablation's folder. Default: a new one under ablations/.", panel=_PANEL, metavar="DIR"),
]
Resume = Annotated[
    Path | None,
    option(
        "--resume",
        help="Continue an ablation. With --seeds 5 or --collate NAME, add seeds or arms; finished runs are kept.",
        panel=_PANEL,
        metavar="DIR",
        complete=completion.ablations,
    ),
]
Yes = Annotated[bool, option("--yes", help="Start grids of more than 60 cells too.", panel=_PANEL)]
Json = Annotated[bool, option("--json", help="Print the result as JSON.", panel=_PANEL)]


@takes_settings(takes_several=True)
def ablate(
    settings: Settings,
    seeds: Seeds = None,
    yardstick: YardstickKey = None,
    margin: Margin = None,
    baseline: Baseline = None,
    jobs: Jobs = None,
    sd: Deviation = None,
    pilot: Pilot = None,
    repeats: Repeats = None,
    gradients: Gradients = False,
    out: Out = None,
    resume: Resume = None,
    labels: LabelFile = None,
    label_scale: LabelScale = None,
    write_labels: WriteLabels = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Compare prompts, masks, models or any setting with paired runs over several seeds.

    Give --prompt, --collate, --model, --epochs, --lr or --set several values, with commas between.

    With --resume DIR, --write-labels draws answers for people to label, and --labels FILE lets the labels correct the
    judge; the folder keeps them for later reports.

    Example: sftframe ablate --prompt alpaca,phi3 --collate mask-pad,mask-instruction --seeds 5
    """
    from sftframe.ablation import Ablation, conclude, detectable_difference, write_gradient_cosines
    from sftframe.analysis import draw_for_labels, rescaled_csv
    from sftframe.cli.ablate_render import GridObserver, show_comparison, show_plan
    from sftframe.files import write_whole

    table = {
        "seeds": _seeds(seeds),
        "yardstick": yardstick,
        "margin": margin,
        "baseline": baseline,
        "jobs": jobs,
        "repeats": repeats,
    }
    given = {key: value for key, value in table.items() if value is not None}
    people = labelling(labels, label_scale, write_labels)
    if people != Labelling() and resume is None:
        raise ConfigError("labels are of answers, which a new ablation does not have yet: add --resume DIR")
    settings = settings if resume else settings.with_found_config()
    registry = settings.registry()
    ablation = _reopened(resume, settings, given, out, registry) if resume else None
    plan = ablation.plan if ablation else _planned(settings, given, registry)
    knows_spread = sd is not None or pilot is not None
    show_plan(plan, detectable_difference(plan, registry, sd=sd, pilot=pilot) if knows_spread else None)
    if ablation is None:
        _check_size(plan, registry, is_wanted=yes)
        ablation = Ablation.start(plan, registry, out)
    with GridObserver() as observer:
        cells = ablation.run(observer, jobs=plan.config.jobs, disabled=settings.disabled)
        if gradients:
            write_gradient_cosines(ablation, registry, observer)
        result = conclude(ablation, cells, people=people.people)
    if people.people is not None and result is not None:
        write_whole(ablation.folder.labels_path, rescaled_csv(people.path, scale=people.scale))
    with saved(ablation.folder.path):
        if people.num_items is not None and result is not None:
            command = shlex.join(["sftframe", "ablate", "--resume", str(resume)])
            write_for_people(draw_for_labels(result, people.num_items), people.path, command, as_json=as_json)
        else:
            show_comparison(ablation, cells, result, as_json=as_json)
    _leave_if_partial(ablation, cells)


def _seeds(text: str | None) -> int | list[int] | None:
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"--seeds: expected a number of seeds, or seeds with commas between, found {text!r}"
        ) from None
    if min(numbers) < 0 or numbers == [0]:
        raise ConfigError(
            f"--seeds: expected a number of seeds (1 or more), or a list of seeds (0 or more), found {text!r}"
        )
    return numbers[0] if "," not in text else numbers


def _planned(settings: Settings, table: dict[str, Any], registry: Registry) -> Plan:
    """The plan of flags, which win over `--set`, which wins over the file. Several values make an axis."""
    from sftframe.ablation import make_plan, read_request
    from sftframe.config import merge

    axes, fixed = _varied(settings)
    return make_plan(read_request(merge(settings.file_layer(), {"ablate": table}), axes, settings=fixed), registry)


def _varied(settings: Settings) -> tuple[list[Axis], Layer]:
    """The settings of flags and `--set`: those with several values, and those with one."""
    from sftframe.ablation import Axis, split_axes
    from sftframe.config import merge, nested

    layer, axes = split_axes(settings.assignments)
    flags, named = [], []
    for key, value in settings.flags.items():
        values = flag_values(key, value)
        if len(values) > 1:
            named.append(Axis(key=key, values=tuple(values)))
        else:
            flags.append(nested(key, values[0]))
    flagged = {axis.key for axis in named}
    return [*named, *(axis for axis in axes if axis.key not in flagged)], merge(layer, *flags)


def _reopened(path: Path, settings: Settings, table: dict[str, Any], out: Path | None, registry: Registry) -> Ablation:
    from sftframe.ablation import Ablation

    if settings.config_path is not None or out is not None:
        raise ConfigError(
            "--resume DIR keeps the settings and the folder of the ablation: do not give --config or --out; add "
            "seeds and values with --seeds, --prompt, --collate, --model and --set"
        )
    axes, fixed = _varied(settings)
    if not axes and not fixed and "seeds" not in table:
        return Ablation.reopen(path, registry, table)
    changes = {key: value for key, value in table.items() if key != "seeds"}
    return Ablation.extend(path, registry, changes, seeds=table.get("seeds"), axes=axes, settings=fixed)


def _check_size(plan: Plan, registry: Registry, *, is_wanted: bool) -> None:
    from sftframe.ablation import estimated_training_s
    from sftframe.formatting import duration

    num_cells = len(plan.grid.arms) * len(plan.grid.seeds)
    if num_cells <= _MANY_CELLS or is_wanted:
        return
    seconds = num_cells * estimated_training_s(plan.grid.arms[0].layer, registry)
    raise ConfigError(
        f"this grid has {num_cells:,} cells ({len(plan.grid.arms):,} arms by {len(plan.grid.seeds)} seeds); training "
        f"alone would take about {duration(seconds)}, judging by the first steps of the first arm: "
        "vary less, or start it with --yes"
    )


def _leave_if_partial(ablation: Ablation, cells: list[CellResult]) -> None:
    from sftframe.errors import PartialError

    failed = [cell for cell in cells if cell.error]
    if failed:
        names = "; ".join(f"{result.cell.name}: {result.error}" for result in failed[:3])
        more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
        raise PartialError(
            f"{len(failed)} of {len(cells)} cells failed: {names}{more}; fix the cause, then try them again with "
            f"sftframe ablate --resume {ablation.folder.path}"
        )
