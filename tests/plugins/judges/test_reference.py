from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sftframe_plugins.judges.reference import Constants, ReferenceJudge, grade

from sftframe import JudgeItem
from sftframe.testing.judge import check_judge


def graded(answer, *, reference, instruction="Do it.", input=""):
    return grade(JudgeItem(index=0, instruction=instruction, input=input, reference=reference, answer=answer))


CAPITAL = {"instruction": "What is the capital of Turkey?", "reference": "The capital of Turkey is Ankara."}
OUNCES = {"instruction": "Convert 500 grams to ounces.", "reference": "500 grams is approximately 17.64 ounces."}
FUTURE = {
    "instruction": "Use the future tense.",
    "input": "She walks to school.",
    "reference": "She will walk to school.",
}
ACTIVE = {
    "instruction": "Use the active voice.",
    "input": "The song was composed by the artist.",
    "reference": "The artist composed the song.",
}
LABEL = {"instruction": "Is the review positive, negative or neutral?", "input": "I liked it.", "reference": "Positive"}


def test_the_judge_keeps_the_contract():
    check_judge(ReferenceJudge(), is_deterministic=True)


@given(st.text(), st.text(), st.text(min_size=1))
def test_the_reference_itself_scores_100(instruction, given_input, reference):
    score, reason = graded(reference, instruction=instruction, input=given_input, reference=reference)
    assert (score, reason) == (100.0, "exact")


@given(st.text(), st.text(), st.text(), st.text())
def test_any_score_lies_between_0_and_100_and_has_a_reason(instruction, given_input, reference, answer):
    score, reason = graded(answer, instruction=instruction, input=given_input, reference=reference)
    assert 0 <= score <= 100
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize("answer", ["", " \n", "...", "\u200b"])
def test_no_answer_scores_0(answer):
    assert graded(answer, **CAPITAL) == (0.0, "no answer")


@pytest.mark.parametrize(
    "answer",
    ["the capital of turkey is ankara", "  The capital of Turkey is ‘Ankara’!\n", "ＴＨＥ capital of Turkey is Ankara"],
)
def test_case_marks_and_forms_cost_nothing(answer):
    assert graded(answer, **CAPITAL) == (100.0, "exact but for case, punctuation or form")


@pytest.mark.parametrize("case", [CAPITAL, OUNCES, FUTURE, ACTIVE, LABEL], ids=lambda case: case["instruction"])
def test_repeating_the_question_scores_0(case):
    for echo in (case["instruction"], case.get("input", ""), case["instruction"] + "\n" + case.get("input", "")):
        assert graded(echo, **case)[0] == 0.0


def test_a_wrong_name_in_the_right_sentence_scores_0():
    score, reason = graded("The capital of Turkey is Istanbul.", **CAPITAL)
    assert (score, reason) == (0.0, "1 of 1 key words missing: ankara")


def test_words_that_are_missing_more_than_once_are_listed_as_they_are_counted():
    _, reason = graded("Cold!", instruction="Describe winter.", reference="snow on snow on ice")
    assert reason == "5 of 5 key words missing: snow (2 times), on (2 times), ice"


def test_the_right_name_alone_or_in_other_words_is_nearly_as_good_as_the_sentence():
    assert graded("Ankara", **CAPITAL)[0] > 80
    assert graded("It is Ankara.", **CAPITAL)[0] > 80


def test_a_wrong_number_in_the_right_sentence_scores_0():
    score, reason = graded("500 grams is approximately 99.21 ounces.", **OUNCES)
    assert (score, reason) == (0.0, "number 17.64 expected, 99.21 found")
    assert graded("I do not know.", **OUNCES) == (0.0, "number 17.64 missing")


@pytest.mark.parametrize("answer", ["500 g is about 17.64 oz", "17.6 ounces", "500 grams is 17.64 ounces, roughly"])
def test_the_right_number_is_worth_at_least_half(answer):
    assert graded(answer, **OUNCES)[0] >= 50


def test_a_thousand_is_a_thousand_with_and_without_a_comma():
    score, _ = graded("That is 3,000 meters.", instruction="How far?", reference="That is 3000 meters.")
    assert score == 100.0


