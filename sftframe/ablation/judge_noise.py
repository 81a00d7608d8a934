"""The judge's own noise, measured by grading one run's answers again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sftframe.ablation.running import Ablation, CellResult
from sftframe.comparison import read_run
from sftframe.consent import judge_claims, require
from sftframe.judging import Judging, asked_again
from sftframe.pipeline.setup import resolve
from sftframe.progress import Observer
from sftframe.statistics import judge_variance


def measured_judge_variance(
    ablation: Ablation,
    cells: Sequence[CellResult],
    observer: Observer | None = None,
    *,
    asks_judge: bool = True,
    warn: Callable[[str], None] = lambda text: None,
) -> float | None:
    """Variance of one score, in squared points.

    A value in the ablation's results is not measured again. A deterministic judge has no noise.

    Args:
        asks_judge: measure it if it is not known yet; False for a report, which calls no judge.
        warn: gets a line if it is not known and not measured.

    Returns:
        None if it is not known, or if the judge is not deterministic and `ablate.repeats` is 1.

    Raises:
        ConfigError: the user has not accepted this judge.
        JudgeError: the judge is not there, or fails on too many answers.
    """
    config = resolve(ablation.plan.base, ablation.registry)
    judge = ablation.registry.judge(config.judge.name, config.judge.options)
    if judge.is_deterministic:
        return 0.0
    repeats = ablation.plan.config.repeats
    complete = next((one for one in cells if not one.error), None)
    if repeats < 2 or complete is None:
        return None
    known = ablation.folder.read_results().judge_noise
    if known is not None and known.repeats == repeats and known.variance is not None:
        return known.variance
    path = ablation.folder.path
    if not asks_judge:
        warn(
            f"the judge's own noise is not part of this report, because it is not measured yet: "
            f"sftframe ablate --resume {path} measures it"
        )
        return None
    require(path, judge_claims(judge, (), inside=[path]))
    judge.check()
    items = [asked_again(item, item.answer) for item in read_run(complete.path).items]
    judging = Judging.of(config, judge, ablation.registry, observer or Observer())
    judgement = judging.judge_answers(items, stage="judge again", num_repeats=repeats)
    judgement.check(config.max_failures)
    gradings = (judgement.verdicts, *judgement.repeats)
    return judge_variance([{verdict.index: verdict.score for verdict in grading} for grading in gradings])
