"""Seeds that are added look by look: how often that is wrong, what it finds, and how many seeds it takes.

Three ways to look at the same simulated arms: once with the largest number of seeds; at every look without an allowance
for the others, until there is a verdict (as people do it); and as `sftframe ablate --until-decided` does it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.simulated_arms import SEED_BY_ARM, YARDSTICKS, Yardstick, candidate_center, draw
from sftframe.analysis.intervals import Spread, half_width, spread
from sftframe.analysis.looks import Bounds, information, level_of
from sftframe.analysis.pairs import linearised

LOOKS = (3, 5, 8, 12, 20)
DIFFERENCES = (0.0, 1.0, 4 / 3, 3.0)
"""True differences in margins: of the judge's points 0, 3, 4 and 9."""
CHUNK = 50
SMALLEST_LEVEL = 1e-12
WAYS = ("once", "as people do it", "--until-decided")


@dataclass(frozen=True, slots=True, kw_only=True)
class LooksRow:
    """What became of all repetitions of one situation, by one way to look; shares are 0-1."""

    way: str
    yardstick: str
    difference: float
    """True, in margins."""
    seed_by_arm: str
    num_items: int
    num_repetitions: int
    better: float
    worse: float
    equivalent: float
    num_seeds: float
    """Mean of the seeds at the end."""

    @property
    def wrong(self) -> float:
        """Share of verdicts that are not true."""
        wrong_direction = self.better + self.worse if self.difference == 0 else self.worse
        return wrong_direction + (self.equivalent if self.difference >= 1 else 0.0)


def looks_situations() -> Iterator[tuple[Yardstick, float, str, int]]:
    """Yardstick, difference, effect of the seeds, items."""
    for difference, scatter in product(DIFFERENCES, SEED_BY_ARM):
        yield YARDSTICKS[0], difference, scatter, 110
    for difference in (0.0, 1.0, 4 / 3):
        yield YARDSTICKS[0], difference, "small", 400
    for yardstick in YARDSTICKS[1:]:
        yield yardstick, 0.0, "small", 110


def simulate_looks(
    yardstick: Yardstick,
    difference: float,
    seed_by_arm: str,
    num_items: int,
    num_repetitions: int,
    looks: Sequence[int] = LOOKS,
) -> list[LooksRow]:
    """Look at that many pairs of arms in each way; the same arguments draw the same."""
    rng = np.random.default_rng(zlib.crc32(f"{yardstick.name} {difference} {seed_by_arm} {num_items} {looks}".encode()))
    deviation = SEED_BY_ARM[seed_by_arm]
    center, _ = candidate_center(yardstick, difference * yardstick.margin, deviation, looks[-1])
    ends: dict[str, list[tuple[str, int]]] = {way: [] for way in WAYS}
    for start in range(0, num_repetitions, CHUNK):
        count = min(CHUNK, num_repetitions - start)
        values, weights = draw(rng, yardstick, center, deviation, count, looks[-1], num_items)
        means = [values[:, :number].mean(axis=(-2, -1)) for number in looks]
        spreads = [
            spread(linearised(values[:, :number], weights), score_range=yardstick.score_range) for number in looks
        ]
        for one in range(count):
            path = [(float(mean[one]), _one(found, one)) for mean, found in zip(means, spreads, strict=True)]
            ends["once"].append((_verdict(*path[-1], yardstick.margin, 0.05, 0.10), looks[-1]))
            ends["as people do it"].append(_peeked(path, yardstick.margin))
            ends["--until-decided"].append(_decided(path, looks, yardstick.margin))
    return [
        LooksRow(
            way=way,
            yardstick=yardstick.name,
            difference=difference,
            seed_by_arm=seed_by_arm,
            num_items=num_items,
            num_repetitions=num_repetitions,
            **{kind: float(np.mean([end == kind for end, _ in some])) for kind in ("better", "worse", "equivalent")},
            num_seeds=float(np.mean([number for _, number in some])),
        )
        for way, some in ends.items()
    ]


Path = Sequence[tuple[float, Spread]]
"""Mean difference (positive = better) and its squared standard errors, look by look."""


def _one(found: Spread, number: int) -> Spread:
    return Spread(
        seed=found.seed[number],
        item=found.item[number],
        residual=found.residual[number],
        num_seeds=found.num_seeds,
        num_items=found.num_items,
    )


def _verdict(mean: float, found: Spread, margin: float, level: float, narrow_level: float) -> str:
    half, narrow = (float(half_width(found, max(one, SMALLEST_LEVEL))) for one in (level, narrow_level))
    if abs(mean) + narrow < margin:
        return "equivalent"
    if abs(mean) <= half:
        return "cannot tell"
    return "better" if mean > 0 else "worse"


def _peeked(path: Path, margin: float) -> tuple[str, int]:
    verdict, number = "cannot tell", 0
    for mean, found in path:
        verdict, number = _verdict(mean, found, margin, 0.05, 0.10), found.num_seeds
        if verdict != "cannot tell":
            break
    return verdict, number


def _decided(path: Path, looks: Sequence[int], margin: float) -> tuple[str, int]:
    alphas = Bounds(0.05), Bounds(0.10)
    verdict, number = "cannot tell", 0
    for place, (mean, found) in enumerate(path):
        known = information(found, looks[: place + 1], looks[-1])
        levels = [level_of(bounds.next(known)) for bounds in alphas]
        verdict, number = _verdict(mean, found, margin, levels[0], levels[1]), found.num_seeds
        if verdict != "cannot tell":
            break
    return verdict, number
