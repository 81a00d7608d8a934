"""A comparison as one self-contained page: verdict, forest plot, arms, curves, flipped items, tokens, set-up."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sftframe.analysis import (
    Comparison,
    ComparisonResult,
    FlippedItem,
    Interval,
    Yardstick,
    YardstickTable,
)
from sftframe.escaping import escape_controls
from sftframe.formatting import ABSENT, duration, fixed, p_text, signed
from sftframe.records import AnsweredItem
from sftframe.report.comparison_charts import (
    ArmCurves,
    ArmLines,
    forest_groups,
    forest_svg,
    lines_svg,
    look_of,
    loss_groups,
    validation_lines,
)
from sftframe.report.costs import Cost, cost_in_words, cost_of_arm, cost_of_run, total
from sftframe.report.curves import MAX_ROWS, even_steps
from sftframe.report.documents import (
    LOOK_COLUMNS,
    comparison_facts,
    comparison_methods,
    counted_share,
    look_rows,
    looks_sentence,
    next_questions,
)
from sftframe.report.people import agreement_facts, bias_rows, pair_rows
from sftframe.report.rendering import Headline, Table, manifest_tables, render_page
from sftframe.report.run_tables import show_example
from sftframe.runs import LoadedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCell:
    """One arm by one yardstick."""

    yardstick: str
    mean: str
    seeds: tuple[tuple[int, str], ...]
    """Seed and mean of each."""
    difference: str
    """To the baseline; empty for the baseline itself."""
    verdict: str
    num_unscored: int
    """Answers without a score, over all seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """One arm."""

    name: str
    position: int
    is_baseline: bool
    cells: tuple[ArmCell, ...]


def arm_rows(result: ComparisonResult) -> tuple[ArmRow, ...]:
    """Every arm with a cell per yardstick, the main yardstick first."""
    tables = ordered_tables(result)
    return tuple(
        ArmRow(
            name=arm.name,
            position=position,
            is_baseline=arm.name == result.baseline,
            cells=tuple(_cell(table, arm.name) for table in tables),
        )
        for position, arm in enumerate(result.arms)
    )


def ordered_tables(result: ComparisonResult) -> tuple[YardstickTable, ...]:
    """The main yardstick, then the others."""
    return (result.main, *(table for table in result.tables if table is not result.main))


def interval_text(interval: Interval | None, yardstick: Yardstick) -> str:
    """The bounds with their signs.

    >>> from sftframe.analysis import find_yardstick
    >>> interval_text(Interval(low=-1.5, high=2, level=0.95, covers="items"), find_yardstick("judge"))
    '−1.5 to +2.0'
    """
    if interval is None:
        return ABSENT
    return f"{signed(interval.low, yardstick.digits)} to {signed(interval.high, yardstick.digits)}"


