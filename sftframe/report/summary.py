"""A run's summary as JSON, and what it says in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from sftframe.files import plain
from sftframe.formatting import duration
from sftframe.records import Summary


def summary_document(summary: Summary) -> dict[str, Any]:
    """The JSON object of a summary: strings, finite numbers, None, lists and dictionaries only.

    >>> from sftframe import Yardsticks
    >>> yardsticks = Yardsticks(
    ...     response_nll_per_token=0.5, response_nll_per_byte=float("nan"), prompt_nll_per_token=2.0
    ... )
    >>> document = summary_document(Summary(
    ...     run="runs/one", prompt="alpaca", collate="mask-pad", model="gpt2-nano", data="starter", seed=1,
    ...     before=None, after=yardsticks, train=None,
    ... ))
    >>> document["before"], document["after"]["response_nll_per_token"], document["after"]["response_nll_per_byte"]
    (None, 0.5, None)
    """
    document: dict[str, Any] = plain(summary)
    for label in ("before", "after"):
        if document[label] is not None:
            document[label] |= document[label].pop("others")
    return document


_NAMES = ("model.name", "prompt.name", "collate.name", "judge.name")
_UNTOLD = ("content", "cache")
"""Options of components that are too long to show, or change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The facts in one run's folder about how it was made."""

    settings: Mapping[str, Any]
    """Flat configuration, `train.lr` and the like."""
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]


def setup_facts(runs: Sequence[RunFacts]) -> tuple[tuple[str, str], ...]:
    """Label and value of the main facts; different values are listed, facts that no run has are left out."""
    parts: list[tuple[str, Callable[[RunFacts], str]]] = [
        ("Model", lambda run: _component(run, "model")),
        ("Adapters", _adapters),
        ("Prompt style", lambda run: _component(run, "prompt")),
        ("Collate strategy", lambda run: _component(run, "collate")),
        ("Data", _data),
        ("Split", _split),
        ("Training", _training),
        ("Optimizer", _optimizer),
        ("Answers", _answers),
        ("Judge", lambda run: _component(run, "judge")),
        (
            "Seed" if len(runs) == 1 else "Seeds",
            lambda run: str(run.settings.get("seed", run.manifest.get("seed", ""))),
        ),
        ("Machine", machine),
        ("Software", software),
    ]
    facts = [(label, "; ".join(dict.fromkeys(text for run in runs if (text := tell(run))))) for label, tell in parts]
    return tuple((label, value) for label, value in [*facts, ("Cost", cost(runs))] if value)


def run_methods(run: RunFacts) -> str:
    """A paragraph about one run, for a paper."""
    return " ".join(
        part
        for part in (
            f"We fine-tuned {named(run, 'model')} on {data_sentence(run)} using {software(run)}.",
            f"Prompts followed the style {named(run, 'prompt')}; the loss counted tokens as "
            f"{named(run, 'collate')} does.",
            training_sentence([run]),
            f"The seed was {run.settings.get('seed')}." if "seed" in run.settings else "",
            answers_sentence([run]),
        )
        if part
    )


def named(run: RunFacts, seam: str) -> str:
    """A component's name, with the options that were set."""
    return _component(run, seam) or "an unknown one"


def data_sentence(run: RunFacts) -> str:
    """`935 examples of my.json (SHA-256 …), with 110 more for testing and 55 for validation`."""
    data = run.manifest.get("data") or {}
    source = PurePath(str(data.get("source", run.settings.get("data.source", "?")))).name
    if "train" not in data:
        return f"the data {source}"
    return (
        f"{_figure(data['train'])} examples of {source} (SHA-256 {str(data.get('sha256', '?'))[:16]}), with "
        f"{_figure(data.get('test', 0))} more for testing and {_figure(data.get('validation', 0))} for validation"
    )


def training_sentence(runs: Sequence[RunFacts]) -> str:
    """Duration, speed, batch size, machine and cost of the training."""
    shared = _shared(runs, _training)
    optimizer = _shared(runs, _optimizer)
    where = _shared(runs, machine)
    parts = [f"Training ran for {shared}"] if shared else []
    parts += [f"with {optimizer}"] if optimizer else []
    parts += [f"on {where}"] if where else []
    return " ".join(f"{part}." for part in (", ".join(parts), cost(runs)) if part)


def answers_sentence(runs: Sequence[RunFacts]) -> str:
    """How answers were written, and who scored them."""
    judge = _shared(runs, lambda run: _component(run, "judge"))
    how = _shared(runs, _answers)
    return f"Answers to the test items were written with {how}, and scored by the judge {judge}." if how else ""


def software(run: RunFacts) -> str:
    """`sftframe 0.1.0, PyTorch 2.9.0 and Python 3.11.7`."""
    versions, machine = run.manifest.get("versions") or {}, run.manifest.get("machine") or {}
    known = (
        ("sftframe", versions.get("sftframe")),
        ("PyTorch", versions.get("torch")),
        ("Python", machine.get("python")),
    )
    return _listed(f"{name} {version}" for name, version in known if version) or "sftframe"


