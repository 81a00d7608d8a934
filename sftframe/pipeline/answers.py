"""The answering part of a run: likelihoods, responses and verdicts on the test examples, each file resumable.

What a file already contains is not written again. The untuned and the fine-tuned model are measured in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sftframe.analysis import Measured, measure
from sftframe.config import RunConfig
from sftframe.data import HISTORY_SPEAKERS
from sftframe.errors import ConfigError, ModelError
from sftframe.files import JsonLines, decoded_object, disk, read_json_lines, write_json, write_json_lines
from sftframe.inference import generate_responses, generation_settings, measure_likelihoods, response_bytes
from sftframe.judging import Judgement, Judging, make_items, summarise
from sftframe.pipeline.setup import Components, PreparedData
from sftframe.plugins import CausalLM
from sftframe.progress import Observer
from sftframe.prompts.tokens import encode_prompts
from sftframe.records import AnsweredItem, Example, Likelihood, Response, Turn, Verdict, Yardsticks
from sftframe.runs import AnswerFiles, RunStore, read_record
from sftframe.training import evaluation_batches

Record = TypeVar("Record", Response, Verdict, Likelihood)


ANSWERED_TOGETHER = 512
"""Questions of one call of the model. The other rows of a batch change the last bits of its numbers. So a resumed run
computes the answers of an unfinished group again: this is the most that an interruption costs."""


def write_answers(
    config: RunConfig,
    components: Components,
    prepared: PreparedData,
    model: CausalLM,
    files: AnswerFiles,
    observer: Observer,
) -> None:
    """Measure likelihoods and write the responses that are still missing.

    Raises:
        ModelError: a prompt does not fit the model's context, or the model's likelihoods are not finite.
    """
    if not files.likelihoods.exists():
        _write_likelihoods(config, components, prepared, model, files, observer)
    known = {response.index: response for response in files.known_responses()}
    observer.begin(f"answers {files.label}", len(prepared.test), "answers")
    observer.advance(len(known))
    differing: list[int] = []
    with JsonLines(files.responses) as lines:
        for response in _computed(config, components, prepared, model, known):
            if response.index not in known:
                lines.append(response)
                observer.advance(tokens=float(len(response.ids)))
            elif response != known[response.index]:
                differing.append(response.index)
    observer.end()
    if differing:
        observer.warn(
            f"{len(differing)} answers from before the interruption are different now (the first is "
            f"of example {differing[0]}): the machine, threads or versions have changed; sftframe generate writes all "
            "answers again"
        )


def _computed(
    config: RunConfig, components: Components, prepared: PreparedData, model: CausalLM, known: Container[int]
) -> Iterator[Response]:
    """All answers of each group of which one is missing."""
    examples = prepared.test_examples()
    for start in range(0, len(examples), ANSWERED_TOGETHER):
        group = examples[start : start + ANSWERED_TOGETHER]
        indices = [example.index for example in group]
        if all(index in known for index in indices):
            continue
        numbers = range(start, start + len(group))
        settings = generation_settings(
            config.generate, components.style, components.tokenizer, seed=config.seed, numbers=numbers
        )
        asked, boundary = prepared.asked(group), config.tokens.boundary
        prompts = encode_prompts(asked, components.style, model.tokenizer, boundary=boundary)
        yield from generate_responses(model, components.style, prompts, indices, settings)


def judge_files(
    judging: Judging, examples: Sequence[Example], files: AnswerFiles, *, num_repeats: int = 1
) -> Judgement:
    """Judge the responses that have no verdict yet; each verdict is written as soon as it arrives.

    When all are there, this judge's verdicts are put into the order of the items.

    Raises:
        JudgeError: the judge cannot go on.
    """
    items = make_items(examples, files.known_responses())
    groups = {example.index: example.group for example in examples if example.group}
    known = {verdict.index: verdict for verdict in files.known_verdicts(judging.judge.identity)}
    with JsonLines(files.verdicts) as lines:
        judgement = judging.judge_answers(
            items, stage=f"judge {files.label}", num_repeats=num_repeats, known=known, on_verdict=lines.append
        )
    _put_in_order(files.verdicts, judging.judge.identity, [item.index for item in items])
    return replace(judgement, groups=groups)


def _put_in_order(path: Path, judge: str, indices: Sequence[int]) -> None:
    """Sort this judge's last verdicts, so that the file has the same bytes however fast a server answers."""
    records = read_json_lines(path)
    start = len(records)
    while start and records[start - 1].get("judge") == judge:
        start -= 1
    places = {index: place for place, index in enumerate(indices)}
    tail = sorted(records[start:], key=lambda record: places.get(record.get("index", -1), len(places)))
    if tail != records[start:]:
        write_json_lines(path, [*records[:start], *tail])


