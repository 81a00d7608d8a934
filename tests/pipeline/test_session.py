"""A run's stages, in their order and one by one."""

import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sftframe import CausalLM, Completion, GenerationSettings, ModelBackend, Summary, run
from sftframe.config import Layer, RunConfig
from sftframe.errors import ConfigError, JudgeError, ModelError, TrainingError
from sftframe.pipeline import Session
from sftframe.progress import Observer
from sftframe.report import summary_document

pytestmark = pytest.mark.usefixtures("plain_drawings")

ANSWERING = {"response_nll_per_token", "response_nll_per_byte", "prompt_nll_per_token"} | {
    "exact_match",
    "stop_rate",
    "length_ratio",
    "judge",
}


def test_a_whole_run_leaves_the_folder_that_is_documented(finished_once: Path) -> None:
    visible = {path.name for path in finished_once.iterdir() if not path.name.startswith(".")}
    assert visible == {
        "config.toml",
        "manifest.json",
        "metrics.jsonl",
        "model",
        "train.json",
        "responses.jsonl",
        "responses.json",
        "verdicts.jsonl",
        "items.jsonl",
        "likelihoods.jsonl",
        "responses-before.jsonl",
        "verdicts-before.jsonl",
        "likelihoods-before.jsonl",
        "summary.json",
        "loss.png",
        "report.html",
    }


def test_force_alone_still_trains_where_memory_may_not_suffice_and_says_what_to_write(
    layer: Callable[..., Layer], make_toys: Callable[..., Any], toy_backend: type[ModelBackend], heard: Any
) -> None:
    class Huge(toy_backend):  # type: ignore[misc, valid-type]
        def training_bytes(self, num_positions: int, **how: bool) -> int:
            return 2**60

    registry = make_toys(backend=Huge).registry
    with pytest.raises(TrainingError, match="--skip-memory-check"):
        Session.start(layer(), registry, heard)
    assert heard.warnings == []
    Session.start(layer(), registry, heard, skip_memory_check=True)
    assert not [text for text in heard.warnings if "GiB" in text]
    Session.start(layer(), registry, heard, force=True)
    assert [text for text in heard.warnings if "GiB" in text and "in the next version it only replaces a run" in text]


def test_the_summary_is_the_documented_document(whole_run: Callable[..., Summary], tmp_path: Path) -> None:
    summary = whole_run()
    document = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert {"run", "prompt", "collate", "model", "data", "seed", "before", "after", "train"} <= document.keys()
    named = {key: document[key] for key in ("run", "prompt", "collate", "model", "seed")}
    assert named == {
        "run": str(tmp_path / "run"),
        "prompt": "brief",
        "collate": "mask-pad",
        "model": "toy",
        "seed": 123,
    }
    for part in ("before", "after"):
        assert document[part].keys() == ANSWERING
        assert document[part]["judge"].keys() == {
            "name",
            "mean",
            "ci95",
            "num_scored",
            "num_items",
            "num_groups",
            "effective_items",
        }
        assert document[part]["judge"]["num_items"] == 4
        assert document[part]["judge"]["num_groups"] is None
    assert document["train"].keys() == {
        "steps",
        "examples_seen",
        "tokens_seen",
        "seconds",
        "tokens_per_s",
        "peak_memory_bytes",
        "counted_share",
    }
    assert (document["train"]["steps"], document["train"]["examples_seen"]) == (9, 34)
    assert document == json.loads(json.dumps(summary_document(summary)))


def test_training_lowers_the_likelihood_of_the_answers(start: Callable[..., Session]) -> None:
    session = start(train={"epochs": 4})
    with session.at_work():
        session.measure_before()
        session.train()
        session.answer()
    summary = session.summary()
    assert summary.before is not None
    assert summary.after is not None
    assert summary.after.response_nll_per_token < summary.before.response_nll_per_token - 1


def test_the_chapters_document_has_the_test_entries_with_the_models_responses(
    finished_once: Path, data_file: Path, read_lines: Callable
) -> None:
    document = json.loads((finished_once / "responses.json").read_text(encoding="utf-8"))
    entries = json.loads(data_file.read_text(encoding="utf-8"))
    answers = {line["index"]: line["text"] for line in read_lines(finished_once / "responses.jsonl")}
    assert document == [{**entries[index], "model_response": answers[index]} for index in (34, 35, 36, 37)]


