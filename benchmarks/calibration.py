"""Do the intervals and verdicts of `sftframe.analysis` keep what they promise? Simulated arms, known differences.

    python -m benchmarks.calibration                    the full table
    python -m benchmarks.calibration --quick            a tenth of the repetitions
    python -m benchmarks.calibration --methods          the same interval made in other ways
    python -m benchmarks.calibration --plans            "needs N items, K seeds", followed (200 plans per situation)
    python -m benchmarks.calibration --limits           where the intervals fail: skewed items, rare collapsing seeds
    python -m benchmarks.calibration --families         items in families: groups as units, and as if independent
    python -m benchmarks.calibration --looks            seeds added until it is decided, and as people do it
    python -m benchmarks.calibration --json

Each comparison has a baseline and a candidate over the same seeds and items (`benchmarks.simulated_arms`).

Goals: 93-97 % of the 95 % intervals hold the true difference, at most 5 % wrong 'better' where there is no difference;
75-85 % of the plans end with a verdict, on average over the situations; at most 5 % wrong verdicts with
`--until-decided` where there is no difference.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from benchmarks.families import (
    FEW,
    SIZES,
    FamilyPairsRow,
    FamilyPlanRow,
    FamilyRow,
    family_pairs,
    family_plans,
    family_situations,
    follow_family_plans,
    simulate_families,
    simulate_family_pairs,
)
from benchmarks.followed_plans import PlanRow, follow_plans, plan_situations
from benchmarks.interval_methods import METHODS
from benchmarks.limits import LimitRow, limit_situations, simulate_limit
from benchmarks.simulated_arms import (
    DIFFERENCES,
    SEED_BY_ARM,
    YARDSTICKS,
    Yardstick,
    candidate_center,
    draw,
)
from benchmarks.simulated_looks import WAYS, LooksRow, looks_situations, simulate_looks
from sftframe.analysis.pairs import linearised

SEEDS = (1, 2, 3, 5, 10)
ITEMS = (50, 110, 200, 1000)
CHUNK_CELLS = 1_500_000
"""Scores drawn at a time, for a memory of some 100 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of all repetitions of one situation; shares are 0-1."""

    yardstick: str
    difference: str
    seed_by_arm: str
    num_seeds: int
    num_items: int
    num_repetitions: int
    true_difference: float
    """Positive = the candidate is better."""
    coverage: float
    half_width: float
    """Median."""
    better: float
    worse: float
    equivalent: float
    cannot_tell: float

    @property
    def wrong(self) -> float:
        """Share of verdicts that are not true."""
        is_equivalent = self.difference in ("none", "small")
        wrong_direction = self.better + self.worse if self.difference == "none" else self.worse
        return wrong_direction + (0.0 if is_equivalent else self.equivalent)


def situations() -> Iterator[tuple[Yardstick, str, str, int, int]]:
    """The full table's; with one seed those without seed variance, since its interval speaks of items alone."""
    for yardstick, difference, scatter, seeds, items in product(YARDSTICKS, DIFFERENCES, SEED_BY_ARM, SEEDS, ITEMS):
        if seeds > 1 or scatter == "no":
            yield yardstick, difference, scatter, seeds, items


