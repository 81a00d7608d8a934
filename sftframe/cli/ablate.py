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
    from sftframe.ablation import Ablation, Axis, CellResult, Elsewhere, Plan
    from sftframe.config import Layer
    from sftframe.registry import Registry

_PANEL = "Ablation"
_VERDICT = "Verdict"
_ELSEWHERE = "Elsewhere"
_MANY_CELLS = 60
"""A larger grid starts only with --yes."""

Seeds = Annotated[
    str | None,
    option("--seeds", help="Number of seeds, or a list: 5, or 1,2,3. Default: 3.", panel=_PANEL, metavar="N"),
]
UntilDecided = Annotated[
    bool,
    option(
        "--until-decided",
        help="Add seeds until every comparison has a verdict. The verdict allows for the looks on the way.",
        panel=_PANEL,
    ),
]
LookNumbers = Annotated[
    str | None,
    option(
        "--looks",
        help="With --until-decided: the numbers of seeds at which the arms are compared. Default: 3,5,8,12,20.",
        panel=_PANEL,
        metavar="N,N,…",
    ),
]
MaxSeeds = Annotated[
    int | None,
    option(
        "--max-seeds",
        help="With --until-decided: the largest number of seeds. Default: that of the last look.",
        panel=_PANEL,
        metavar="N",
    ),
]
Tune = Annotated[
    list[str],
    option(
        "--tune",
        help="Let every arm choose this setting for itself, on the validation part: train.lr=1e-4,3e-4,1e-3; "
        "repeatable.",
        panel=_PANEL,
        metavar="KEY=V,V,…",
    ),
]
TuneSeeds = Annotated[
    int | None,
    option(
        "--tune-seeds",
        help="Runs of every value of --tune, with seeds that the comparison does not use. Default: 2.",
        panel=_PANEL,
        metavar="N",
    ),
]
DryRun = Annotated[
    bool,
    option("--dry-run", help="Show the grid and what its training costs, and run nothing.", panel=_PANEL),
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
On = Annotated[
    str | None,
    option(
        "--on",
        help="Run the cells elsewhere: ray, ray://HOST:10001, slurm, or another installed launcher.",
        panel=_ELSEWHERE,
        metavar="NAME",
        complete=completion.components("launcher"),
    ),
]
OnSettings = Annotated[
    list[str],
    option("--on-set", help="An option of the launcher; repeatable.", panel=_ELSEWHERE, metavar="KEY=VALUE"),
]
Cpus = Annotated[
    int | None,
    option("--cpus-per-cell", help="With --on: processors for each run. Default: 1.", panel=_ELSEWHERE, metavar="N"),
]
Gpus = Annotated[
    float | None,
    option(
        "--gpus-per-cell",
        help="With --on: GPUs for each run; with ray 0.25 lets four runs share one. Default: 0.",
        panel=_ELSEWHERE,
        metavar="X",
    ),
]
Ship = Annotated[
    bool,
    option("--ship", help="With --on ray: send the plugins that are not sftframe's own.", panel=_ELSEWHERE),
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
    until_decided: UntilDecided = False,
    looks: LookNumbers = None,
    max_seeds: MaxSeeds = None,
    tune: Tune = [],  # noqa: B006 - typer reads the default, nobody changes it
    tune_seeds: TuneSeeds = None,
    yardstick: YardstickKey = None,
    margin: Margin = None,
    baseline: Baseline = None,
    jobs: Jobs = None,
    on: On = None,
    on_set: OnSettings = [],  # noqa: B006 - as above
    cpus_per_cell: Cpus = None,
    gpus_per_cell: Gpus = None,
    ship: Ship = False,
    sd: Deviation = None,
    pilot: Pilot = None,
    repeats: Repeats = None,
    gradients: Gradients = False,
    out: Out = None,
    resume: Resume = None,
    labels: LabelFile = None,
    label_scale: LabelScale = None,
    write_labels: WriteLabels = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Compare prompts, masks, models or any setting with paired runs over several seeds.

    Give --prompt, --collate, --model, --epochs, --lr or --set several values, with commas between.

    With --resume DIR, --write-labels draws answers for people to label, and --labels FILE lets the labels correct the
    judge; the folder keeps them for later reports.

    Example: sftframe ablate --prompt alpaca,phi3 --collate mask-pad,mask-instruction --seeds 5
    """
    from sftframe.ablation import Ablation, cost, detectable_difference, run_and_conclude, write_gradient_cosines
    from sftframe.analysis import draw_for_labels, rescaled_csv
    from sftframe.cli.ablate_render import GridObserver, show_comparison, show_cost, show_plan
    from sftframe.files import write_whole

    table = {
        "seeds": _seeds(seeds),
        "until_decided": until_decided or None,
        "looks": _looks(looks),
        "max_seeds": max_seeds,
        "tune": _tuned(tune),
        "tune_seeds": tune_seeds,
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
    elsewhere = _elsewhere(on, on_set, cpus_per_cell, gpus_per_cell, ship, jobs, registry)
    plan = ablation.plan if ablation else _planned(settings, given, registry)
    knows_spread = sd is not None or pilot is not None
    show_plan(plan, detectable_difference(plan, registry, sd=sd, pilot=pilot) if knows_spread else None)
    if dry_run:
        show_cost(cost(plan, registry, ablation.state() if ablation else ()), as_json=as_json)
        return
    if ablation is None:
        _check_size(plan, registry, is_wanted=yes)
        ablation = Ablation.start(plan, registry, out)
    begun = ablation
    with GridObserver() as observer:
        finished = run_and_conclude(
            begun,
            observer,
            changes={key: value for key, value in given.items() if key != "seeds"},
            jobs=plan.config.jobs,
            disabled=settings.disabled,
            elsewhere=elsewhere,
            before_conclusion=lambda: write_gradient_cosines(begun, registry, observer) if gradients else None,
            people=people.people,
        )
    ablation, cells, result = finished.ablation, finished.cells, finished.result
    if people.people is not None and result is not None:
        write_whole(ablation.folder.labels_path, rescaled_csv(people.path, scale=people.scale))
    with saved(ablation.folder.path):
        if people.num_items is not None and result is not None:
            command = shlex.join(["sftframe", "ablate", "--resume", str(resume)])
            write_for_people(draw_for_labels(result, people.num_items), people.path, command, as_json=as_json)
        else:
            show_comparison(ablation, cells, result, as_json=as_json)
    _leave_if_partial(ablation, cells)


def _elsewhere(
    on: str | None,
    words: list[str],
    cpus: int | None,
    gpus: float | None,
    ships: bool,
    jobs: int | None,
    registry: Registry,
) -> Elsewhere | None:
    """Who runs the cells, if not this machine's own processes; checked before anything is started."""
    from sftframe.ablation import Elsewhere
    from sftframe.config import parse_settings

    given = {"--on-set": words, "--cpus-per-cell": cpus is not None, "--gpus-per-cell": gpus is not None}
    without = [flag for flag, value in {**given, "--ship": ships}.items() if value]
    if on is None:
        if without:
            raise ConfigError(f"{without[0]} is about a launcher: give --on too, for instance --on ray")
        return None
    if jobs is not None:
        raise ConfigError("--jobs is for processes of this machine; with --on the launcher decides: leave --jobs out")
    launcher = registry.launcher(on, parse_settings(words))
    launcher.check()
    return Elsewhere(launcher=launcher, cpus=1 if cpus is None else cpus, gpus=gpus or 0, ships=ships)


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


def _looks(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 2:
        raise ConfigError(
            f"--looks: expected numbers of seeds (2 or more) with commas between, as in 3,5,8,12,20, found {text!r}"
        )
    return numbers


def _tuned(words: list[str]) -> Layer | None:
    """The table `[ablate.tune]` of the given words."""
    from sftframe.ablation import split_axes
    from sftframe.config import merge, nested

    if not words:
        return None
    single, axes = split_axes(words)
    if single:
        raise ConfigError(f"--tune {words[0]}: expected several values with commas between, as in train.lr=1e-4,1e-3")
    return merge(*(nested(axis.key, list(axis.values)) for axis in axes))


_LOOK_FLAGS = {"until_decided": "--until-decided", "looks": "--looks", "max_seeds": "--max-seeds"}


def _check_looks(table: dict[str, Any], plan: Plan, *, is_new: bool) -> None:
    """Check that flags about looks belong to what is run, and do not change looks that were planned before."""
    given = [flag for key, flag in _LOOK_FLAGS.items() if key in table]
    if not given:
        return
    if is_new:
        if not plan.config.until_decided:
            raise ConfigError(f"{given[0]} says when seeds are added: give --until-decided too")
        return
    if given != ["--until-decided"]:
        raise ConfigError(
            f"{given[-1]}: the looks of an ablation are planned before its first one and stay as they are: "
            "leave it out, or start a new ablation"
        )
    if not plan.config.until_decided:
        raise ConfigError(
            "--until-decided: this ablation was started without it, so its first verdict has used up the 5 % in which "
            "a verdict may be wrong: add seeds with --seeds, or start a new ablation with --until-decided"
        )


def _planned(settings: Settings, table: dict[str, Any], registry: Registry) -> Plan:
    """The plan of flags, which win over `--set`, which wins over the file. Several values make an axis."""
    from sftframe.ablation import make_plan, read_request
    from sftframe.config import merge

    axes, fixed = _varied(settings)
    if "until_decided" in table and "seeds" in table:
        raise ConfigError(
            "--seeds and --until-decided contradict each other: leave one of them out; --looks and --max-seeds say how "
            "many seeds there are at first and at most"
        )
    request = read_request(merge(settings.file_layer(), {"ablate": table}), axes, settings=fixed)
    plan = make_plan(request, registry)
    _check_looks(table, plan, is_new=True)
    if "tune_seeds" in table and not plan.tried:
        raise ConfigError("--tune-seeds says how often every value of --tune is run: give --tune too")
    return plan


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
    if table.keys() & {"tune", "tune_seeds"}:
        raise ConfigError(
            "--tune and --tune-seeds: what arms choose among stays as it is in an ablation: leave them out, or start a "
            "new one"
        )
    axes, fixed = _varied(settings)
    changes = {key: value for key, value in table.items() if key != "seeds"}
    if table.keys() & _LOOK_FLAGS.keys():
        _check_looks(table, Ablation.reopen(path, registry).plan, is_new=False)
    if not axes and not fixed and "seeds" not in table:
        return Ablation.reopen(path, registry, table)
    return Ablation.extend(path, registry, changes, seeds=table.get("seeds"), axes=axes, settings=fixed)


def _check_size(plan: Plan, registry: Registry, *, is_wanted: bool) -> None:
    from sftframe.ablation import estimated_training_s
    from sftframe.formatting import duration

    fewest, most = plan.num_seeds
    num_cells = len(plan.grid.arms) * most
    if num_cells <= _MANY_CELLS or is_wanted:
        return
    seconds = num_cells * estimated_training_s(plan.grid.arms[0].layer, registry)
    up_to = "up to " * (most > fewest)
    raise ConfigError(
        f"this grid has {up_to}{num_cells:,} cells ({len(plan.grid.arms):,} arms by {up_to}{most} seeds); training "
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
