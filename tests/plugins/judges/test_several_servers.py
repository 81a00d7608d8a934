"""Several Ollama servers share the work; a dead one costs nothing but a warning."""

import json
import threading
import warnings

import pytest
from sftframe_plugins.judges.ollama import OllamaOptions

OTHER_DIGEST = "8eeb52dfb3bb9aefdf9d1ef24b3bdbcfbe82238798c4b918278320b6fcef18fe"


def judged(judge, *items):
    return list(judge.score(items))


def test_hosts_are_a_list_or_have_commas_between():
    assert OllamaOptions(host=("one", "two", "one")).hosts == ("one", "two")
    assert OllamaOptions(host="one, two").hosts == ("one", "two")


def test_two_servers_share_the_work_in_order(start, acts, ask, item):
    stubs = [start(), start()]
    both_busy = threading.Barrier(2, timeout=10)

    def waits_for_the_other(handler, body):
        both_busy.wait()
        answer = json.loads(body["messages"][1]["content"])["answer_to_grade"]
        acts.grades(int(answer))(handler, body)

    for stub in stubs:
        stub.plan = [waits_for_the_other]
    verdicts = judged(ask(*(stub.host for stub in stubs)), *(item(i, str(i)) for i in range(6)))
    assert [verdict.score for verdict in verdicts] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [len(stub.requests) for stub in stubs] == [3, 3]


def test_a_server_that_is_gone_is_left_out_with_one_warning(stub, dead_host, ask, item):
    judge = ask(dead_host, stub.host, concurrency=2)
    with pytest.warns(RuntimeWarning) as caught:
        verdicts = judged(judge, *(item(i) for i in range(6)))
    assert [str(warning.message) for warning in caught] == [
        f"judge ollama: no connection to {dead_host}; it is skipped, and tried again later"
    ]
    assert [verdict.index for verdict in verdicts] == list(range(6))
    assert {verdict.status for verdict in verdicts} == {"ok"}
    assert ask.waits == []


def test_a_server_that_is_gone_at_the_check_is_not_warned_of_again(stub, dead_host, ask, item):
    judge = ask(dead_host, stub.host)
    with pytest.warns(RuntimeWarning, match=dead_host):
        judge.check()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [verdict.score for verdict in judged(judge, item(0), item(1))] == [50.0, 50.0]
    assert len(stub.requests) == 2


def test_a_server_that_lost_its_model_hands_its_items_on(start, acts, ask, item):
    bad, good = start(), start()
    bad.plan = [acts.refuses(404, "model not found")]
    with pytest.warns(RuntimeWarning, match="model not found"):
        verdicts = judged(ask(bad.host, good.host), *(item(i) for i in range(4)))
    assert {verdict.status for verdict in verdicts} == {"ok"}
    assert len(bad.requests) == 1
    assert len(good.requests) == 4


def test_a_server_that_keeps_failing_is_left_out_after_three_failures(start, acts, ask, item):
    bad, good = start(), start()
    bad.plan = [acts.refuses(500, "out of memory")]
    good_may_begin = threading.Event()

    def waits(handler, body):
        good_may_begin.wait(10)
        acts.grades(50)(handler, body)

    def third_failure(handler, body):
        good_may_begin.set()
        acts.refuses(500, "out of memory")(handler, body)

    bad.plan, good.plan = [acts.refuses(500), acts.refuses(500), third_failure, acts.refuses(418)], [waits]
    with pytest.warns(RuntimeWarning, match="out of memory"):
        verdicts = judged(ask(bad.host, good.host, retries=5), *(item(i) for i in range(8)))
    assert {verdict.status for verdict in verdicts} == {"ok"}
    assert len(bad.requests) == 3


def test_all_servers_dead_is_an_error_for_every_item(start, ask, item):
    gone = [start(), start()]
    for stub in gone:
        stub.close()
    with pytest.warns(RuntimeWarning, match="it is skipped"):
        verdicts = judged(ask(*(stub.host for stub in gone), retries=1), *(item(i) for i in range(3)))
    assert [(verdict.index, verdict.status, verdict.score) for verdict in verdicts] == [
        (0, "error", None),
        (1, "error", None),
        (2, "error", None),
    ]


def test_no_server_gets_more_calls_at_a_time_because_another_is_gone(stub, dead_host, busy, ask, item):
    stub.plan = [busy]
    with pytest.warns(RuntimeWarning, match=dead_host):
        judged(ask(dead_host, stub.host, concurrency=1), *(item(i) for i in range(8)))
    assert busy.most == 1


def test_a_server_that_changes_its_model_is_left_out(start, acts, ask, item):
    changing, steady = start(), start()

    def changes(handler, body):
        changing.models = [{"model": "llama3:latest", "digest": OTHER_DIGEST}]
        acts.grades(1)(handler, body)

    changing.plan = [changes]
    judge = ask(changing.host, steady.host)
    judge.check()
    with pytest.warns(RuntimeWarning, match="has changed during judging"):
        verdicts = judged(judge, *(item(i) for i in range(4)))
    assert [verdict.score for verdict in verdicts] == [50.0] * 4