def test_a_year_that_is_one_off_is_wrong():
    score, _ = graded("In 1970.", instruction="When?", reference="In 1969.")
    assert score == 0.0


def test_the_number_that_the_question_offers_beside_the_right_one_scores_0():
    case = {"instruction": "Which is smaller, 45 or 86?", "reference": "The smaller number is 45."}
    assert graded("The smaller number is 86.", **case) == (0.0, "number 45 expected, 86 found")
    assert graded("45", **case)[0] >= 50


def test_the_label_that_the_question_offers_beside_the_right_one_scores_0():
    case = {"instruction": "Is the feeling positive or negative?", "reference": "The feeling is negative."}
    assert graded("The feeling is positive.", **case) == (
        0.0,
        "of the question's words negative expected, positive found",
    )
    assert graded("Negative", **case)[0] >= 50


def test_a_number_that_only_repeats_the_question_need_not_be_repeated():
    case = {"instruction": "Who wrote 1984?", "reference": "George Orwell wrote 1984."}
    assert graded("George Orwell.", **case)[0] > 80


def test_a_label_in_a_sentence_counts_and_another_label_does_not():
    assert graded("It is positive.", **LABEL)[0] > 80
    assert graded("Negative", **LABEL)[0] == 0.0
    assert graded("It is neutral.", **LABEL)[0] == 0.0


def test_naming_all_labels_is_worse_than_naming_the_right_one():
    assert graded("positive, negative or neutral", **LABEL)[0] < 75


def test_a_half_done_transformation_scores_low():
    assert graded("She will walks to school.", **FUTURE)[0] < 60
    assert graded("She walked to school.", **FUTURE)[0] == 0.0


def test_where_only_the_order_is_new_the_order_counts():
    assert graded("The artist composed the song", **ACTIVE)[0] == 100.0
    assert graded("The song composed the artist.", **ACTIVE)[0] < 60


def test_what_is_picked_from_the_input_counts():
    case = {"instruction": "Find the verb.", "input": "The sun shines brightly.", "reference": "The verb is 'shines'."}
    assert graded('The verb is "shines".', **case)[0] == 100.0
    assert graded("The verb is 'sun'.", **case)[0] == 0.0


def test_where_only_the_form_is_new_the_form_counts():
    case = {"instruction": "Capitalize each word.", "input": "i love it", "reference": "I Love It"}
    assert graded("I Love It", **case)[0] == 100.0
    assert graded("I love it.", **case)[0] < 20
    question = {"instruction": "Make it a question.", "input": "You are coming.", "reference": "You are coming?"}
    assert graded("You are coming.", **question)[0] == 0.0


def test_a_reference_of_marks_alone_is_compared_by_its_marks():
    assert graded("?", instruction="Which mark ends a question?", reference="?")[0] == 100.0
    assert graded("!", instruction="Which mark ends a question?", reference="?")[0] == 0.0


def test_a_polite_frame_around_the_reference_costs_its_share_at_most():
    case = {"instruction": "Give the chemical symbol for oxygen.", "reference": "The chemical symbol for oxygen is O."}
    score, reason = graded("The chemical symbol for oxygen is O. I hope this helps you.", **case)
    assert score == pytest.approx(100 * 401 * 7 / (400 * 7 + 12))  # the F-measure with beta 20: all 7, 5 more
    assert reason == "the reference word for word, in 12 words instead of 7"


def test_wrong_things_after_the_right_ones_cost_a_good_part():
    case = {"instruction": "Name three clouds.", "reference": "Cumulus, stratus, cirrus."}
    assert graded("Cumulus, stratus, cirrus, tiger, squirrel, cobra, eagle", **case)[0] < 85


def test_rambling_that_has_nothing_of_the_reference_scores_next_to_0():
    ramble = "The word and the word is the word of the cat, and the cat is in the house, and then it was the dog. " * 5
    for case in (CAPITAL, OUNCES, FUTURE, ACTIVE, LABEL):
        assert graded(ramble, **case)[0] < 5


def test_the_words_of_the_reference_in_a_heap_are_not_the_reference():
    case = {"instruction": "Define hyperbole.", "reference": "A figure of speech that exaggerates for emphasis."}
    assert graded("emphasis for exaggerates that speech of figure a", **case)[0] <= 55