def test_without_before_the_untuned_model_is_not_asked(
    whole_run: Callable[..., Summary], toys: Any, tmp_path: Path
) -> None:
    summary = whole_run(before=False)
    assert (summary.before, toys.judged) == (None, [34, 35, 36, 37])
    assert not list((tmp_path / "run").glob("*-before.jsonl"))


def test_before_and_after_are_measured_on_the_same_answers_settings_and_judge(
    finished: Path, toys: Any, read_lines: Callable
) -> None:
    summary = Session.reopen(finished, toys.registry, Observer()).summary()
    assert summary.before is not None
    assert summary.before.judge is not None
    assert summary.after is not None
    assert summary.after.judge is not None
    assert summary.before.judge.name == summary.after.judge.name == "toy-judge v1"
    for name in ("responses", "verdicts", "likelihoods"):
        before, after = (read_lines(finished / f"{name}{part}.jsonl") for part in ("-before", ""))
        assert sorted(line["index"] for line in before) == sorted(line["index"] for line in after) == [34, 35, 36, 37]


def test_the_configuration_in_the_folder_repeats_the_run(
    whole_run: Callable[..., Summary], outcome: Callable, toys: Any, tmp_path: Path
) -> None:
    whole_run(model={"name": "toy", "dropout": 0.1}, seed=7)
    written = tomllib.loads((tmp_path / "run" / "config.toml").read_text(encoding="utf-8"))
    assert written["model"] == {"name": "toy", "dropout": 0.1, "context": 256}
    run(RunConfig(**written, out=tmp_path / "again"), registry=toys.registry)
    assert outcome(tmp_path / "again") == outcome(tmp_path / "run")


def test_a_run_that_is_there_is_not_replaced_unless_forced(start: Callable[..., Session], tmp_path: Path) -> None:
    start()
    with pytest.raises(ConfigError, match="contains a run already"):
        start()
    start(force=True, seed=5)
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text(encoding="utf-8"))["seed"] == 5


def test_stages_run_one_by_one(start: Callable[..., Session], toys: Any, tmp_path: Path) -> None:
    session = start()
    with session.at_work():
        session.train()
    summary = session.summary()
    assert summary.train is not None
    assert (summary.before, summary.after) == (None, None)
    later = Session.reopen(tmp_path / "run", toys.registry, Observer())
    with later.at_work():
        later.answer()
    assert later.summary().after is not None
    assert later.summary().after.judge is None
    with later.at_work():
        later.judge()
        summary = later.report()
    assert summary.after is not None
    assert summary.after.judge is not None
    assert summary.after.judge.num_scored == 4


def test_the_untuned_model_is_the_untuned_one_even_behind_training(
    start: Callable[..., Session], finished_once: Path, tmp_path: Path, read_lines: Callable
) -> None:
    session = start()
    with session.at_work():
        session.train()
        session.measure_before()
    wanted = read_lines(finished_once / "likelihoods-before.jsonl")
    assert read_lines(tmp_path / "run" / "likelihoods-before.jsonl") == wanted


def test_answers_before_training_are_refused(start: Callable[..., Session]) -> None:
    session = start()
    with session.at_work(), pytest.raises(ConfigError, match="has no model yet: train it first"):
        session.answer()


def test_a_second_process_is_locked_out(start: Callable[..., Session], toys: Any, tmp_path: Path) -> None:
    session = start()
    other = Session.reopen(tmp_path / "run", toys.registry, Observer())
    with session.at_work(), pytest.raises(ConfigError, match="run is in use by process"), other.at_work():
        pytest.fail("both are at work")


def test_a_locked_run_keeps_its_configuration(start: Callable[..., Session], toys: Any, tmp_path: Path) -> None:
    session = start()
    before = (tmp_path / "run" / "config.toml").read_bytes()
    layer: Layer = {"generate": {"max_new_tokens": 3}}
    other = Session.reopen(tmp_path / "run", toys.registry, Observer(), layer=layer)
    with session.at_work(), pytest.raises(ConfigError), other.at_work():
        pytest.fail("both are at work")
    assert (tmp_path / "run" / "config.toml").read_bytes() == before
    with other.at_work():
        other.judge()
    written = tomllib.loads((tmp_path / "run" / "config.toml").read_text(encoding="utf-8"))
    assert written["generate"]["max_new_tokens"] == 3