def answered_items(files: AnswerFiles, prepared: PreparedData, judge: str) -> list[AnsweredItem]:
    """All test examples that a model has answered, in the order of the data.

    Args:
        judge: whose verdicts they have.
    """
    responses = {response.index: response for response in files.known_responses()}
    verdicts = {verdict.index: verdict for verdict in files.known_verdicts(judge)}
    likelihoods = {likelihood.index: likelihood for likelihood in files.known_likelihoods()}
    return [
        _item(example, responses[example.index], likelihoods.get(example.index), verdicts.get(example.index))
        for example in prepared.test_examples()
        if example.index in responses
    ]


def _item(example: Example, response: Response, likelihood: Likelihood | None, verdict: Verdict | None) -> AnsweredItem:
    return AnsweredItem(
        index=example.index,
        instruction=example.instruction,
        input=example.input,
        reference=example.output,
        answer=response.text,
        references=example.references,
        system=example.system,
        turns=example.turns,
        speaker=example.speaker,
        tools=example.tools,
        stop_reason=response.stop_reason,
        response_nll=likelihood.response_nll if likelihood else None,
        num_response_bytes=likelihood.num_response_bytes if likelihood else len(example.output.encode()),
        score=verdict.score if verdict else None,
        verdict=verdict.status if verdict else None,
        reason=verdict.reason if verdict else "",
        group=example.group,
    )


def read_yardsticks(files: AnswerFiles, prepared: PreparedData, judge: str) -> Yardsticks | None:
    """The measurements in the files of one model; None if it was not measured.

    Args:
        judge: use its verdicts; answers that it has not judged yet are in the denominator.
    """
    likelihoods, responses = files.known_likelihoods(), files.known_responses()
    if not likelihoods:
        return None
    _check_known((*likelihoods, *responses), prepared, files)
    check_measured({item.index for item in likelihoods}, prepared.test.indices, files.likelihoods)
    verdicts = files.known_verdicts(judge)
    groups = {example.index: example.group for example in prepared.test_examples() if example.group}
    summary = replace(summarise(verdicts, judge, groups), num_items=len(responses)) if verdicts else None
    items = answered_items(files, prepared, judge)
    return measure(Measured(likelihoods=likelihoods, items=items, judge=summary))


def check_measured(measured: Container[int], asked: Iterable[int], path: Path) -> None:
    """Check that the likelihoods of all these examples are known.

    Raises:
        ConfigError: the file lacks one.
    """
    missing = next((index for index in asked if index not in measured), None)
    if missing is not None:
        raise ConfigError(
            f"{path} lacks test example {missing}: the file was cut or changed; sftframe run --resume {path.parent} "
            "measures it again"
        )


def mend(folder: RunStore, prepared: PreparedData, warn: Callable[[str], None]) -> None:
    """Remove from a run's files what cannot be read; the resumed run makes it again.

    Args:
        warn: gets what is left out.
    """
    for files in (folder.answers("before"), folder.answers("after")):
        _mend_lines(files.verdicts, Verdict, set(prepared.test.indices), warn)
        _mend_lines(files.responses, Response, set(prepared.test.indices), warn)
        try:
            measured = {item.index for item in files.known_likelihoods()}
        except ConfigError as error:
            warn(f"{error}; it is measured again")
            disk().remove(files.likelihoods)
        else:
            if files.likelihoods.exists() and measured != set(prepared.test.indices):
                warn(f"{files.likelihoods} is not of the run's test examples: it is measured again")
                disk().remove(files.likelihoods)
    try:
        folder.train_summary()
    except ConfigError as error:
        warn(f"{error}; training continues from its last checkpoint")
        disk().remove(folder.train_path)