def test_more_of_the_reference_scores_more():
    case = {"instruction": "Name the primary colours.", "reference": "Red, yellow and blue."}
    scores = [graded(answer, **case)[0] for answer in ("green", "red", "red and yellow", "red, yellow and blue")]
    assert scores == sorted(scores)
    assert len(set(scores)) == 4


def test_an_answer_to_an_empty_reference_scores_0():
    assert graded("Something", reference="") == (0.0, "the reference is empty")


def test_one_of_two_words_by_hand():
    # new words, by their letters: red (3), blue (4); found red and lime (4): the F-measure with beta 20 is
    # 401 * 3 / (400 * 7 + 7); of the whole reference 3 of 7 letters are there, which takes a fifth of the lack; and
    # lime stands in the place of one of two key words, which costs the root of a half
    score, _ = graded("red lime", instruction="Colours?", reference="red blue")
    assert score == pytest.approx(100 * 401 * 3 / 2807 * (1 - 0.2 * 4 / 7) * 0.5**0.5)


def test_constants_can_be_others():
    item = JudgeItem(index=0, instruction="Colours?", input="", reference="red blue", answer="red lime")
    # beta 1: 2 * 3 / (7 + 7); without any say of the rest, and of replaced words
    assert grade(item, Constants(beta=1, detail=0, replaced=1))[0] == pytest.approx(100 * 3 / 7)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("m * n", "m / n"),
        ("y >= 4", "y <= 4"),
        ("Programmers wrote it in C++.", "Programmers wrote it in C."),
        ("def half(n):\n    return n / 2", "def half(n):\n    return n * 2"),
        ("if k == 3:\n    stop()", "if k != 3:\n    stop()"),
        ("The bag weighs 5 kg.", "The bag weighs 5 g."),
        ("Children should not swim alone.", "Children should swim alone."),
        ("Spain beat Portugal.", "Portugal beat Spain."),
    ],
)
def test_another_sign_unit_or_meaning_costs_nearly_all(reference, answer):
    assert graded(answer, instruction="Say it.", reference=reference)[0] <= 20
    assert graded(f"{reference} \n", instruction="Say it.", reference=reference)[0] == 100


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("A week has seven days.", "A week has 7 days"),
        ("12", "twelve"),
        ("The rope is 2 metres long.", "The rope is 200 cm long."),
        ("It boils at 100 °C.", "It boils at 212 degrees Fahrenheit."),
        ("Leo Tolstoy/Lev Nikolayevich Tolstoy", "Leo Tolstoy"),
        ("Leo Tolstoy/Lev Nikolayevich Tolstoy", "It was Lev Nikolayevich Tolstoy."),
        ("déjà vu", "deja vu"),
        ("Neighbours", "neighbors"),
        ("def f(x):\n    return x + 1", "```python\ndef f(x):\n    return x + 1\n```"),
    ],
)
def test_what_is_equal_costs_little(reference, answer):
    assert graded(answer, instruction="Tell me.", reference=reference)[0] > 75


@pytest.mark.parametrize(
    ("instruction", "reference", "answer"),
    [
        ("When was it?", "3 June 1987", "June 3rd, 1987"),
        ("When was it?", "On 3 June 1987.", "1987-06-03"),
        ("When does it begin?", "At 8 pm.", "20:00"),
        ("Which floor?", "On the 14th floor.", "on the fourteenth floor"),
        ("How many?", "24 cups", "two dozen cups"),
        ("How much is left?", "1/4", "25%"),
        ("How much is left?", "50%", "half of it"),
        ("How far is it?", "About 150,000,000 km", "149,597,870 km"),
        ("Which body is it?", "The World Health Organization", "The WHO"),
        ("Which body is it?", "WHO", "the World Health Organization"),
        ("Who wrote it?", "Virginia Woolf", "Woolf"),
        ("Who wrote it?", "Herbert George Wells", "H. G. Wells"),
        ("Do whales lay eggs?", "No", "Whales do not lay eggs."),
        ("Do whales lay eggs?", "No, whales do not lay eggs.", "No."),
        ("What does the wind do?", "It accelerates the erosion of rocks.", "it acelerates erosion of the rocks"),
        ("Who eats whom?", "The heron eats the frog.", "The frog is eaten by the heron."),
        ("How large is the file?", "4 MB", "4096 kilobytes"),
        ("How much is it?", "It is $7.50.", "7.50 dollars"),
        ("Which part draws the picture?", "The graphics processing unit (GPU)", "GPU"),
        ("Which part draws the picture?", "The graphics processing unit (GPU)", "the graphics processing unit"),
        ("Who wrote it?", "Honoré de Balzac", "balzac"),
        ("Compare them.", "The lynx is larger than the fox.", "The fox is smaller than the lynx."),
    ],
)
def test_what_is_said_in_another_form_costs_little(instruction, reference, answer):
    assert graded(answer, instruction=instruction, reference=reference)[0] >= 75