def spread_text(found: Comparison) -> str:
    """The causes of the variance of the difference."""
    names = {"seed": "seeds", "item": "items", "judge": "judge", "other": "single answers"}
    shares = found.components.shares_of_mean(found.num_seeds, found.num_items)
    return ", ".join(f"{names[part]} {100 * share:.0f}\N{NO-BREAK SPACE}%" for part, share in shares.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What an arm cost, or all of them."""

    name: str
    cost: Cost
    by_seed: tuple[tuple[int, Cost], ...] = ()


def cost_rows(result: ComparisonResult) -> tuple[CostRow, ...]:
    """Every arm and the sum; empty if no run recorded its training."""
    rows = [
        CostRow(
            name=arm.name,
            cost=cost_of_arm(arm),
            by_seed=tuple((seed, cost_of_run(run)) for seed, run in arm.runs.items()),
        )
        for arm in result.arms
    ]
    whole = total([row.cost for row in rows])
    return (*rows, CostRow(name="all arms", cost=whole)) if cost_in_words(whole) else ()


def _cell(table: YardstickTable, name: str) -> ArmCell:
    summary = next(arm for arm in table.table.arms if arm.name == name)
    found: Comparison | None = next((one for one in table.table.comparisons if one.candidate == name), None)
    digits = table.yardstick.digits
    return ArmCell(
        yardstick=table.yardstick.key,
        mean=fixed(summary.mean, digits),
        seeds=tuple(
            (seed, fixed(mean, digits)) for seed, mean in zip(table.table.seeds, summary.seed_means, strict=True)
        ),
        difference=signed(found.difference, digits) if found else "",
        verdict=found.verdict if found else "",
        num_unscored=table.num_unscored.get(name, 0),
    )


_SHOWN = ("versions", "machine", "data", "judge", "device", "dtype")
"""Parts of a manifest that should be the same in all runs."""
PAIRING = ("data", "split", "test", "initial_weights", "order")
"""Hashes in the order of their columns."""


def manifest_of(result: ComparisonResult) -> tuple[Table, ...]:
    """The first run's manifest, without the parts that should differ."""
    manifest = _runs(result)[0].manifest
    return manifest_tables({key: manifest[key] for key in _SHOWN if key in manifest})


def differing_entries(result: ComparisonResult) -> tuple[str, ...]:
    """Entries that differ between runs but should not, one line per entry with its values."""
    known: dict[str, list[str]] = {}
    for run in _runs(result):
        for caption, lines in manifest_tables({key: run.manifest[key] for key in _SHOWN if key in run.manifest}):
            for name, value in lines:
                known.setdefault(name if caption == "run" else f"{caption}.{name}", []).append(value)
    num_runs = len(_runs(result))
    return tuple(
        f"{name}: {', '.join(dict.fromkeys(values))}" + (" or nothing" if len(values) < num_runs else "")
        for name, values in known.items()
        if len(set(values)) > 1 or len(values) < num_runs
    )


def pairing_hashes(result: ComparisonResult) -> dict[int, list[tuple[str, ...]]]:
    """By seed, for each of `PAIRING` the different hashes of its runs; one hash if all arms share it."""
    by_seed: dict[int, list[LoadedRun]] = {}
    for run in _runs(result):
        by_seed.setdefault(run.seed, []).append(run)
    return {
        seed: [tuple(dict.fromkeys(run.pairing_hashes.get(key, "") for run in runs)) for key in PAIRING]
        for seed, runs in sorted(by_seed.items())
    }


def _runs(result: ComparisonResult) -> list[LoadedRun]:
    return [run for arm in result.arms for run in arm.runs.values()]


_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def flip_block(result: ComparisonResult) -> str:
    """What the script reads.

    `texts`: every different text once, others refer to it by position; `items`: by index question, input and
    reference, and then who said what before the question; `pairs`: one per candidate, with a row per flipped item.
    """
    texts: dict[str, int] = {}

    def known(text: str) -> int:
        return texts.setdefault(escape_controls(text), len(texts))

    items = {
        flip.index: [known(text) for text in _texts(flip.baseline)] for flips in result.flips.values() for flip in flips
    }
    pairs = [
        {"candidate": escape_controls(name), "rows": [_row(flip, known) for flip in flips]}
        for name, flips in result.flips.items()
    ]
    yardstick = result.main.yardstick
    return script_json(
        {
            "digits": min(yardstick.digits, 2),
            "direction": {"higher": 1, "lower": -1, "none": 0}[yardstick.direction],
            "items": items,
            "pairs": pairs,
            "texts": [*texts],
        }
    )


def _texts(item: AnsweredItem) -> list[str]:
    return [item.instruction, item.input, item.reference, *(text for said in item.before for text in said)]


def script_json(document: object) -> str:
    r"""JSON that may stand inside a `<script>` element.

    >>> script_json({"answer": "</script>"})
    '{"answer":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPES)


def _row(flip: FlippedItem, known: Callable[[str], int]) -> list[Any]:
    """Index, difference, scores and answers of both, and the seed of the answers."""
    return [
        flip.index,
        _finite([flip.difference])[0],
        _finite(flip.baseline_scores),
        _finite(flip.candidate_scores),
        known(flip.baseline.answer),
        known(flip.candidate.answer),
        flip.seed,
    ]


def _finite(scores: Iterable[float | None]) -> list[float | None]:
    """JSON knows no infinity."""
    return [score if score is not None and math.isfinite(score) else None for score in scores]


class Cosine(Protocol):
    """Two arms' gradients on the same examples at the same weights."""

    @property
    def step(self) -> int: ...
    @property
    def candidate(self) -> str: ...
    @property
    def cosine(self) -> float | None: ...
    @property
    def norm_ratio(self) -> float | None: ...


def cosine_lines(result: ComparisonResult, cosines: Sequence[Cosine]) -> tuple[ArmLines, ...]:
    """One line per arm that was measured against the baseline."""
    lines = []
    for position, arm in enumerate(result.arms):
        points = {one.step: one.cosine for one in cosines if one.candidate == arm.name and one.cosine is not None}
        if points:
            lines.append(ArmLines(position=position, name=arm.name, by_seed={0: points}))
    return tuple(lines)


def cosine_rows(lines: Sequence[ArmLines], cosines: Sequence[Cosine]) -> list[tuple[int, list[Any]]]:
    """Up to a dozen steps, each with the cosine and the ratio of norms of every line."""
    known = {(one.step, one.candidate): (one.cosine, one.norm_ratio) for one in cosines}
    return [
        (step, [known.get((step, line.name), (None, None)) for line in lines])
        for step in even_steps((one.step for one in cosines), MAX_ROWS)
    ]


MAX_NAMED = 4
"""Most runs to name that failed in the same way."""

_ISOLATE, _END = "\u2068", "\u2069"
"""Unicode's first strong isolate, and the end of one."""
_LEFT_TO_RIGHT = {"", "L", "EN", "ES", "ET", "CS", "NSM", "BN", "B", "S", "WS", "ON"}
"""Bidirectional classes of letters that do not change the direction."""


def headline(result: ComparisonResult, failed: Sequence[tuple[str, str]]) -> Headline:
    """The verdict as the page shows it.

    Args:
        failed: names and errors of runs that are missing.
    """
    return Headline(
        sentence=_isolated_names(result.sentence, result),
        answers=tuple(
            (question, tuple(_isolated_names(line, result) for line in lines))
            for question, lines in next_questions(result)
        ),
        notes=_notes(result, failed),
        note_class="warning",
    )


def _notes(result: ComparisonResult, failed: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The limits of the verdict: failed cells, unpaired hashes, and small numbers of seeds and items."""
    table = result.main.table
    lines = [f"Failed and left out: {names}: {error}" for error, names in _by_error(failed).items()]
    names = tuple(arm.name for arm in result.arms)
    lines += [note if note.startswith(names) else note[:1].upper() + note[1:] for note in result.notes]
    if len(table.seeds) == 1:
        lines.append(f"One seed ({table.seeds[0]}): it is not known how much of a difference is the luck of training")
    if table.num_dropped_seeds:
        lines.append(f"{_counted(table.num_dropped_seeds, 'seed')} left out: not every arm has a run with them")
    if table.num_dropped_items:
        lines.append(
            f"{_counted(table.num_dropped_items, 'item')} have no score in some arm or seed; each comparison leaves "
            "out those of its own two arms"
        )
    return tuple(line.rstrip(".") + "." for line in lines)


def _by_error(failed: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The names that share an error, the first few of many."""
    names: dict[str, list[str]] = {}
    for name, error in failed:
        names.setdefault(error, []).append(name)
    return {error: _listed(found) for error, found in names.items()}


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _isolated_names(text: str, result: ComparisonResult) -> str:
    run = result.arms[0].any_run()
    names = [name for arm in result.arms for name in (arm.name, result.in_words(arm.name))]
    names += [in_words for found in result.told for in_words in (found.baseline, found.candidate)]
    names += [run.judge, *(str(run.settings.get(key, "")) for key in ("model.name", "data.source"))]
    for name in sorted({name for name in names if isolated(name) != name}, key=len, reverse=True):
        text = text.replace(name, isolated(name))
    return text


def isolated(name: str) -> str:
    """The name, isolated, so that a right-to-left name does not change the text around it.

    >>> isolated("alpaca · mask-pad"), len(isolated("\u05e9\u05dc"))
    ('alpaca · mask-pad', 4)
    """
    is_plain = all(unicodedata.bidirectional(letter) in _LEFT_TO_RIGHT for letter in name)
    return name if is_plain else f"{_ISOLATE}{name}{_END}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


_WIDE, _NARROW, _SMALL = (9.0, 4.2), (4.6, 3.8), (4.6, 3.0)
"""Width and height of drawings in inches of 72 points."""
SECTIONS = {
    "differences": "Differences",
    "arms": "Arms",
    "people": "Judge and people",
    "costs": "Cost",
    "curves": "The course of training",
    "counted": "Which tokens counted",
    "flips": "Items that changed",
    "tokens": "One example",
    "setup": "Set-up",
}
"""Heading by id of every section, in their order; the links at the top of the page have the same text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageInput:
    """The content of the page. Only the result is required; a section without data says so."""

    result: ComparisonResult
    title: str = "comparison"
    """Title of the page, for its head and the browser's tab."""
    failed_cells: Sequence[tuple[str, str]] = ()
    """Name and error of every run that is missing because it failed."""
    curves: Mapping[str, ArmCurves] = field(default_factory=dict)
    """By arm and seed, see `read_arm_curves`."""
    gradients: Sequence[Cosine] = ()
    command: str = ""
    """The command to repeat it."""
    token_examples: Mapping[str, Iterable[tuple[str, str, bool, float]]] = field(default_factory=dict)
    """By arm the tokens of one example: text, role label, whether it counts as a target, weight."""


def comparison_page(page: PageInput) -> str:
    """The page as HTML; the same input gives the same characters."""
    return render_page("comparison.html.j2", _content(page), styles=("comparison.css",), scripts=("flips.js",))


def _content(page: PageInput) -> dict[str, Any]:
    from markupsafe import Markup

    result = page.result
    flips = {name: len(found) for name, found in result.flips.items()}
    return {
        "sections": {key: name for key, name in SECTIONS.items() if key != "people" or result.people},
        "title": page.title,
        "result": result,
        "main": result.main,
        "headline": headline(result, page.failed_cells),
        "pieces": [
            ("Yardstick", f"{result.main.yardstick.label}, {result.main.yardstick.unit}"),
            ("Counts as no difference", f"±{result.main.margin:.3g}"),
            ("Baseline", result.baseline),
            ("Arms", str(len(result.arms))),
            ("Seeds", str(len(result.main.table.seeds))),
            ("Test items", f"{len(result.main.table.items):,}{result.main.in_groups}"),
        ],
        "arms": arm_rows(result),
        "tables": ordered_tables(result),
        "looks": [look_of(position) for position in range(len(result.arms))],
        "forest": forest_groups(result),
        "forest_charts": {
            "wide": Markup(forest_svg(result)),
            "narrow": Markup(forest_svg(result, is_narrow=True)),
        },
        "look_columns": LOOK_COLUMNS,
        "look_rows": look_rows(result),
        "looks_sentence": looks_sentence(result),
        "interval_text": interval_text,
        "p_text": p_text,
        "spread_text": spread_text,
        "seeds": result.main.table.seeds,
        "costs": cost_rows(result),
        "duration": duration,
        **_people(result),
        **_curves(page),
        **_gradients(page),
        "shares": {arm.name: shares for arm in result.arms if (shares := counted_share(arm))},
        "num_flips": flips,
        "flip_block": Markup(flip_block(result)),
        "tokens_are": "The same training example exactly as it goes into each arm's loss",
        "token_examples": {name: show_example(tokens) for name, tokens in page.token_examples.items()},
        "manifest": manifest_of(result),
        "differing_entries": differing_entries(result),
        "pairing_columns": PAIRING,
        "pairing": pairing_hashes(result),
        "runs": [(arm.name, seed, str(run.path)) for arm in result.arms for seed, run in arm.runs.items()],
        "config_toml": "",
        "command": page.command,
        "facts": comparison_facts(result),
        "methods": comparison_methods(result),
    }


def _people(result: ComparisonResult) -> dict[str, Any]:
    if result.people is None:
        return {}
    return {
        "people_pairs": pair_rows(result.people),
        "people_bias": bias_rows(result.people.agreement),
        "people_facts": list(agreement_facts(result.people.agreement)),
    }


def _curves(page: PageInput) -> dict[str, Any]:
    validation = validation_lines(page.result.arms, page.curves)
    groups = loss_groups(page.result.arms, page.curves)
    label = "response NLL, nats per byte"
    return {
        "validation": validation,
        "validation_steps": _shown_steps(validation),
        "validation_charts": _charts(validation, label, "validation"),
        "losses": groups,
        "loss_charts": [
            _drawn(group.arms, "training loss, nats per token", f"loss-{number}", _SMALL)
            for number, group in enumerate(groups)
        ],
    }


def _gradients(page: PageInput) -> dict[str, Any]:
    lines = cosine_lines(page.result, page.gradients)
    return {
        "cosines": lines,
        "cosine_rows": cosine_rows(lines, page.gradients),
        "cosine_charts": _charts(lines, "cosine of the gradients", "cosine"),
    }


def _charts(lines: Sequence[ArmLines], label: str, salt: str) -> dict[str, Any]:
    return {
        "wide": _drawn(lines, label, f"{salt}-wide", _WIDE),
        "narrow": _drawn(lines, label, f"{salt}-narrow", _NARROW),
    }


def _drawn(lines: Sequence[ArmLines], label: str, salt: str, size: tuple[float, float]) -> Any:
    from markupsafe import Markup

    return Markup(lines_svg(lines, label=label, salt=salt, width=size[0], height=size[1])) if lines else ""


def _shown_steps(lines: Sequence[ArmLines]) -> list[int]:
    return even_steps((step for line in lines for step in line.mean), MAX_ROWS)
