"""Judges that keep and break the contract: what comes back lines up with the items, or an error names the judge."""

import dataclasses

import pytest

from sftframe import Judge, JudgeError, JudgeItem, PluginError, Verdict
from sftframe.judging.scoring import judge_responses


def item(index, answer="Paris."):
    return JudgeItem(index=index, instruction="Name it.", input="", reference="Paris.", answer=answer)


ITEMS = [item(7), item(3), item(5)]


def ok(index, score=50.0, judge="scripted"):
    return Verdict(index=index, status="ok", score=score, judge=judge)


def failed(index, status="timeout", reason="silent"):
    return Verdict(index=index, status=status, score=None, reason=reason, judge="scripted")


class Scripted(Judge):
    """Gives the verdicts of a list, whatever it is asked; an exception in it is raised."""

    name = "scripted"
    summary = "for tests"

    def __init__(self, *script):
        super().__init__()
        self.script = script
        self.asked = []
        self.is_closed = False

    def score(self, items):
        self.asked = [item.index for item in items]
        try:
            for verdict in self.script:
                if isinstance(verdict, BaseException):
                    raise verdict
                yield verdict
        finally:
            self.is_closed = True


def judged(judge, **settings):
    seen = []
    verdicts = judge_responses(judge, ITEMS, on_verdict=seen.append, **settings)
    return verdicts, seen


def test_verdicts_come_back_in_the_items_order_and_are_handed_on_as_they_come():
    verdicts, seen = judged(Scripted(ok(7, 0), failed(3), ok(5, 100)))
    assert verdicts == (ok(7, 0), failed(3), ok(5, 100))
    assert seen == list(verdicts)


def test_only_items_without_a_score_are_asked_again():
    judge = Scripted(ok(3, 30), ok(5, 40))
    known = {7: ok(7, 90), 3: failed(3), 99: ok(99)}
    verdicts, seen = judged(judge, known=known)
    assert judge.asked == [3, 5]
    assert verdicts == (ok(7, 90), ok(3, 30), ok(5, 40))
    assert seen == [ok(3, 30), ok(5, 40)]


def test_a_verdict_of_another_judge_is_not_taken_for_this_ones():
    judge = Scripted(ok(7), ok(3), ok(5))
    judged(judge, known={7: ok(7, judge="another")})
    assert judge.asked == [7, 3, 5]


def test_a_judge_is_not_bothered_when_all_is_known():
    judge = Scripted(ValueError("asked"))
    verdicts, seen = judged(judge, known={index: ok(index) for index in (3, 5, 7)})
    assert [verdict.index for verdict in verdicts] == [7, 3, 5]
    assert seen == []


@pytest.mark.parametrize("name", ["", "I"])
def test_a_verdict_has_the_judges_name_whatever_it_calls_itself(name):
    verdicts, seen = judged(Scripted(ok(7, judge=name), ok(3), ok(5)))
    assert verdicts[0].judge == "scripted"
    assert seen[0].judge == "scripted"


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ([ok(7), ok(3)], "no verdict on item 5"),
        ([ok(7), ok(3), ok(5), ok(9)], "more than the 3 verdicts"),
        ([ok(3), ok(7), ok(5)], "on item 7: it gave a verdict on item 3"),
        ([ok(7, None)], "score None: expected a number from 0 to 100"),
        ([ok(7, 100.5)], "score 100.5"),
        ([ok(7, -1)], "score -1"),
        ([ok(7, float("nan"))], "score nan"),
        ([ok(7, True)], "score True"),
        ([ok(7, "85")], "score '85'"),
        ([dataclasses.replace(failed(7), score=0.0)], "score 0.0 with status 'timeout'"),
        ([failed(7, status="skipped")], "status 'skipped': expected one of ok, unparsable, timeout, error"),
        (["85"], "str instead of a Verdict"),
    ],
)
def test_a_broken_contract_names_judge_and_item(script, what):
    with pytest.raises(PluginError, match=r"judge 'scripted'.*" + what):
        judged(Scripted(*script))


def test_verdicts_before_the_break_were_handed_on():
    seen = []
    with pytest.raises(PluginError):
        judge_responses(Scripted(ok(7), ok(5)), ITEMS, on_verdict=seen.append)
    assert seen == [ok(7)]


def test_an_exception_in_the_judge_names_the_judge():
    with pytest.raises(PluginError, match="judge 'scripted' failed: ValueError: boom") as caught:
        judged(Scripted(ok(7), ValueError("boom")))
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_error_that_the_judge_explains_passes_as_it_is():
    with pytest.raises(JudgeError, match="the server is gone"):
        judged(Scripted(JudgeError("the server is gone")))