@pytest.mark.parametrize(
    ("instruction", "reference", "answer"),
    [
        ("When was it?", "3 June 1987", "30 June 1987"),
        ("When was it?", "In June 1987.", "In July 1987."),
        ("When does it begin?", "At 8 pm.", "At 8 am."),
        ("How did the level change?", "The level rose by 2 m.", "The level fell by 2 m."),
        ("Who wrote it?", "Virginia Woolf", "Leonard Woolf"),
        ("Do whales lay eggs?", "No", "Whales lay eggs."),
        ("How many?", "17", "16, 17, 18 or 19"),
        ("Give the area of a circle.", "A = pi r^2", "A = pi r^3"),
        ("Which gas is it?", "CO2", "CO"),
        (
            "Which is longer, the Loire or the Seine?",
            "The Loire is longer than the Seine.",
            "The Seine is longer than the Loire.",
        ),
        ("Which city is it?", "Bern", "The city is Bern. No, the city is Basel."),
        ("Is it a noun, a verb or an adverb?", "An adverb", "noun, verb, adverb"),
        ("Who was it?", "Marie Curie", "Lise Meitner, Marie Curie, Emmy Noether"),
        (
            "Compare a stream and a lake.",
            "A stream carries moving water, a lake holds still water.",
            "A lake carries moving water, a stream holds still water.",
        ),
        ("Does it float?", "Yes, it floats.", "Yes, it floats. No, it does not float."),
        ("Name the phases in order.", "Egg, larva, pupa, adult", "Adult, pupa, larva, egg"),
    ],
)
def test_what_only_looks_alike_costs_much(instruction, reference, answer):
    assert graded(answer, instruction=instruction, reference=reference)[0] <= 50


def test_two_guesses_are_half_right_and_named():
    case = {"instruction": "Which metal is it?", "reference": "Zinc"}
    score, reason = graded("It is either tin or zinc.", **case)
    assert score == pytest.approx(50, abs=1)
    assert reason == "leaves open whether it is tin"
    assert graded("Zinc, which is used in or on batteries.", **case)[0] > 90


def test_half_of_what_an_open_question_misses_is_given_back():
    case = {"instruction": "Name a prime colour.", "reference": "Red"}
    assert graded("Blue", **case) == (50.0, "an open question: half of what is missing may be right in other words")
    for no_answer in ("", "It is not known.", "blue blue blue", "Name a prime colour.", "A prime colour."):
        assert graded(no_answer, **case)[0] == 0
    assert graded("Blue", instruction="Name the colour of blood.", reference="Red")[0] == 0
    assert graded("15", instruction="Name a multiple of 7 under 10.", reference="7")[0] == 0


def test_half_of_an_explanations_score_is_the_share_of_its_words_by_hand():
    # 4 key words of 5 letters each, 2 found: the F-measure with beta 20 is 401 * 10 / (400 * 20 + 10); half of the
    # reference is there, which takes a fifth of the lack; the mean of that and of 10 of 20 letters
    score, _ = graded("alpha gamma", instruction="?", reference="alpha hotel gamma tango")
    assert score == pytest.approx(100 * (401 * 10 / 8010 * (1 - 0.2 * 0.5) + 0.5) / 2)


