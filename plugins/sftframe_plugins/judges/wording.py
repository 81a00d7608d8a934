"""From a text to its words: numbers, number words, signs and units in one form, so that equal things look equal."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:[,'’_\u00a0\u2009\u202f]\d{3})+(?!\d)")
"""A number with separators between thousands; a plain space does not count: it also separates the members of a list."""

_LIST_MARKER = re.compile(r"^[ \t]*(?:\d+[.)]|[-*•])[ \t]+(?=\S)", re.MULTILINE)

_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
"""Chinese and Japanese characters: their words have no spaces between them."""

_NUMBER = r"(?:(?<![\w.,)])-)?(?:\d+(?:\.\d+)?|(?<!\w)\.\d+)"
_WORD = r"[^\W\d_](?:[^\W_]|'(?=[^\W_]))*(?:\+\+|\#(?!\w)|(?<=\b[^\W\d_])\+(?!\W*\w))?"
"""A letter, then letters and digits. `C++` and `C#` are words of their own, and `A+` at the end of a text."""

_SIGN = (
    r"\*\*|==|!=|<=|>=|=>|->|&&|\|\||[+=<>%&±]"  # `**` before `*`
    r"|(?:(?<=[\w)\]])(?:\*|/)(?=[\w(]))|(?:(?<=[\w)\]] )(?:\*|/|-)(?= [\w(]))"  # others are Markdown or dashes
    r"|(?<=\b[^\W\d_])-(?=[^\W\d_]\b|\d)"
)
"""Signs of sums, comparisons and programs."""

_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|{_WORD}|{_SIGN}")
_STRICT_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|{_WORD}|{_SIGN}|[^\w\s]|_")

_EMPHASIS = re.compile(r"(?<![\w*])\*\*(?=\S)([^*\n]{1,200})(?<=\S)\*\*(?![\w*])")
"""`**bold**` of Markdown; `x ** 2` is none."""

_MAX_ROUNDED = 40
"""In characters; nobody rounds a longer number."""

_MARKS = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "−": "-", "^": "", "×": "*", "÷": "/", "≤": "<=", "≥": ">=", "≠": "!="}
)
"""`^` is removed, so that `x^2` becomes the same as `x²` after folding: `x2`."""

_CURRENCY = re.compile(r"[$€£¥](?=\s?\d)|(?<=\d)\s?[$€£¥]")
_CURRENCIES = {"$": " dollar ", "€": " euro ", "£": " pound ", "¥": " yen "}

SIGNS = frozenset(["**", "==", "!=", "<=", ">=", "=>", "->", "&&", "||", "+", "=", "<", ">", "-", "*", "/", "±"])
"""Those that stand between two sides."""

_SPELLED = {"&": "and", "percent": "%"}
"""What is one thing in two spellings."""


def split_words(text: str, *, strict: bool = False) -> list[str]:
    """The words and signs of a text in order, numbers in one canonical form.

    Args:
        strict: keep case, number words, and punctuation marks as separate words.

    >>> split_words("1. The sun’s mass: ２,000.50 (kg)")
    ['the', "sun's", 'mass', '2000.5', 'kg']
    >>> split_words("C++ has a - b, and twenty-one is 21 percent.")
    ['c++', 'has', 'a', '-', 'b', 'and', '21', 'is', '21', '%']
    >>> split_words("Is it -3°C?", strict=True)
    ['Is', 'it', '-3', '°', 'C', '?']
    """
    return list(_split(text, strict))


@functools.lru_cache(maxsize=256)
def _split(text: str, strict: bool) -> tuple[str, ...]:
    """Kept for a while, because one text is looked at from several sides."""
    text = _GROUPED.sub(lambda match: re.sub(r"\D", "", match[0]), text)
    text = unicodedata.normalize("NFKC", text).translate(_MARKS)
    if not strict:
        text = unicodedata.normalize("NFKC", text.casefold()).replace("per cent", "percent")
        text = _EMPHASIS.sub(r"\1", _CURRENCY.sub(lambda match: _CURRENCIES[match[0].strip()], text))
    text = _UNSPACED.sub(r" \1 ", _LIST_MARKER.sub("", text))
    tokens = (_STRICT_TOKEN if strict else _TOKEN).finditer(text)
    words = [_canonical(match[0]) if match["number"] else match[0] for match in tokens]
    return tuple(words if strict else _digits(_SPELLED.get(word, word) for word in words))


def is_number(word: str) -> bool:
    """Whether a word is a number in canonical form.

    >>> is_number("-183.5"), is_number("h2o"), is_number("-")
    (True, False, False)
    """
    return word.removeprefix("-")[:1].isdecimal()


_ONES = dict(zip(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], range(1, 10), strict=True))
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = dict(
    zip(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], range(20, 100, 10), strict=True)
)
_SMALL = {"zero": 0, **_ONES, **dict(zip(_TEENS, range(10, 20), strict=True)), **_TENS}
_LARGE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def _digits(words: Iterable[str]) -> Iterator[str]:
    """The words with numbers in digits. A single `one` stays, since it is more often a pronoun."""
    rest = list(words)
    place = 0
    while place < len(rest):
        value, end = _spelled_number(rest, place)
        if value is None or rest[place:end] == ["one"]:
            yield rest[place]
            place += 1
        else:
            yield value
            place = end


def _spelled_number(words: Sequence[str], start: int) -> tuple[str | None, int]:
    """The number that begins at a word and its end: `three hundred and five`, `2.5 million`; None if there is none."""
    from decimal import Decimal

    first = words[start]
    follows = words[start + 1] if start + 1 < len(words) else ""
    if first not in _SMALL and not (is_number(first) and follows in _LARGE and len(first) <= _MAX_ROUNDED):
        return None, start
    total, part, place = Decimal(0), Decimal(_SMALL.get(first, first)), start + 1
    while place < len(words):
        word = words[place]
        if word in _LARGE:
            if word == "hundred":
                part *= 100
            else:
                total, part = total + part * _LARGE[word], Decimal(0)
        elif word in _ONES and part % 100 in _TENS.values():
            part += _ONES[word]
        elif words[place - 1] in _LARGE and word in _SMALL:
            part += _SMALL[word]
        elif not (
            word == "and" and words[place - 1] in _LARGE and place + 1 < len(words) and words[place + 1] in _SMALL
        ):
            break
        else:
            part += _SMALL[words[place + 1]]
            place += 1
        place += 1
    return _canonical(f"{total + part:f}"), place


def match_rounded(words: Sequence[str], expected: Sequence[str]) -> list[str]:
    """The words, with each number replaced by the expected one that it differs from by rounding only.

    A rounded number keeps at least two digits: 18 and 17.6 stand for 17.64, but 3 does not stand for 3.14.

    >>> match_rounded(["about", "50.3", "m"], ["50.27", "m"])
    ['about', '50.27', 'm']
    """
    known = {number: number for number in expected if is_number(number)}
    rounded = {short: number for number in known for short in _roundings(number)}
    meant = {**rounded, **known}
    return [_expected_number(word, meant, known) if is_number(word) else word for word in words]


def _expected_number(number: str, meant: dict[str, str], known: dict[str, str]) -> str:
    if number in meant:
        return meant[number]
    return next((short for short in _roundings(number) if short in known), number)


def _canonical(number: str) -> str:
    """A number without extra zeros, in ASCII digits: `007.50` is `7.5`, and `-0` is `0`."""
    sign = "-" if number.startswith("-") else ""
    whole, _, fraction = number.removeprefix("-").partition(".")
    whole, fraction = (_ascii_digits(part) for part in (whole, fraction))
    short = (whole.lstrip("0") or "0") + ("." + fraction.rstrip("0")).rstrip(".")
    return short if short == "0" else sign + short


def _ascii_digits(digits: str) -> str:
    return "".join(str(unicodedata.decimal(digit)) for digit in digits)


def _roundings(number: str) -> Iterator[str]:
    """Shorter ways to write a decimal fraction, the longest first; half rounds up, as people do."""
    from decimal import ROUND_HALF_UP, Context, Decimal

    places = len(number.partition(".")[2]) if len(number) <= _MAX_ROUNDED else 0
    context = Context(prec=len(number) + 1, rounding=ROUND_HALF_UP)
    for kept in range(places - 1, -1, -1):
        short = str(Decimal(number).quantize(Decimal(1).scaleb(-kept), context=context))
        if len(short.lstrip("-0.").replace(".", "")) >= 2:
            yield _canonical(short)


_ENDINGS = (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("s", ""))


@functools.lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """The word without its ending and its accents: forms of one word, and British and American spellings, are equal.

    >>> [stem(word) for word in ("expands", "expanded", "expand", "días", "colours", "running", "string")]
    ['expand', 'expand', 'expand', 'dia', 'color', 'run', 'string']
    """
    if not word.isascii():
        word = "".join(mark for mark in unicodedata.normalize("NFD", word) if not unicodedata.combining(mark))
    word = word.removesuffix("'s")
    if len(word) >= 4 and not word.endswith(("ss", "us", "is")):
        end, other = next((pair for pair in _ENDINGS if word.endswith(pair[0])), ("", ""))
        word = word.removesuffix(end) + other
    for end in ("ing", "ed"):
        root = word.removesuffix(end)
        if root != word and len(root) >= 3 and any(vowel in root for vowel in "aeiouy"):
            is_doubled = root[-1] == root[-2] and root[-1] not in "lsz"
            word = root[:-1] if is_doubled else root
            break
    if len(word) < 5:
        return word
    for end, other in (("our", "or"), ("tre", "ter"), ("ise", "iz"), ("yse", "yz"), ("e", "")):
        if word.endswith(end):
            return word.removesuffix(end) + other
    return word


def match_forms(words: Sequence[str], expected: Sequence[str], question: Iterable[str]) -> list[str]:
    """The words, with each form of an expected word replaced by it; `one` and `1` are forms of each other.

    If the question has a form of the word, then the form is what it asks for, and counts.

    >>> match_forms(["it", "expanded"], ["expands"], ["why"]), match_forms(["walked"], ["walk"], ["she", "walks"])
    (['it', 'expands'], ['walked'])
    """
    asked, known = {stem(word) for word in question}, set(expected)
    forms = {stem(word): word for word in reversed(expected) if not is_number(word)}
    forms = {form: word for form, word in forms.items() if form not in asked}
    if ("1" in known) != ("one" in known):
        forms |= {"one": "1"} if "1" in known else {"1": "one"}
    return [word if word in known else forms.get(stem(word), word) for word in words]


_UNITS_BY_KIND = {
    "length": "1000 km kilometer kilometre; 1 m meter metre; .01 cm centimeter centimetre;"
    ".001 mm millimeter millimetre; 1609.344 mi mile; .9144 yd yard; .3048 ft foot feet; .0254 inch inche",
    "mass": "1000 t tonne; 1 kg kilogram kilo; .001 g gram gramme; .000001 mg milligram; .45359237 lb pound;"
    ".028349523 oz ounce",
    "volume": "1 l liter litre; .01 cl centiliter centilitre; .001 ml milliliter millilitre; 3.785411784 gal gallon;"
    ".473176473 pint; .24 cup",
    "time": ".001 ms millisecond; 1 s sec second; 60 min minute; 3600 h hr hour; 86400 day; 604800 week",
    "months": "1 month; 12 year",
    "temperature": "1 c celsius; 0.5555555555555556 f fahrenheit; 1 k kelvin",
    "energy": "1 j joule; 1000 kj kilojoule; 4184 kcal kilocalorie",
    "area": "10000 ha hectare; 4046.8564224 acre",
}
"""Factors by unit. A library such as pint knows hundreds, but takes `in`, `as` and `at` for units too (inch,
attosecond, technical atmosphere), so a list of those that people write in answers is needed anyway, and is enough.
"""


@dataclass(frozen=True, slots=True)
class _Unit:
    kind: str
    factor: float
    zero: float = 0.0
    """Where the scale begins, in the kind's first unit."""