def test_what_goes_wrong_with_the_caller_is_not_the_judges_fault_and_closes_it():
    judge = Scripted(ok(7), ok(3), ok(5))

    def disk_full(verdict):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        judge_responses(judge, ITEMS, on_verdict=disk_full)
    assert judge.is_closed


def test_an_interrupt_closes_the_judge_at_once():
    judge = Scripted(ok(7), ok(3), ok(5))

    def interrupted(verdict):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        judge_responses(judge, ITEMS, on_verdict=interrupted)
    assert judge.is_closed
    assert caught.tb is not None  # the frames are still alive: it is not the garbage collector that closed it


class Gone(Scripted):
    """Scores the first items and then fails for good."""

    def __init__(self, num_scored):
        super().__init__()
        self.num_scored = num_scored

    def score(self, items):
        for position, item in enumerate(items):
            yield ok(item.index) if position < self.num_scored else failed(item.index)


def test_a_judge_that_is_gone_is_not_waited_for_and_every_item_has_its_verdict():
    items, seen = [item(index) for index in range(100)], []
    verdicts = judge_responses(Gone(20), items, on_verdict=seen.append, max_failures=0.05)
    assert len(seen) == 30
    assert verdicts[:30] == tuple(seen)
    assert [verdict.index for verdict in verdicts] == list(range(100))
    assert {(verdict.status, verdict.score, verdict.reason) for verdict in verdicts[30:]} == {
        ("error", None, "not asked: the judge had failed 10 times in a row")
    }


def test_a_known_score_counts_although_the_judge_is_gone():
    items = [item(index) for index in range(100)]
    verdicts = judge_responses(Gone(0), items, known={99: ok(99)}, on_verdict=lambda verdict: None, max_failures=0.05)
    assert verdicts[99] == ok(99)


def test_single_failures_never_keep_the_rest_from_being_judged():
    script = [failed(index) if index % 3 else ok(index) for index in range(60)]
    verdicts = judge_responses(
        Scripted(*script), [item(index) for index in range(60)], on_verdict=lambda verdict: None, max_failures=0.05
    )
    assert len(verdicts) == 60


def test_as_many_failures_as_allowed_do_not_end_it():
    items = [item(index) for index in range(40)]
    verdicts = judge_responses(Gone(20), items, on_verdict=lambda verdict: None, max_failures=0.5)
    assert len(verdicts) == 40


def test_a_judge_may_give_a_list():
    class Listing(Scripted):
        def score(self, items):
            return [ok(item.index) for item in items]

    assert judged(Listing())[0] == (ok(7), ok(3), ok(5))


class Hasty(Scripted):
    """Gives its script as verdicts that come when they are ready."""

    def score_as_ready(self, items):
        return Scripted.score(self, items)

    def score(self, items):
        raise AssertionError("the others would wait for the slowest")


def test_verdicts_that_come_in_another_order_are_handed_on_as_they_come_and_come_back_in_the_items_order():
    verdicts, seen = judged(Hasty(ok(5, 100), ok(7, 0), failed(3)))
    assert seen == [ok(5, 100), ok(7, 0), failed(3)]
    assert verdicts == (ok(7, 0), failed(3), ok(5, 100))


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ([ok(5), ok(5), ok(3)], r"broke its contract on item 7: it gave a verdict on item 5"),
        ([ok(4)], r"broke its contract on item 7: it gave a verdict on item 4"),
        ([ok(3), ok(7)], r"gave no verdict on item 5"),
        ([ok(3), ok(7), ok(5), ok(5)], r"gave more than the 3 verdicts"),
        ([ok(3), "fine"], r"on item 7: it gave str instead of a Verdict"),
    ],
)
def test_in_whatever_order_every_item_gets_one_verdict(script, what):
    with pytest.raises(PluginError, match=what):
        judged(Hasty(*script))


def test_a_judge_that_says_nothing_of_another_order_is_held_to_the_items_order():
    with pytest.raises(PluginError, match=r"on item 7: it gave a verdict on item 3"):
        judged(Scripted(ok(3), ok(7), ok(5)))


def test_of_an_endless_reason_and_reply_a_part_is_kept():
    long = dataclasses.replace(ok(7), reason="because " * 1_000_000, raw="x" * 10_000_000)
    verdicts, seen = judged(Scripted(long, ok(3), ok(5)))
    assert verdicts[0] == seen[0]
    assert len(verdicts[0].reason) == 4_000
    assert len(verdicts[0].raw) == 100_000
    assert verdicts[0].reason.startswith("because because")
    assert verdicts[0].reason.endswith("…")