def judged_again(finished: Path, toys: Any, layer: Layer) -> Summary:
    session = Session.reopen(finished, toys.registry, Observer(), layer=layer)
    session.check_judge()
    with session.at_work():
        session.judge()
    return session.summary()


def test_another_judge_judges_all_answers_and_the_first_one_none_again(finished: Path, toys: Any) -> None:
    second = judged_again(finished, toys, {"judge": {"version": 2}})
    assert toys.judged == [34, 35, 36, 37] * 2
    assert second.after is not None
    assert second.after.judge is not None
    assert (second.after.judge.name, second.after.judge.num_items) == ("toy-judge v2", 4)
    toys.judged.clear()
    first = judged_again(finished, toys, {"judge": {"version": 1}})
    assert toys.judged == []
    assert first.after is not None
    assert first.after.judge is not None
    assert first.after.judge.name == "toy-judge v1"


def test_a_judge_that_fails_on_too_many_items_is_asked_again_about_those_alone(finished: Path, toys: Any) -> None:
    with pytest.raises(JudgeError, match="gave no score for 1 of 4 items"):
        judged_again(finished, toys, {"judge": {"version": 3, "failing": 1}})
    assert toys.judged == [34, 35, 36, 37]
    toys.judged.clear()
    summary = judged_again(finished, toys, {"judge": {"version": 3, "failing": 0}})
    # one of the untuned model's answers, and all of the other's, which were not come to
    assert toys.judged == [34, 34, 35, 36, 37]
    assert summary.after is not None
    assert summary.after.judge is not None
    assert summary.after.judge.num_scored == 4


def test_a_few_failures_are_let_pass_and_counted(finished: Path, toys: Any) -> None:
    summary = judged_again(finished, toys, {"judge": {"version": 4, "failing": 1}, "max_failures": 0.3})
    assert summary.after is not None
    assert summary.after.judge is not None
    assert (summary.after.judge.num_scored, summary.after.judge.num_items) == (3, 4)


def test_answers_written_anew_replace_the_old_ones_and_their_verdicts(
    finished: Path, toys: Any, read_lines: Callable
) -> None:
    session = Session.reopen(finished, toys.registry, Observer(), layer={"generate": {"max_new_tokens": 2}})
    with session.at_work():
        session.answer(again=True)
    for suffix in ("", "-before"):  # both models answer in the same way, or their figures could not be compared
        assert {len(line["ids"]) for line in read_lines(finished / f"responses{suffix}.jsonl")} == {2}
        assert not (finished / f"verdicts{suffix}.jsonl").exists()


def test_answers_written_anew_are_those_of_a_model_that_was_tuned_or_not(
    finished: Path, toys: Any, read_lines: Callable
) -> None:
    """With the same settings they are what they were."""
    old = {suffix: read_lines(finished / f"responses{suffix}.jsonl") for suffix in ("", "-before")}
    session = Session.reopen(finished, toys.registry, Observer())
    with session.at_work():
        session.answer(again=True)
    assert {suffix: read_lines(finished / f"responses{suffix}.jsonl") for suffix in old} == old


def test_without_answers_of_the_untuned_model_none_are_written_anew(start: Callable[..., Session]) -> None:
    session = start(before=False)
    with session.at_work():
        session.train()
        session.answer()
        session.answer(again=True)
    assert not (session.folder.path / "responses-before.jsonl").exists()