def machine(run: RunFacts) -> str:
    """`cpu (Intel …, 2 threads), float32`; of an accelerator `cuda:0 NVIDIA H200, bfloat16`."""
    entry, device = run.manifest.get("machine") or {}, str(run.manifest.get("device", ""))
    if not device:
        return ""
    dtype = run.manifest.get("dtype", "float32")
    if device != "cpu":
        known = (str(name) for name in entry.get("devices") or ())
        return f"{next((name for name in known if name.startswith(device)), device)}, {dtype}"
    threads = entry.get("threads")
    parts = [str(entry["cpu"])] if entry.get("cpu") else []
    parts += [f"{threads} thread{'s' * (threads != 1)}"] if threads else []
    detail = f" ({', '.join(parts)})" if parts else ""
    return f"cpu{detail}, {dtype}"


def cost(runs: Sequence[RunFacts]) -> str:
    """Training time and tokens of all runs together; the time for answers and verdicts is not recorded."""
    trained = [train for run in runs if (train := run.summary.get("train"))]
    seconds, tokens = (sum(_known(train.get(key)) for train in trained) for key in ("seconds", "tokens_seen"))
    if not tokens:
        return ""
    if len(trained) == 1:
        return f"Training took {duration(seconds)} and saw {_figure(tokens)} tokens"
    return (
        f"Training took {duration(seconds)} for all {len(trained)} runs ({duration(seconds / len(trained))} a run) and "
        f"saw {_figure(tokens)} tokens"
    )


def _component(run: RunFacts, seam: str) -> str:
    name = run.settings.get(f"{seam}.name")
    if name is None:
        return ""
    options = {
        key.partition(".")[2]: value
        for key, value in run.settings.items()
        if key.startswith(f"{seam}.") and key not in _NAMES and key.partition(".")[2] not in _UNTOLD
    }
    parts = ", ".join(f"{key} {value}" for key, value in options.items())
    return f"{name} ({parts})" if parts else str(name)


def _adapters(run: RunFacts) -> str:
    rank = run.settings.get("train.lora.rank")
    return f"LoRA of rank {rank}" if rank else ""


def _data(run: RunFacts) -> str:
    data = run.manifest.get("data") or {}
    digest = f", SHA-256 {data['sha256']}" if data.get("sha256") else ""
    return f"{data.get('source', run.settings.get('data.source', ''))}{digest}"


def _split(run: RunFacts) -> str:
    data = run.manifest.get("data") or {}
    if "train" not in data:
        return ""
    shuffled = run.settings.get("data.shuffle_split")
    how = "in file order" if shuffled is None else f"shuffled with seed {shuffled}"
    if run.settings.get("data.keep_groups_together"):
        how += ", no group in two parts"
    return ", ".join([*(f"{_figure(data.get(part, 0))} {part}" for part in ("train", "test", "validation")), how])


def _training(run: RunFacts) -> str:
    settings, train = run.settings, run.summary.get("train") or {}
    batch, accumulate = settings.get("train.batch_size"), settings.get("train.accumulate") or 1
    epochs, steps = settings.get("train.epochs"), train.get("steps")
    parts = []
    if epochs is not None and settings.get("train.max_steps") is None:
        parts.append(f"{_figure(epochs)} epoch{'s' * (epochs != 1)}" + (f" ({_figure(steps)} steps)" if steps else ""))
    elif steps:
        parts.append(f"{_figure(steps)} steps")
    if batch:
        parts.append(f"in batches of {batch}" + (f" x {accumulate}" if accumulate != 1 else ""))
    length = (run.manifest.get("lengths") or {}).get("max_length")
    parts = [" ".join(parts)] if parts else []
    return ", ".join([*parts, *([f"at most {_figure(length)} tokens an example"] if length else [])])


def _optimizer(run: RunFacts) -> str:
    settings = run.settings
    if "train.lr" not in settings:
        return ""
    parts = [f"AdamW, learning rate {_figure(settings['train.lr'])}"]
    schedule, warmup = settings.get("train.schedule"), settings.get("train.warmup_steps")
    parts += [f"{schedule} schedule"] if schedule else []
    parts += [f"{warmup} warm-up steps"] if warmup else []
    parts += [f"weight decay {_figure(settings['train.weight_decay'])}"] if "train.weight_decay" in settings else []
    parts += [f"betas {' and '.join(map(_figure, settings['train.betas']))}"] if "train.betas" in settings else []
    return ", ".join(parts)


def _answers(run: RunFacts) -> str:
    settings = run.settings
    if "generate.max_new_tokens" not in settings:
        return ""
    temperature = settings.get("generate.temperature") or 0
    how = "greedy decoding" if not temperature else f"sampling at temperature {_figure(temperature)}"
    limits = [
        f"{key} {_figure(settings[f'generate.{key}'])}" for key in ("top_k", "top_p") if f"generate.{key}" in settings
    ]
    return ", ".join(
        [how, *(limits if temperature else []), f"at most {_figure(settings['generate.max_new_tokens'])} new tokens"]
    )


def _shared(runs: Sequence[RunFacts], tell: Callable[[RunFacts], str]) -> str:
    """The runs' text; several texts, separated by `or`, if they differ."""
    return " or ".join(dict.fromkeys(text for run in runs if (text := tell(run))))


def _figure(value: Any) -> str:
    """A number for people; another value, from a damaged file, is shown unchanged."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _known(value: Any) -> int | float:
    return value if isinstance(value, int | float) else 0


def _listed(parts: Iterable[str]) -> str:
    *most, last = [*parts] or [""]
    return f"{', '.join(most)} and {last}" if most else last