_ZEROS = {"f": -32 / 1.8, "fahrenheit": -32 / 1.8, "k": -273.15, "kelvin": -273.15}


def _units() -> dict[str, _Unit]:
    found = {"mph": _Unit("length/time", 0.44704), "kph": _Unit("length/time", 1 / 3.6)}
    for kind, lines in _UNITS_BY_KIND.items():
        for factor, *names in (line.split() for line in lines.split(";")):
            for name in names:
                found[name] = found[name + "s"] = _Unit(kind, float(factor), _ZEROS.get(name, 0.0))
    return found


_UNITS: Mapping[str, _Unit] = _units()

_MOST_PARTS = 100
"""Quantities or accepted answers that are looked at, so that a page of them takes no time."""

_ROUNDED_SHARE = 0.01
"""A converted quantity is rounded: 26 miles for a marathon are right, 25 and 27 are not."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit in a list of words."""

    start: int
    end: int
    number: str
    unit: _Unit

    @property
    def value(self) -> float:
        """In the kind's first unit."""
        return float(self.number) * self.unit.factor + self.unit.zero

    def is_same(self, other: Quantity) -> bool:
        """Whether the other quantity, converted to this one's unit, is this one."""
        if self.unit.kind != other.unit.kind:
            return False
        if self.unit == other.unit:
            return self.number == other.number
        converted = (other.value - self.unit.zero) / self.unit.factor
        return abs(converted - float(self.number)) <= max(_ROUNDED_SHARE * abs(float(self.number)), 1e-6)