def _mend_lines(path: Path, kind: type[Record], wanted: Container[int], warn: Callable[[str], None]) -> None:
    """Keep the lines of a file that can be read and are about a test example."""
    if not path.exists():
        return
    *lines, tail = path.read_bytes().split(b"\n")
    if decoded_object(tail) is not None:  # else it is empty, or was cut by a kill, as happens
        lines.append(tail)
    kept = []
    for number, line in enumerate(lines, start=1):
        with suppress(ConfigError):
            record = read_record(kind, decoded_object(line), f"{path}, line {number}")
            kept += [record] if record.index in wanted else []
    if len(kept) < len(lines):
        warn(f"{path}: {len(lines) - len(kept)} of {len(lines)} lines cannot be used; the missing ones are made again")
        write_json_lines(path, kept)


def _check_known(records: Iterable[Likelihood | Response], prepared: PreparedData, files: AnswerFiles) -> None:
    """Check that every record is about a test example: others have no reference to compare with."""
    known = set(prepared.test.indices)
    strange = next((record.index for record in records if record.index not in known), None)
    if strange is not None:
        raise ConfigError(
            f"{files.responses.parent}: the answers {files.label} fine-tuning contain example {strange}, which is no "
            "test example of this run: the files were changed; answer again with sftframe generate"
        )


def write_responses_document(prepared: PreparedData, folder: RunStore) -> None:
    """`responses.json`: the test entries with `model_response` added, in the chapter's shape.

    Where a tool spoke, `speakers` says who asked in each exchange of `history` and in the last one.
    """
    answers = {response.index: response.text for response in folder.answers("after").known_responses()}
    document = [
        {
            "instruction": example.instruction,
            "input": example.input,
            "output": [example.output, *example.references] if example.references else example.output,
            **({"system": example.system} if example.system else {}),
            **({"tools": example.tools} if example.tools else {}),
            **({"history": [_as_pair(turn) for turn in example.turns]} if example.turns else {}),
            **_speakers(example),
            "model_response": answers[example.index],
        }
        for example in prepared.test_examples()
    ]
    write_json(folder.responses_json_path, document)


def _speakers(example: Example) -> dict[str, list[str]]:
    speakers = [exchange.speaker for exchange in example.exchanges]
    return {HISTORY_SPEAKERS: [str(one) for one in speakers]} if "tool" in speakers else {}


def _as_pair(turn: Turn) -> list[str]:
    """An earlier exchange as files of instruction data have it: what was asked, and the answer."""
    return ["\n".join(filter(None, (turn.instruction, turn.input))), turn.output]


def _write_likelihoods(
    config: RunConfig,
    components: Components,
    prepared: PreparedData,
    model: CausalLM,
    files: AnswerFiles,
    observer: Observer,
) -> None:
    """All at once: it is one forward pass, and a part of it has no use."""
    num_bytes = response_bytes(prepared.test, prepared.references(), components.tokenizer)
    batches = evaluation_batches(prepared.test, components.strategy, config.train.batch_size)
    observer.begin(f"likelihood {files.label}", len(prepared.test), "examples")
    found: list[Likelihood] = []
    for items, _loss, _weight in measure_likelihoods(model, batches, num_bytes):
        found += items
        observer.advance(len(items))
    observer.end()
    found.sort(key=lambda item: item.index)
    _require_finite(found, files.label)
    write_json_lines(files.likelihoods, found)


def _require_finite(likelihoods: Iterable[Likelihood], label: str) -> None:
    for item in likelihoods:
        if not math.isfinite(item.response_nll + item.prompt_nll):
            raise ModelError(
                f"the model ({label} fine-tuning) gives test example {item.index} a likelihood that is not finite: its "
                "weights are damaged"
            )