def test_a_symbol_in_another_case_costs_half_and_is_named():
    case = {"instruction": "Which symbol has iron?", "reference": "The symbol is Fe."}
    assert graded("The symbol is FE.", **case) == (50.0, "FE instead of Fe")


def test_many_added_words_cost_little_and_a_missing_one_much():
    case = {"instruction": "Which agreement was it?", "reference": "Geneva Protocol"}
    wordy = (
        "The agreement was the Geneva Protocol, which many states signed in the years after the war, later extended, "
        "and finally replaced by a convention that also forbids to make and to store such weapons."
    )
    assert graded(wordy, **case)[0] > 85
    assert graded("Protocol", **case)[0] < 60


def test_the_right_thing_and_then_another_one_in_its_place_is_half_right():
    case = {"instruction": "Name the river through Vienna.", "reference": "The river is the Danube."}
    score, reason = graded("The river is the Danube. The river is the Rhine.", **case)
    assert score <= 50
    assert "rhine" in reason


def test_the_identity_has_the_number_of_the_rules():
    assert ReferenceJudge().identity == "reference@3"
    verdict = next(ReferenceJudge().score([JudgeItem(index=0, instruction="", input="", reference="a", answer="b")]))
    assert verdict.judge == "reference@3"


def sides(*answers):
    return [
        JudgeItem(index=i, instruction="?", input="", reference="Yes.", answer=one) for i, one in enumerate(answers)
    ]


def test_a_difference_in_length_is_a_reason_for_caution():
    caution = ReferenceJudge().caution(sides("Yes.", "No it is"), sides("Yes, it is indeed so", "No, that is not so."))
    assert "not to be trusted" in caution
    assert "2.0 and 5.0 words on average (2.5 times as many), and it grades longer answers too low" in caution


def test_a_difference_in_form_is_a_reason_for_caution():
    caution = ReferenceJudge().caution(sides("red or blue", "one two"), sides("- red\n- blue", "# one two"))
    assert "0% and 100% of their answers are lists" in caution


def test_equal_lengths_and_no_answers_are_none():
    assert ReferenceJudge().caution(sides("one two", "three"), sides("four five", "six")) == ""
    assert ReferenceJudge().caution([], []) == ""


def test_another_word_in_the_same_sentence_costs_half_and_is_named():
    case = {"instruction": "Make a statement: Did the sheep drop the box?", "reference": "The sheep dropped the box."}
    score, reason = graded("The sheep dropped the chair.", **case)
    assert reason == "chair instead of box"
    assert score < 50
    assert graded("A sheep dropped the box.", **case)[0] > 75


def test_numbers_of_its_own_instead_of_the_questions_cost_nearly_all():
    sort = {"instruction": "Sort 83, 56, 23.", "reference": "Sorted, they are 23, 56, 83."}
    assert graded("Sorted, they are 32, 48, 56.", **sort)[0] < 40
    even = {"instruction": "Is 24 odd or even?", "reference": "The number 24 is even."}
    assert graded("The number 10 is even.", **even) == (0.0, "number 24 expected, 10 found")


def test_a_megabyte_takes_no_time():
    score, reason = graded("word " * 200_000 + "1" * 1_000_000, reference="x" * 1_000_000 + " 1.5")
    assert score == 0.0
    assert len(reason) < 300


@pytest.mark.parametrize(
    "text", ["a(", "** a **b", "```x\n", "a/", "1 km ", "a, b or ", "not ", "<>", "first a, then b. ", "1/2 "]
)
def test_a_page_of_one_thing_takes_no_time(text):
    page = text * 20_000
    assert 0 <= graded(f"b {page}", instruction=page, reference=page)[0] <= 100


def test_the_best_of_several_accepted_references_counts():
    item = JudgeItem(
        index=0,
        instruction="Who?",
        input="",
        reference="Mark Twain",
        answer="Samuel Clemens",
        references=("S. Clemens",),
    )
    assert grade(item)[0] < 100
    assert grade(replace(item, references=("S. Clemens", "Samuel Clemens "))) == (100.0, "exact")
    assert grade(replace(item, answer="It was Samuel Clemens.", references=("a", "Samuel Clemens")))[0] > 75
