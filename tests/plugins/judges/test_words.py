import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sftframe_plugins.judges.reference import is_number, match_rounded, split_words


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
        ("-183 degrees, −5, 5-7-5, f=-3", ["-183", "degrees", "-5", "5", "7", "5", "f", "-3"]),
        ("-0.0", ["0"]),
        ("0.5 is .5", ["0.5", "is", "0.5"]),
        ("100°C, 10kg, 4x", ["100", "c", "10", "kg", "4", "x"]),
        ("٣٫ and ３", ["3", "and", "3"]),
        ("1.2.3", ["1.2", "3"]),
    ],
)
def test_numbers_have_one_form(text, words):
    assert split_words(text) == words


def test_strictly_case_and_marks_are_kept():
    assert split_words("Who?  I, the ‘fox’ _", strict=True) == ["Who", "?", "I", ",", "the", "'", "fox", "'", "_"]


def test_composed_and_decomposed_letters_are_the_same():
    text = "Éternité naïve Ångström"
    assert split_words(unicodedata.normalize("NFD", text)) == split_words(text)


@given(st.text())
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
