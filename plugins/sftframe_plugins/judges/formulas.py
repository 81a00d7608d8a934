"""Formulas: whether two of them have the same value, however they are written."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from fractions import Fraction

_LONGEST = 200
"""Characters of a formula that is looked at."""
_MOST_POWER = 8
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)
"""Values of the letters; formulas with more letters are not compared."""
_FORMULA = re.compile(r"[A-Za-z\d\s.+*/^()-]+")
_SPELLINGS = {"×": "*", "·": "*", "÷": "/", "−": "-", "²": "**2", "³": "**3", "^": "**", "`": "", "$": ""}


def has_same_value(question: str, reference: str, answer: str) -> bool:
    """Whether the answer is a formula with letters that has the reference's value; not if the question has it too.

    >>> has_same_value("Square x.", "x ** 2", "x * x"), has_same_value("Square x.", "x ** 2", "2 * x")
    (True, False)
    >>> has_same_value("Give the perimeter.", "P = 2 * (w + h)", "2w + 2h")
    True
    >>> has_same_value("Factor x^2 - 1.", "(x - 1)(x + 1)", "x^2 - 1")
    False
    """
    (left, wanted), (other, found) = _sides(reference), _sides(answer)
    if not wanted or not found or (left and other and left != other) or _bare(found) in _bare(_spelled(question)):
        return False
    one, two = _parsed(wanted), _parsed(found)
    if one is None or two is None or not any(isinstance(node, ast.BinOp) for node in (*ast.walk(one), *ast.walk(two))):
        return False
    letters = sorted({node.id for node in ast.walk(one) if isinstance(node, ast.Name)})
    values = dict(zip(letters, map(Fraction, _PRIMES), strict=False))
    shifted = {name: value + Fraction(1, 3) for name, value in values.items()}
    if not 0 < len(letters) <= len(_PRIMES):
        return False
    results = [(_value(one, at), _value(two, at)) for at in (values, shifted)]
    return all(here is not None and here == there for here, there in results)


def _bare(text: str) -> str:
    return "".join(text.split())


def _spelled(text: str) -> str:
    for mark, other in _SPELLINGS.items():
        text = text.replace(mark, other)
    return text


def _sides(text: str) -> tuple[str, str]:
    """What stands before and after a `=`; the second is empty if the text is no formula."""
    text = _spelled(text.strip().rstrip("."))
    left, _, right = text.rpartition("=")
    is_formula = len(text) <= _LONGEST and _FORMULA.fullmatch(right) is not None and "=" not in left
    return left.strip(), right.strip() if is_formula else ""


def _parsed(text: str) -> ast.expr | None:
    """With the multiplication signs that people leave out: `2x`, `3(x + 1)`."""
    text = re.sub(r"(?<=[\d)])\s*(?=[A-Za-z(])", "*", text)
    text = re.sub(r"(?<=\))\s*(?=\d)", "*", text)
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr, values: Mapping[str, Fraction]) -> Fraction | None:
    """None if the formula has more than sums, products and small powers of known letters."""
    if isinstance(node, ast.Name):
        return values.get(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value)) if abs(node.value) < 1e12 else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, values)
        return None if value is None else (-value if isinstance(node.op, ast.USub) else value)
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _value(node.left, values), _value(node.right, values)
    return None if left is None or right is None else _combined(node.op, left, right)


def _combined(sign: ast.operator, left: Fraction, right: Fraction) -> Fraction | None:
    if isinstance(sign, ast.Add):
        return left + right
    if isinstance(sign, ast.Sub):
        return left - right
    if isinstance(sign, ast.Mult):
        return left * right
    if isinstance(sign, ast.Div):
        return left / right if right else None
    is_power = isinstance(sign, ast.Pow) and right.denominator == 1 and abs(right) <= _MOST_POWER
    return left**right.numerator if is_power and (left or right > 0) and left.numerator.bit_length() < 1000 else None
