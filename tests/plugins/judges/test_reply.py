import pytest
from sftframe_plugins.judges.replies import UnparsableError, parse_preference, parse_score, shorten


@pytest.mark.parametrize(
    ("text", "score", "reason"),
    [
        ('{"score": 0, "reason": "Wrong."}', 0.0, "Wrong."),
        (' {"reason": "Right.",\n "score": 100} \n', 100.0, "Right."),
        ('{"score": 7}', 7.0, ""),
        ('{"score": 80.0}', 80.0, ""),
        ('{"score": 1e2, "reason": "All."}', 100.0, "All."),
        ('{"score": -0.0}', 0.0, ""),
        ('{"score": 7, "reason": null}', 7.0, ""),
        ('{"score": 7, "reason": "two\\nlines", "more": []}', 7.0, "two lines"),
    ],
)
def test_an_integer_score_in_an_object_is_taken(text, score, reason):
    assert parse_score(text) == (score, reason)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Score: 85", "not a JSON object: Score: 85"),
        ("", r"not a JSON object: \(empty\)"),
        ("85", "not a JSON object: 85"),
        ('["score", 85]', "not a JSON object"),
        ('{"points": 85}', "has no score"),
        ('{"score": 101}', "score 101 is not an integer from 0 to 100"),
        ('{"score": -1}', "score -1 is not"),
        ('{"score": 85.5}', "score 85.5 is not"),
        ('{"score": 100.5}', "score 100.5 is not"),
        ('{"score": 101.0}', "score 101.0 is not"),
        ('{"score": Infinity}', "score Infinity is not"),
        ('<think>Hm.</think>{"score": 80}', "not a JSON object"),
        ('{"score": "85"}', 'score "85" is not'),
        ('{"score": false}', "score false is not"),
        ('{"score": null}', "score null is not"),
        ('{"score": NaN}', "score NaN is not"),
        ('{"score": ' + "9" * 5000 + "}", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ('{"score": 85} {"score": 90}', "not a JSON object"),
        ('{"score": 10, "reason": "x", "score": 90}', "has 'score' more than once"),
    ],
)
def test_anything_else_is_no_score(text, what):
    with pytest.raises(UnparsableError, match=what):
        parse_score(text)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('Sure: {"score": 85, "reason": "x"} Bye.', 85.0),
        ('```json\n{"score": "85"}\n```', 85.0),
        ('{"score": 85.5}', 85.5),
        ("I give it 85/100.", 85.0),
        ("85 out of 100, so 85.", 85.0),
        ("Score: 0.", 0.0),
    ],
)
def test_a_lenient_judge_finds_the_only_score_there_is(text, score):
    assert parse_score(text, True) == (score, f"read leniently from: {shorten(text)}")


@pytest.mark.parametrize(
    "text",
    [
        "good",
        "3 of 5 words are right",
        "110",
        "-5",
        '{"score": 110, "of": 100}',
        '{"score": true}',
        '{"score": 10, "score": 90}',
        "version 1.2.3",
        "",
    ],
)
def test_a_lenient_judge_does_not_guess(text):
    with pytest.raises(UnparsableError):
        parse_score(text, True)


def test_a_good_reply_is_the_same_to_a_lenient_judge():
    assert parse_score('{"score": 85, "reason": "Fine."}', True) == (85.0, "Fine.")


@pytest.mark.parametrize("better", ["first", "second", "tie"])
def test_a_preference_is_one_of_three_words(better):
    assert parse_preference(f'{{"reason": "Why.", "better": "{better}"}}') == (better, "Why.")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("first", "not a JSON object: first"),
        ('{"winner": "first"}', "has no better"),
        ('{"better": "First"}', 'better "First" is not "first", "second" or "tie"'),
        ('{"better": 1}', "better 1 is not"),
        ('{"better": ["tie"]}', "is not"),
        ('{"better": null}', "better null is not"),
        ('{"better": "first", "better": "second"}', "has 'better' more than once"),
        ('{"better": "first"} I think.', "not a JSON object"),
    ],
)
def test_anything_else_is_no_preference(text, what):
    with pytest.raises(UnparsableError, match=what):
        parse_preference(text)


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ('So: {"better": "second"}.', "second"),
        ('{"better": "FIRST"}', "first"),
        ("The second answer is better.", "second"),
        ("A tie.", "tie"),
    ],
)
def test_a_lenient_judge_finds_the_only_preference_there_is(text, winner):
    assert parse_preference(text, True) == (winner, f"read leniently from: {shorten(text)}")