def simulate(
    yardstick: Yardstick,
    difference: str,
    seed_by_arm: str,
    num_seeds: int,
    num_items: int,
    num_repetitions: int,
    method: str = "sftframe",
) -> Row:
    """Draw and judge that many comparisons; the same arguments draw the same."""
    name = f"{yardstick.name} {difference} {seed_by_arm} {num_seeds} {num_items}"
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    deviation = SEED_BY_ARM[seed_by_arm]
    center, truth = candidate_center(yardstick, DIFFERENCES[difference] * yardstick.margin, deviation, num_seeds)
    estimates, halves, halves_90 = [], [], []
    size = max(1, CHUNK_CELLS // (2 * num_seeds * num_items))
    for start in range(0, num_repetitions, size):
        count = min(size, num_repetitions - start)
        values, weights = draw(rng, yardstick, center, deviation, count, num_seeds, num_items)
        estimates.append(values.mean(axis=(-2, -1)))
        moved = linearised(values, weights)
        halves.append(METHODS[method](moved, yardstick.score_range, 0.05))
        halves_90.append(METHODS[method](moved, yardstick.score_range, 0.10))
    estimate, half, half_90 = np.concatenate(estimates), np.concatenate(halves), np.concatenate(halves_90)
    is_equivalent = np.abs(estimate) + half_90 < yardstick.margin
    is_shown = (np.abs(estimate) > half) & ~is_equivalent
    return Row(
        yardstick=yardstick.name,
        difference=difference,
        seed_by_arm=seed_by_arm,
        num_seeds=num_seeds,
        num_items=num_items,
        num_repetitions=num_repetitions,
        true_difference=truth,
        coverage=float((np.abs(estimate - truth) <= half + 1e-12).mean()),
        half_width=float(np.median(half)),
        better=float((is_shown & (estimate > 0)).mean()),
        worse=float((is_shown & (estimate < 0)).mean()),
        equivalent=float(is_equivalent.mean()),
        cannot_tell=float((~is_equivalent & ~is_shown).mean()),
    )


def by_method(num_repetitions: int) -> dict[str, list[Row]]:
    """The judge's points over 110 items, no difference: each method on the same draws."""
    places = list(product(SEEDS[1:], SEED_BY_ARM))
    return {
        method: [
            simulate(YARDSTICKS[0], "none", scatter, seeds, 110, num_repetitions, method) for seeds, scatter in places
        ]
        for method in METHODS
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, help="per situation (1000; with --methods 500, with --plans 200)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--methods", action="store_true", help="compare ways to make the interval")
    kind.add_argument("--plans", action="store_true", help="follow the plans of comparisons that cannot tell")
    kind.add_argument("--looks", action="store_true", help="look while seeds are added, in three ways")
    kind.add_argument("--limits", action="store_true", help="situations in which the intervals fail")
    kind.add_argument("--families", action="store_true", help="items in families; for them a tenth as many plans")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    default = 500 if options.methods else 200 if options.plans else 1000
    number = (options.repetitions or default) // (10 if options.quick else 1)
    start = time.perf_counter()
    rows: Mapping[str, Sequence[Row | PlanRow | LimitRow | LooksRow | FamilyRow | FamilyPlanRow | FamilyPairsRow]]
    if options.plans:
        plans = [follow_plans(*one, number) for one in plan_situations()]
        rows, text = {"plans": plans}, plans_table(plans)
    elif options.looks:
        looks = [row for one in looks_situations() for row in simulate_looks(*one, number)]
        rows, text = {"looks": looks}, looks_table(looks)
    elif options.limits:
        limits = [simulate_limit(*one, number) for one in limit_situations()]
        rows, text = {"limits": limits}, limits_table(limits)
    elif options.families:
        families = [simulate_families(place, number) for place in family_situations()]
        of_plans = [
            follow_family_plans(place, difference, max(1, number // 10)) for place, difference in family_plans()
        ]
        pairs = [simulate_family_pairs(*one, max(1, number * 3 // 10)) for one in family_pairs()]
        rows = {"families": families, "family plans": of_plans, "family pairs": pairs}
        text = families_tables(families, of_plans, pairs)
    elif options.methods:
        methods = by_method(number)
        rows, text = methods, _methods_table(methods)
    else:
        found = [simulate(*one, number) for one in situations()]
        rows, text = {"sftframe": found}, _tables(found)
    seconds = time.perf_counter() - start
    if options.json:
        documents = {name: [asdict(row) for row in some] for name, some in rows.items()}
        print(json.dumps({"seconds": seconds, "rows": documents}))
        return
    print(text)
    print(f"\n{number} comparisons in each of {len(next(iter(rows.values())))} situations, {seconds:.0f} s")


def looks_table(rows: Sequence[LooksRow]) -> str:
    """Verdicts and seeds of each way to look, by situation."""
    found = ("right or wrong 'better'", "wrong", "equivalent", "seeds")
    header = ["yardstick", "items", "true difference, margins", "seeds' effect"]
    parts = [_header([*header, *(f"{name}: {way}" for name in found for way in WAYS)])]
    by_place: dict[tuple[str, int, float, str], list[LooksRow]] = {}
    for row in rows:
        by_place.setdefault((row.yardstick, row.num_items, row.difference, row.seed_by_arm), []).append(row)
    for (yardstick, items, difference, scatter), some in by_place.items():
        shares = [[f"{100 * getattr(row, name):.1f}" for row in some] for name in ("better", "wrong", "equivalent")]
        cells = [str(items), f"{difference:.2g}", scatter, *(cell for column in shares for cell in column)]
        parts.append(_line(yardstick, [*cells, *(f"{row.num_seeds:.1f}" for row in some)]))
    return "\n".join(parts)


def limits_table(rows: Sequence[LimitRow]) -> str:
    parts = [_header(["what is rare", "seeds x items", "coverage", "wrong 'better'", "wrong 'worse'"])]
    for row in rows:
        shares = [f"{100 * share:.1f}" for share in (row.coverage, row.better, row.worse)]
        parts.append(_line(row.kind, [f"{row.num_seeds} x {row.num_items}", *shares]))
    return "\n".join(parts)


def families_tables(rows: Sequence[FamilyRow], plans: Sequence[FamilyPlanRow], pairs: Sequence[FamilyPairsRow]) -> str:
    """With the groups as units, and as if items were independent; then the plans, and pairs of answers."""
    header = [
        "",
        "coverage",
        "if independent",
        "wrong 'better'",
        "if independent",
        "wrong 'equivalent'",
        "times as wide",
    ]
    large = [row for row in rows if row.num_groups not in FEW]
    points = [row for row in large if row.yardstick == "judge"]
    places: dict[str, list[FamilyRow]] = {}
    for seeds, size in product((1, 3, 5), SIZES):
        some = [row for row in points if (row.num_seeds, row.size) == (seeds, size)]
        places[f"judge, {seeds} x {some[0].num_groups} families of {size}"] = some
    for is_equal in (True, False):
        sizes = "equal" if is_equal else "unequal"
        places[f"judge, {sizes} sizes"] = [row for row in points if row.is_equal == is_equal]
    for share in sorted({row.share for row in points}):
        places[f"judge, share {share:.0%}"] = [row for row in points if row.share == share]
    for name in dict.fromkeys(row.yardstick for row in large):
        places[f"{name}, all"] = [row for row in large if row.yardstick == name]
    for number in FEW:
        places[f"judge, {number} families of 10"] = [row for row in rows if row.num_groups == number]
    parts = ["Items in families, no true difference ('equivalent': at the margin), %\n", _header(header)]
    parts += [_line(name, _family_cells(some)) for name, some in places.items()]
    parts.append("\nPlans that ended with a verdict, %, and medians of the added items and seeds\n")
    differences = sorted({plan.difference for plan in plans})
    parts.append(_header(["families", "seeds", "share", *(f"{one:.2g} margins" for one in differences)]))
    by_place: dict[tuple[str, int, float], list[str]] = {}
    for plan in plans:
        cell = f"{100 * plan.settled:.0f} ({plan.more_items:.0f}, {plan.more_seeds:.0f})"
        by_place.setdefault((f"{plan.num_groups} of {plan.size}", plan.num_seeds, plan.share), []).append(cell)
    parts += [_line(name, [str(seeds), f"{share:.0%}", *cells]) for (name, seeds, share), cells in by_place.items()]
    parts.append(f"\nMean of all plans: {100 * float(np.mean([plan.settled for plan in plans])):.1f} %")
    parts.append("\nPairs of answers in families: intervals that hold the true win rate, %, and their mean width\n")
    parts.append(_header(["families", "share", "coverage", "if independent", "width", "if independent"]))
    for pair in pairs:
        cells = [f"{100 * value:.1f}" for value in (pair.coverage, pair.coverage_ungrouped)]
        cells += [f"{value:.2f}" for value in (pair.width, pair.width_ungrouped)]
        parts.append(_line(f"{pair.num_groups} of {pair.size}", [f"{pair.share:.0%}", *cells]))
    return "\n".join(parts)


def _family_cells(rows: Sequence[FamilyRow]) -> list[str]:
    names = ("coverage", "coverage_ungrouped", "better", "better_ungrouped", "equivalent_at_margin")
    width = float(np.mean([row.half_width / row.half_width_ungrouped for row in rows]))
    return [*(_range([getattr(row, name) for row in rows]) for name in names), f"{width:.1f}"]


def plans_table(rows: Sequence[PlanRow]) -> str:
    """Shares of plans that ended with a verdict, by situation and on average."""
    header = ["yardstick", "seeds x items", "true difference, margins"]
    header += [f"{way}, {scatter}" for way in ("anew", "added") for scatter in SEED_BY_ARM]
    header += [f"more items, seeds: {scatter}" for scatter in SEED_BY_ARM] + ["beyond reach"]
    parts = ["Plans that ended with a verdict, %, by the seeds' effect on the difference\n", _header(header)]
    by_place: dict[tuple[str, int, int, float], list[PlanRow]] = {}
    for row in rows:
        by_place.setdefault((row.yardstick, row.num_seeds, row.num_items, row.difference), []).append(row)
    for (yardstick, seeds, items, difference), some in by_place.items():
        cells = [f"{seeds} x {items}", f"{difference:.2g}"]
        cells += [f"{100 * row.settled_anew:.0f}" for row in some]
        cells += [f"{100 * row.settled_added:.0f}" for row in some]
        cells += [f"{row.more_items[1]:.0f}, {_between(row.more_seeds)}" for row in some]
        parts.append(_line(yardstick, [*cells, f"{100 * float(np.mean([row.out_of_reach for row in some])):.0f}"]))
    parts.append("\nMean (lowest to highest) of the situations\n\n" + _header(["situations", "anew", "added"]))
    groups = {"all": list(rows)}
    groups |= {f"seeds' effect {name}": [row for row in rows if row.seed_by_arm == name] for name in SEED_BY_ARM}
    groups |= {
        f"true difference {of:.2g} margins": [row for row in rows if row.difference == of]
        for of in sorted({row.difference for row in rows})
    }
    parts += [
        _line(name, [_range([row.settled_anew for row in some]), _range([row.settled_added for row in some])])
        for name, some in groups.items()
    ]
    return "\n".join(parts)


def _between(tails: tuple[float, float, float]) -> str:
    low, middle, high = tails
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def _tables(rows: Sequence[Row]) -> str:
    """Coverage by seeds and items, by yardstick, and what the verdicts were."""
    parts = [
        "95 % intervals that hold the true difference, %: mean (lowest to highest) of all yardsticks and differences"
    ]
    for scatter in SEED_BY_ARM:
        parts.append(f"\nSeeds' effect on the difference: {scatter}\n")
        parts.append(_header(["seeds", *(f"{items} items" for items in ITEMS)]))
        parts += [_line(seeds, _coverage(rows, scatter, seeds)) for seeds in SEEDS if _coverage(rows, scatter, seeds)]
    parts.append("\nBy yardstick\n\n" + _header(["yardstick", "seeds", "coverage", "wrong 'better' at no difference"]))
    for yardstick, seeds in product(YARDSTICKS, SEEDS):
        some = [row for row in rows if (row.yardstick, row.num_seeds) == (yardstick.name, seeds)]
        null = [row.better for row in some if row.difference == "none"]
        parts.append(_line(yardstick.name, [str(seeds), _range([row.coverage for row in some]), _range(null)]))
    columns = ("better", "worse", "equivalent", "cannot_tell", "wrong")
    parts.append(
        "\nVerdicts, %\n\n" + _header(["true difference", "seeds", *(name.replace("_", " ") for name in columns)])
    )
    for difference, seeds in product(DIFFERENCES, SEEDS):
        some = [row for row in rows if (row.difference, row.num_seeds) == (difference, seeds)]
        means = [float(np.mean([getattr(row, name) for row in some])) for name in columns]
        parts.append(_line(difference, [str(seeds), *(f"{100 * mean:.1f}" for mean in means)]))
    return "\n".join(parts)


def _coverage(rows: Sequence[Row], scatter: str, seeds: int) -> list[str]:
    cells = [
        [row.coverage for row in rows if (row.seed_by_arm, row.num_seeds, row.num_items) == (scatter, seeds, items)]
        for items in ITEMS
    ]
    return [_range(cell) for cell in cells if cell]


def _methods_table(rows: Mapping[str, Sequence[Row]]) -> str:
    first = next(iter(rows.values()))
    return "\n".join(
        [
            "95 % intervals that hold the true difference, % (median half width, points): judge's points, 110 items,",
            "no difference; by seeds and the seeds' effect on the difference\n",
            _header(["method", *(f"{row.num_seeds}, {row.seed_by_arm}" for row in first)]),
            *(
                _line(name, [f"{100 * r.coverage:.1f} ({r.half_width:.1f})" for r in some])
                for name, some in rows.items()
            ),
        ]
    )


def _header(names: Sequence[str]) -> str:
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def _line(name: object, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _range(shares: Sequence[float]) -> str:
    return f"{100 * float(np.mean(shares)):.1f} ({100 * min(shares):.1f} to {100 * max(shares):.1f})"


if __name__ == "__main__":
    main()