def test_answers_that_could_not_be_written_anew_are_kept(finished: Path, toys: Any) -> None:
    before = (finished / "responses.jsonl").read_bytes()
    session = Session.reopen(finished, toys.registry, Observer(), layer={"generate": {"max_new_tokens": 250}})
    with (
        session.at_work(),
        pytest.raises(ModelError, match=r"the prompt of example 34 has \d+ tokens and 250 new ones"),
    ):
        session.answer(again=True)
    assert (finished / "responses.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train": {"lr": 0.5}},
            r"train\.lr is 0\.003 in the run .* and cannot become 0\.5: leave it out, or make a n",
        ),
        ({"prompt": "alpaca"}, r"prompt\.name is 'brief' in the run .* and cannot become 'alpaca'"),
        ({"collate": "pad-only"}, r"collate\.name is 'mask-pad' in the run"),
        ({"model": {"dropout": 0.5}}, r"model\.dropout is 0\.0 in the run"),
        ({"data": {"limit": 20}}, r"data\.limit is None in the run"),
        ({"seed": 1}, "seed is 123 in the run"),
    ],
)
def test_what_a_run_was_made_with_cannot_be_changed_afterwards(
    change: Layer, message: str, start: Callable[..., Session], toys: Any, tmp_path: Path
) -> None:
    start()
    with pytest.raises(ConfigError, match=message):
        Session.reopen(tmp_path / "run", toys.registry, Observer(), layer=change)


def test_the_settings_a_run_was_made_with_may_be_given_again(
    start: Callable[..., Session], layer: Callable[..., Layer], toys: Any, tmp_path: Path
) -> None:
    start()
    Session.reopen(tmp_path / "run", toys.registry, Observer(), layer=layer(judge={"version": 2}))


def test_a_default_that_a_backend_proposes_later_does_not_change_an_old_run(
    start: Callable[..., Session], make_toys: Callable[..., Any], toy_backend: type[ModelBackend], tmp_path: Path
) -> None:
    class Newer(toy_backend):  # type: ignore[misc,valid-type]
        defaults = {"train": {"lr": 1.0, "clip_norm": 1.0}, "generate": {"top_k": 5}}  # noqa: RUF012

    start()
    session = Session.reopen(tmp_path / "run", make_toys(backend=Newer).registry, Observer())
    config = session.setup.config
    assert (config.train.lr, config.train.clip_norm, config.generate.top_k) == (0.003, None, None)


def test_no_place_on_the_disk_is_said_before_a_folder_is_made(
    start: Callable[..., Session], make_toys: Callable[..., Any], toy_backend: type[ModelBackend], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"not enough disk: the run in .*run needs .* GB"):
        start(train={"keep_checkpoints": 10**12})
    assert not (tmp_path / "run").exists()


def test_a_question_that_leaves_no_room_for_its_answer_is_found_before_anything_is_made(
    start: Callable[..., Session], tmp_path: Path
) -> None:
    with pytest.raises(
        ModelError, match=r"the prompt of example 34 has 15 tokens and 46 new ones .* the model's context is 60"
    ):
        start(model={"name": "toy", "context": 60}, generate={"max_new_tokens": 46})
    assert not (tmp_path / "run").exists()
    start(model={"name": "toy", "context": 60}, generate={"max_new_tokens": 46, "on_overflow": "slide"})


def test_memory_that_runs_out_while_answering_is_told_with_what_to_lower(
    layer: Callable[..., Layer], make_toys: Callable[..., Any], toy_backend: type[ModelBackend], tmp_path: Path
) -> None:
    class Full(toy_backend):  # type: ignore[misc,valid-type]
        def load(self, **given: Any) -> CausalLM:
            model = super().load(**given)

            class Greedy(type(model)):  # type: ignore[misc]
                def generate(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> Completion:
                    raise torch.OutOfMemoryError("CUDA out of memory")

            return Greedy(model.module, model.tokenizer, model.context_length)

    session = Session.start(layer(), make_toys(backend=Full).registry, Observer())
    with pytest.raises(TrainingError, match=r"out of memory while .*: lower generate\.batch_size .*kept in .*run"):
        session.run_all()


def test_any_other_runtime_error_is_not_taken_for_memory(start: Callable[..., Session]) -> None:
    session = start()
    with pytest.raises(RuntimeError, match="a bug"), session.at_work():
        raise RuntimeError("a bug")


def test_a_few_answers_are_shown_spread_over_the_test_part(finished: Path, toys: Any) -> None:
    session = Session.reopen(finished, toys.registry, Observer())
    shown = session.showcase(2)
    assert [item.index for item in shown] == [34, 36]
    assert all(answered.verdict is not None for answered in shown)
    assert len(session.showcase(99)) == 4
