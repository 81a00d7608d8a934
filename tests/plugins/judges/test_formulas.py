import pytest
from sftframe_plugins.judges.formulas import has_same_value


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("a + b", "b + a"),
        ("4y", "4 * y"),
        ("A = l * w", "w * l"),
        ("(p + q)^2", "p^2 + 2*p*q + q^2"),
        ("n² + n", "`n * (n + 1)`"),
        ("v = s / t", "s/t."),
        ("0.5 * b * h", "b * h / 2"),
    ],
)
def test_formulas_with_one_value_are_the_same(reference, answer):
    assert has_same_value("Give a formula.", reference, answer)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("a + b", "a - b"),
        ("a / b", "b / a"),
        ("x ** 2", "2 * x"),
        ("v = s / t", "w = s / t"),
        ("12", "3 * 4"),
        ("Rome", "rome"),
        ("a + b", "a plus b"),
        ("a + b", "__import__(a)"),
        ("x ** 2", "x ** 999999999"),
        ("x ** 2", "x ** 8 ** 8 ** 8 ** 8"),
        ("a + b", "(" * 150),
        ("x / y", "x / (y - y)"),
        ("1e999 * x", "x"),
    ],
)
def test_other_formulas_and_other_texts_are_not(reference, answer):
    assert not has_same_value("Give a formula.", reference, answer)


def test_the_formula_of_the_question_is_no_answer():
    assert not has_same_value("Expand k(k + 2).", "k^2 + 2k", "k(k + 2)")
    assert has_same_value("Expand k(k + 2).", "k^2 + 2k", "2k + k^2")
