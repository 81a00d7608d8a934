"""A judge sees the conversation that an answer belongs to; single questions are asked and kept as before."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sftframe_plugins.judges.language_model import preference_question, score_question

from sftframe import Example, JudgeItem, Turn, Verdict
from sftframe.analysis.label_files import answer_ids
from sftframe.judging.cache import VerdictCache
from sftframe.judging.pairs import make_pairs
from sftframe.judging.scoring import judge_item, match_items

TURNS = (
    Turn(instruction="Hi.", output="Hello."),
    Turn(instruction="20", speaker="tool", output="It is 20 degrees."),
)
TALK = Example(index=0, system="Be kind.", turns=TURNS, instruction="In words?", output="Twenty.")
ITEM = judge_item(TALK, "Twenty degrees.")
ALONE = replace(ITEM, system="", turns=())


def test_an_item_has_all_that_came_before_the_question() -> None:
    assert (ITEM.system, ITEM.turns) == ("Be kind.", TURNS)


def test_the_question_of_a_language_model_shows_the_conversation() -> None:
    *_, asked = score_question("---\n{{instruction}}{{answer}}").messages(ITEM)
    before = (
        "The last message of this conversation is to be answered.\\n\\nSystem: Be kind.\\n\\nUser: Hi.\\n\\n"
        "Assistant: Hello.\\n\\nTool: 20\\n\\nAssistant: It is 20 degrees.\\n\\nLast message: In words?"
    )
    assert asked["content"] == f'"{before}""Twenty degrees."'
    (pair,) = make_pairs([(ITEM, replace(ITEM, answer="No."))])
    *_, asked = preference_question("---\n{{instruction}}{{first}}{{second}}").messages(pair)
    assert asked["content"] == f'"{before}""Twenty degrees.""No."'


def test_a_judge_sees_the_tools_and_that_a_tool_spoke_last() -> None:
    call = Turn(instruction="Weather?", output="weather()", is_call=True)
    example = Example(
        index=0, tools='[{"name": "weather"}]', turns=(call,), speaker="tool", instruction="20", output="W"
    )
    item = judge_item(example, "Warm.")
    assert item.before == (("Tools", '[{"name": "weather"}]'), ("User", "Weather?"), ("Assistant", "weather()"))
    *_, asked = score_question("---\n{{instruction}}{{answer}}").messages(item)
    assert 'Assistant: weather()\\n\\nLast message, from a tool: 20"' in asked["content"]
    assert match_items([item], [replace(item, speaker="user")]) == []
    assert match_items([item], [replace(item, tools="")]) == []


def test_a_single_question_is_asked_as_before() -> None:
    *_, asked = score_question("---\n{{instruction}}{{answer}}").messages(ALONE)
    assert asked["content"] == '"In words?""Twenty degrees."'


def test_the_same_question_in_another_conversation_is_another_question() -> None:
    assert match_items([ITEM], [ALONE]) == []
    assert match_items([ITEM, ALONE], [ALONE, ITEM]) == [(ITEM, ITEM), (ALONE, ALONE)]
    assert answer_ids([ITEM]) != answer_ids([ALONE])


def test_a_verdict_in_one_conversation_is_not_kept_for_another(tmp_path: Path) -> None:
    warned: list[str] = []
    with VerdictCache(("1", "j"), warn=warned.append, path=tmp_path / "cache.sqlite") as cache:
        cache.keep(ITEM, Verdict(index=0, status="ok", score=7.0, judge="j"))
        assert cache.find([ALONE], Verdict) == {}
        assert cache.find([ITEM], Verdict)[0].score == 7.0
    assert warned == []


def test_the_key_of_a_single_question_is_that_of_older_versions(tmp_path: Path) -> None:
    """What is hashed, written out: verdicts that were paid for are found again."""
    import hashlib

    item = JudgeItem(index=9, instruction="a", input="b", reference="c", answer="d")
    words = '["JudgeItem", ["1", "j"], {"answer": "d", "input": "b", "instruction": "a", "reference": "c"}, 0]'
    with VerdictCache(("1", "j"), warn=print, path=tmp_path / "cache.sqlite") as cache:
        assert cache._key(item, 0) == hashlib.sha256(words.encode()).digest()


def test_a_runs_files_keep_the_conversation(tmp_path: Path, toys: Any) -> None:
    import json

    from sftframe.pipeline import Session
    from sftframe.progress import Observer
    from sftframe.runs import RunStore

    said = [{"role": "system", "content": "Count."}, {"role": "user", "content": "One?"}]
    said += [{"role": "assistant", "content": "One."}, {"role": "user", "content": "Next?"}]
    rows = [{"messages": [*said, {"role": "assistant", "content": str(n)}]} for n in range(12)]
    path = tmp_path / "talks.json"
    path.write_text(json.dumps(rows))
    layer = {
        **{"model": "toy", "prompt": "chatml", "judge": "toy-judge", "before": False, "threads": 1},
        "data": {"source": str(path)},
        "train": {"max_steps": 1},
        "generate": {"max_new_tokens": 2},
        "out": tmp_path / "run",
    }
    Session.start(layer, toys.registry, Observer()).run_all()
    (item,) = RunStore.open(tmp_path / "run").items()
    assert (item.system, item.turns) == ("Count.", (Turn(instruction="One?", output="One."),))
    (entry,) = json.loads((tmp_path / "run" / "responses.json").read_text())
    assert (entry["system"], entry["history"]) == ("Count.", [["One?", "One."]])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Before it: 1 exchange" in page
    assert "Count." in page


def test_answers_say_where_a_tool_spoke_and_are_read_back_so(tmp_path: Path, toys: Any) -> None:
    import json

    from sftframe.config import DataConfig
    from sftframe.data import load_answered
    from sftframe.pipeline import Session
    from sftframe.progress import Observer
    from sftframe.runs import RunStore

    said = [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "weather()"}]
    said += [{"role": "tool", "content": "20"}]
    rows = [
        {"messages": [*said, {"role": "assistant", "content": str(n)}], "tools": [{"name": "weather"}]}
        for n in range(12)
    ]
    rows[9] = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]}
    path = tmp_path / "talks.json"
    path.write_text(json.dumps(rows))
    layer = {
        **{"model": "toy", "prompt": "chatml", "judge": "toy-judge", "before": False, "threads": 1},
        "data": {"source": str(path), "split": "70/20/10"},
        "train": {"max_steps": 1},
        "generate": {"max_new_tokens": 2},
        "out": tmp_path / "run",
    }
    Session.start(layer, toys.registry, Observer()).run_all()
    run = RunStore.open(tmp_path / "run")
    with_tool, without = json.loads(run.responses_json_path.read_text())
    assert (with_tool["history"], with_tool["speakers"]) == ([["Weather?", "weather()"]], ["user", "tool"])
    assert with_tool["tools"] == '[{"name": "weather"}]'
    assert not {"history", "speakers", "tools"} & without.keys()
    item, _ = run.items()
    assert (item.speaker, item.tools) == ("tool", '[{"name": "weather"}]')
    dataset = load_answered(DataConfig(source=str(run.responses_json_path))).dataset
    again = dataset.examples[0]
    assert judge_item(again, "x").before == item.before
    assert again.speaker == "tool"
    page = (tmp_path / "run" / "report.html").read_text()
    assert '<span class="label">Tool</span> <span dir="auto" data-text>20</span>' in page
