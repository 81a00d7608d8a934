import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sftframe_plugins.judges.parts import alternatives, is_code
from sftframe_plugins.judges.quantities import match_quantities
from sftframe_plugins.judges.wording import is_number, match_rounded, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The verb is 'shines'.", ["the", "verb", "is", "shines"]),
        ("They’re well-known, aren't they?", ["they're", "well", "known", "aren't", "they"]),
        ("1. Squirrel\n 2) Eagle\n- Tiger\n• Owl", ["squirrel", "eagle", "tiger", "owl"]),
        ("42.\nIt is 42.", ["42", "it", "is", "42"]),
        ("H₂CO₃ and H2CO3", ["h2co3", "and", "h2co3"]),
        ("x² is x^2", ["x2", "is", "x2"]),
        ("ＡＢＣ ﬁne ÉCOLE", ["abc", "fine", "école"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("日本語 です", ["日", "本", "語", "で", "す"]),
        ("The journey was _____.", ["the", "journey", "was"]),
        ("", []),
        (" \n\t?!…", []),
    ],
)
def test_words_are_found_whatever_their_form(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3,000 meters", ["3000", "meters"]),
        ("3’000 3'000 3_000 3\u00a0000 3\u202f000", ["3000"] * 5),
        ("1,234,567.50", ["1234567.5"]),
        ("10, 9, 7", ["10", "9", "7"]),
        ("10,9,7", ["10", "9", "7"]),
        ("100 200", ["100", "200"]),
        ("2.0 and 2. and 02", ["2", "and", "2", "and", "2"]),
        ("-183 degrees, −5, 5-7-5, f=-3", ["-183", "degrees", "-5", "5", "7", "5", "f", "=", "-3"]),
        ("-0.0", ["0"]),
        ("0.5 is .5", ["0.5", "is", "0.5"]),
        ("100°C, 10kg, 4x", ["100", "c", "10", "kg", "4", "x"]),
        ("٣٫ and ３", ["3", "and", "3"]),
        ("1.2.3", ["1.2", "3"]),
    ],
)
def test_numbers_have_one_form(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p + q = r", ["p", "+", "q", "=", "r"]),
        ("p - q, p-q, 8*9, 8 / 9, 8÷9", ["p", "-", "q", "p", "-", "q", "8", "*", "9", "8", "/", "9", "8", "/", "9"]),
        ("x ** 3 != 7 ≤ y", ["x", "**", "3", "!=", "7", "<=", "y"]),
        ("F# and C++ beat C; grade B+.", ["f#", "and", "c++", "beat", "c", "grade", "b+"]),
        ("**Rome** is *old* – or # new", ["rome", "is", "old", "or", "new"]),
        ("a state-of-the-art T-shirt", ["a", "state", "of", "the", "art", "t", "shirt"]),
        ("salt & pepper, 30 per cent", ["salt", "and", "pepper", "30", "%"]),
        ("$40 and 40 €", ["40", "dollar", "and", "40", "euro"]),
    ],
)
def test_signs_are_words_where_they_are_content(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("eleven", ["11"]),
        ("forty-two owls", ["42", "owls"]),
        ("three hundred and seven", ["307"]),
        ("two thousand nineteen", ["2019"]),
        ("1.5 million", ["1500000"]),
        ("six million two hundred thousand", ["6200000"]),
        ("two, three and four", ["2", "3", "and", "4"]),
        ("the one that millions love", ["the", "one", "that", "millions", "love"]),
    ],
)
def test_number_words_are_numbers(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("found", "expected", "is_same"),
    [
        ("12 inches", "30.48 cm", True),
        ("68 °F", "20 degrees Celsius", True),
        ("273.15 K", "0 C", True),
        ("62 mph", "100 km/h", True),
        ("36 km per hour", "10 m/s", True),
        ("2 days", "48 hours", True),
        ("3 kilograms", "3 kg", True),
        ("3 g", "3 kg", False),
        ("13 inches", "30.48 cm", False),
        ("30 F", "20 C", False),
        ("2 kg", "2 km", False),
    ],
)
def test_units_are_converted(found, expected, is_same):
    wanted = split_words(expected)
    assert (match_quantities(split_words(found), wanted, [])[0] == wanted) is is_same


def test_a_quantity_of_the_question_is_not_converted():
    asked, wanted = split_words("Convert 4 km to metres."), split_words("4000 metres")
    assert match_quantities(["4", "km"], wanted, asked) == (["4", "km"], False)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("Mark Twain/Samuel Clemens", ["Mark Twain", "Samuel Clemens"]),
        ("1997/1998", ["1997", "1998"]),
        ("O-/AB-", ["O-", "AB-"]),
        ("3/4", None),
        ("90 km/h", None),
        ("v = s/t", None),
        ("Speed is distance/time.", None),
        ("apples and/or pears", None),
        ("TCP/IP", None),
        ("https://example.com/page", None),
        ("a / b", None),
    ],
)
def test_accepted_answers_are_separated_by_a_slash(reference, parts):
    assert alternatives(reference) == (parts or [reference])


@pytest.mark.parametrize(
    ("text", "is_program"),
    [
        ("for i in range(3):\n    print(i)", True),
        ("int main() {\n  return 0;\n}", True),
        ("print(len(x))", True),
        ("The cat (a tom) sat; it purred.", False),
        ("Rome", False),
        ("", False),
    ],
)
def test_programs_are_known(text, is_program):
    assert is_code(text) is is_program


def test_strictly_case_and_marks_are_kept():
    assert split_words("Who?  I, the ‘fox’ _", strict=True) == ["Who", "?", "I", ",", "the", "'", "fox", "'", "_"]


def test_composed_and_decomposed_letters_are_the_same():
    text = "Éternité naïve Ångström"
    assert split_words(unicodedata.normalize("NFD", text)) == split_words(text)


@given(st.text())
@example("A+\x08A")
@example('A+"A')
def test_any_text_has_words_and_its_words_have_the_same_words(text):
    words = split_words(text)
    assert all(words)
    assert split_words(" ".join(words)) == words or any(map(is_number, words))


@pytest.mark.parametrize(
    ("found", "expected", "matched"),
    [
        ("50.3", "50.27", "50.27"),
        ("50", "50.27", "50.27"),
        ("50.27", "50.3", "50.3"),
        ("18", "17.64", "17.64"),
        ("0.13", "0.125", "0.125"),
        ("3", "3.14", "3"),
        ("50.24", "50.27", "50.24"),
        ("1970", "1969", "1970"),
        ("183", "-183", "183"),
        ("17", "17.64", "17"),
    ],
)
def test_a_number_is_matched_by_its_rounding_to_two_digits_or_more(found, expected, matched):
    assert match_rounded([found], [expected]) == [matched]


def test_an_exact_match_goes_before_a_rounding():
    assert match_rounded(["50"], ["50.27", "50"]) == ["50"]