def quantities(words: Sequence[str]) -> list[Quantity]:
    """The quantities of a text.

    >>> [(one.number, one.unit.kind) for one in quantities(split_words("At 60 km/h it took two hours at 5 °C."))]
    [('60', 'length/time'), ('2', 'time'), ('5', 'temperature')]
    """
    found = []
    for place, word in enumerate(words):
        if not is_number(word) or len(word) > _MAX_ROUNDED:
            continue
        at = place + 1
        if at < len(words) and words[at] in ("degree", "degrees", "deg"):
            at += 1
        unit = _UNITS.get(words[at]) if at < len(words) else None
        if unit is None:
            continue
        below = _UNITS.get(words[at + 2]) if at + 2 < len(words) and words[at + 1] in ("/", "per") else None
        if below is not None:
            unit, at = _Unit(f"{unit.kind}/{below.kind}", unit.factor / below.factor), at + 2
        found.append(Quantity(place, at + 1, word, unit))
    return found


def match_quantities(words: Sequence[str], expected: Sequence[str], question: Sequence[str]) -> tuple[list[str], bool]:
    """The words, with each quantity replaced by the expected one that is the same in another unit.

    A quantity of the question is not converted: it may be what has to be converted.

    Returns:
        The words, and whether an expected number is there with another unit instead.

    >>> match_quantities(["26.2", "miles"], ["42.195", "km"], [])
    (['42.195', 'km'], False)
    >>> match_quantities(["5", "g"], ["5", "kg"], [])
    (['5', 'g'], True)
    """
    wanted = quantities(expected)[:_MOST_PARTS]
    if not wanted:
        return list(words), False
    asked = quantities(question)[:_MOST_PARTS]
    found, copied, met, others = [], 0, set(), set()
    for one in quantities(words):
        is_asked = any(one.unit == other.unit and one.number == other.number for other in asked)
        alike = [other for other in wanted if other.is_same(one) and (other.unit == one.unit or not is_asked)]
        same = next((other for other in alike if other.unit == one.unit), alike[0] if alike else None)
        if same is None:
            others.add(one.number)
            continue
        met.add(same.number)
        found += [*words[copied : one.start], *expected[same.start : same.end]]
        copied = one.end
    is_other = any(one.number in others and one.number not in met for one in wanted)
    return [*found, *words[copied:]], is_other