@pytest.mark.parametrize(
    "text", ["The first is better than the second.", "Both.", "", "firstly", '{"better": "none"} but first', "A"]
)
def test_a_lenient_judge_does_not_guess_a_preference(text):
    with pytest.raises(UnparsableError):
        parse_preference(text, True)


THOUGHTS = [
    "<think>Perhaps {wrong}? No.</think>{right}",
    "<THINK lang='en'>\nPerhaps {wrong}?\n</THINK>\nSo: {right}",
    "<thinking>{wrong}</thinking> {right} <thinking>or {wrong}</thinking>",
    "Perhaps {wrong}? Let me see. </think> {right}",
    "{right} <think> or rather {wrong}",
    "<think>one <think>two</think> {wrong} </think>{right}",
    "[THINK]{wrong}[/THINK]{right}",
    "◁think▷{wrong}◁/think▷{right}",
    "<reasoning>{wrong}</reasoning>\n```json\n{right}\n```",
]


def filled(text, wrong, right):
    return text.replace("{wrong}", wrong).replace("{right}", right)


@pytest.mark.parametrize("text", THOUGHTS)
def test_what_a_model_thought_is_no_reply(text):
    score, reason = parse_score(filled(text, '{"score": 15}', '{"score": 75, "reason": "x"}'), True)
    assert score == 75.0
    assert "15" not in reason
    assert parse_score(filled(text, "15 of them", "75 points"), True)[0] == 75.0
    assert parse_preference(filled(text, '{"better": "second"}', '{"better": "tie"}'), True)[0] == "tie"
    assert parse_preference(filled(text, "the second", "the first"), True)[0] == "first"


@pytest.mark.parametrize("text", ["<think>{wrong}", "<think>{wrong}</think>", "{wrong}</think>", "a <think> b {wrong}"])
def test_a_thought_without_a_reply_is_none(text):
    with pytest.raises(UnparsableError):
        parse_score(filled(text, '{"score": 15}', ""), True)
    with pytest.raises(UnparsableError):
        parse_preference(filled(text, '{"better": "first"}', ""), True)


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 30} no, rather {"score": 60}',
        'Draft: {"score": 60, "reason": "a"}\nFinal: {"score": 61, "reason": "b"}',
        '{"score": 60} {"score": 110}',
        '{"score": 60} {"score": null}',
        '[{"score": 10}, {"score": 20}]',
    ],
)
def test_objects_that_disagree_are_no_score(text):
    with pytest.raises(UnparsableError, match="objects that disagree on score"):
        parse_score(text, True)


def test_objects_that_agree_are_a_score():
    assert parse_score('{"score": 60} I stay with it: {"score": 60.0, "reason": "x"}', True)[0] == 60.0
    assert parse_score('{"result": {"score": 60}, "reason": "{\\"score\\": 10}"}', True)[0] == 60.0


@pytest.mark.parametrize("other", ["second", "tie", "none"])
def test_objects_that_disagree_are_no_preference(other):
    with pytest.raises(UnparsableError, match="objects that disagree on better"):
        parse_preference(f'{{"better": "first"}} or {{"better": "{other}"}}', True)


def test_objects_that_agree_are_a_preference():
    assert parse_preference('{"better": "second"} again: {"better": "Second"}', True)[0] == "second"


@pytest.mark.parametrize("text", ['{"a":' * 200_000, "{" * 1_000_000, "x" * 3_000_000, "[THINK" * 500_000])
@pytest.mark.parametrize("parse", [parse_score, parse_preference])
def test_a_reply_of_megabytes_is_read_at_once(text, parse):
    with pytest.raises(UnparsableError):
        parse(text, True)
