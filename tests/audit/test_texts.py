"""What a row shows by itself: each kind by planted rows, and rows that are right and must not be reported."""

import pytest

from sftframe.audit.texts import language_of, look_at
from sftframe.records import Example, Turn


def kinds(output: str, instruction: str = "Say something about the weather.", **more: object) -> set[str]:
    return {kind for kind, _ in look_at(Example(instruction=instruction, output=output, index=0, **more)).sightings}


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("", "empty-output"),
        (" \n\t", "empty-output"),
        ("I'm afraid that I won't be able to help with such a request.", "refusal"),
        ("I’m sorry, but I can’t share that.", "refusal"),
        ("Being a large language model, I have seen no rain.", "refusal"),
        ("I do not have access to the forecast of today.", "refusal"),
        ("It was a cold day and the wind blew from the", "cut-off"),
        ("Take eggs, flour, butter,", "cut-off"),
        ("Here it is:\n```python\nprint(1)", "cut-off"),
        ("Rain.<|eot_id|>", "control-string"),
        ("Rain.\n### Response:\nSun.", "control-string"),
        ("[INST] Rain? [/INST] Yes.", "control-string"),
        ("Snow.</s>", "control-string"),
        ("Rain.\n\nHuman: And tomorrow?", "control-string"),
        ("Kind regards, [Your Full Name]", "placeholder"),
        ("I am {{author}}.", "placeholder"),
        ("Lorem ipsum dolor sit amet.", "placeholder"),
        ("The cafÃ© is closed.", "mojibake"),
        ("Itâ€™s raining.", "mojibake"),
        ("The r\ufffdsum\ufffd.", "mojibake"),
        ("Zero\u200bwidth.", "odd-unicode"),
        ("A bell\x07 rings.", "odd-unicode"),
        ("Turned \u202eround.", "odd-unicode"),
        ("cafe\u0301 in two pieces.", "odd-unicode"),
        ("A private \ue123 sign.", "odd-unicode"),
    ],
)
def test_a_planted_row_is_found(output, kind):
    assert kind in kinds(output)


@pytest.mark.parametrize(
    "output",
    [
        "It rains.",
        "42",
        "the",
        "Use `<div>` and [links](a.html), not <b>.",
        "Sort with a[i] < a[j], then x = {y: 1}.",
        "Ein Café in Zürich, 20 °C, 中文, Ελλάδα.",
        "A family: 👩‍👩‍👧 and a flag 🇩🇪.",
        "A heading\n### Results\nand a list.",
        "```python\nprint(1)\n```",
        "The sorry state of the roads can be improved; the town cannot wait.",
    ],
)
def test_a_right_row_is_left_alone(output):
    assert kinds(output) == set()


def test_all_texts_of_a_conversation_are_read_and_the_place_is_named():
    turn = Turn(instruction="Hello {{user}}", output="")
    example = Example(instruction="Bye", output="Good bye.", system="You are <|system|>", turns=(turn,), index=7)
    found = {kind: (sighting.index, sighting.field) for kind, sighting in look_at(example).sightings}
    assert found == {
        "control-string": (7, "system"),
        "placeholder": (7, "turn 1 instruction"),
        "empty-output": (7, "turn 1 output"),
    }


def test_a_call_of_a_tool_is_no_answer():
    example = Example(instruction="Weather?", output='{"name": "weather",', is_call=True, index=0)
    assert look_at(example).sightings == ()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Regen fällt seit gestern Abend ohne Pause auf die Dächer der kleinen Stadt am Fluss.", "de"),
        ("La pluie tombe depuis hier soir sans arrêt sur les toits de la petite ville au bord du fleuve.", "fr"),
        ("The rain has been falling on the roofs of the small town by the river since yesterday evening.", "en"),
        ("Too short to tell.", ""),
        ("1 2 3 4 5 6 7 8 9 " * 10, ""),
    ],
)
def test_the_language_of_a_long_text_is_told(text, language):
    assert language_of(text) == language