def signs(words: Sequence[str]) -> dict[tuple[str, str], set[str]]:
    """The signs of a text by what stands left and right of them."""
    found: dict[tuple[str, str], set[str]] = {}
    for left, sign, right in zip(["", *words], words, [*words[1:], ""], strict=False):
        if sign in SIGNS:
            found.setdefault((left, right), set()).add(sign)
            if sign in _COMPARING:
                found.setdefault(("", right), set()).add(sign)
    return found


_COMPARING = {"<", ">", "<=", ">="}
_ONE_WAY = _COMPARING | {"-", "/", "**", "->", "=>"}
"""Signs whose sides cannot be exchanged."""


def has_other_sign(found: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether another sign stands in the place of an expected one, or its sides are exchanged.

    >>> has_other_sign(["x", "-", "y"], ["x", "+", "y"]), has_other_sign(["y", ">", "x"], ["x", ">", "y"])
    (True, True)
    """
    if _marked(expected, found) or _marked(found, expected):
        return True
    wanted, has = signs(expected), signs(found)
    for (left, right), own in wanted.items():
        here, there = has.get((left, right), set()), has.get((right, left), set())
        if own & here:
            continue
        if here or (left and left != right and own & there & _ONE_WAY):
            return True
    return False


_BREAK = re.compile(r"[,;:\n]|[.!?](?:\s|$)|\b(?:and|or)\b", re.IGNORECASE)


def members(text: str) -> list[list[str]]:
    """The words between commas, ends of sentences and lines, `and` and `or`.

    >>> members("Red, light blue and green.")
    [['red'], ['light', 'blue'], ['green']]
    """
    return [words for words in map(split_words, _BREAK.split(_LIST_MARKER.sub("", text))) if words]


_FORM = re.compile(r"^\s*(?:#+ |[-*•] |\d+[.)] )|\*\*\S|```", re.MULTILINE)


def has_form(text: str) -> bool:
    """Whether a text is more than plain words: a list, or Markdown."""
    return _FORM.search(text.strip()) is not None


_SENTENCE_END = re.compile(r"[.!?]\s+|\n+")


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence of three words or more, if there are several.

    >>> sentences("It is Au. No. Or it is Ag.")
    [['it', 'is', 'au'], ['or', 'it', 'is', 'ag']]
    """
    found = [words for words in map(split_words, _SENTENCE_END.split(text)) if len(words) >= 3]
    return found if len(found) > 1 else []


_LONGEST_MEMBER = 3
"""Words; a text of longer ones is no bare list."""


def is_list(text: str) -> bool:
    """Whether a text is a list and nothing else."""
    found = members(text)
    return len(found) > 1 and max(map(len, found)) <= _LONGEST_MEMBER


_OPTION_TOKEN = re.compile(r"[\w.-]+|,")


def options(question: str) -> set[str]:
    """The words that a question lets choose from.

    >>> sorted(options("Is it a noun, verb or both? Answer 'yes' or 'no'."))
    ['both', 'no', 'noun', 'verb', 'yes']
    """
    tokens = _OPTION_TOKEN.findall(question)
    found: list[str] = []
    for place in (place for place, token in enumerate(tokens[:-1]) if token == "or" and place):
        found.append(tokens[place + 1])
        before = place - 1
        if tokens[before] == ",":
            before -= 1
        while before >= 0:
            found.append(tokens[before])
            if before < 2 or tokens[before - 1] != ",":
                break
            before -= 2
    return {word for token in found for word in split_words(token)}


def _marked(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a word such as `c++` stands among the others without its sign only."""
    marked = {word for word in words if word[-1] in "+#" and word[0].isalpha()}
    plain = set(others).difference(words)
    return any(word not in others and word.rstrip("+#") in plain for word in marked)


_CODE = re.compile(
    r"^\s*(?:def|class|return|import|for|while|if)\b.*[:(]|[{};]\s*$|\w\([^()\n]{0,200}\)[.:;]?|==|\+=|```", re.M
)


def is_code(text: str) -> bool:
    """Whether a text is a program, in which case and marks count.

    >>> is_code("def f(x):\\n    return x"), is_code("The sky is blue (mostly).")
    (True, False)
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(lines) and 2 * sum(bool(_CODE.search(line)) for line in lines) >= len(lines)


def fenced_code(text: str) -> str:
    """The program in a text of Markdown; the text itself if it has none."""
    blocks = text.split("```")[1::2]
    return "\n".join(block.partition("\n")[2] for block in blocks) if blocks else text


_ALTERNATIVE_BREAK = re.compile(r"(?<=[^\s/])/(?=[^\s/])")
_NO_ALTERNATIVES = re.compile(r"[=*<>]|://|[.!?]\s*$|[A-Z]{1,3}/[A-Z]{1,3}\s*$")
_PARTS = frozenset(["and", "or", "he", "she", "his", "her", "him", "hers", "her's", "s/he"])


def alternatives(reference: str) -> list[str]:
    """The accepted answers `a/b/c`; the reference itself if it is one answer.

    A sentence, a formula, a fraction, a unit, an address, `TCP/IP` and `and/or` are one answer.

    >>> alternatives("Lyon/city of Lyon"), alternatives("60 km/h"), alternatives("1/2")
    (['Lyon', 'city of Lyon'], ['60 km/h'], ['1/2'])
    """
    parts = _ALTERNATIVE_BREAK.split(reference)
    if not 1 < len(parts) <= _MOST_PARTS or _NO_ALTERNATIVES.search(reference) or "\n" in reference.strip():
        return [reference]
    words = [split_words(part) for part in parts]
    is_whole = all(words)
    for one, other in itertools.pairwise(words if is_whole else []):
        is_whole = is_whole and not (one[-1] in _PARTS and other[0] in _PARTS)
        is_whole = is_whole and not (one[-1] in _UNITS and other[0] in _UNITS)
        is_whole = is_whole and not (is_number(one[-1]) and is_number(other[0]) and len(one[-1]) < 3)
    is_whole = is_whole and any(len(part) > 1 for part in parts)
    return parts if is_whole else [reference]
