"""From a text to its words: numbers, number words, signs and units in one form, so that equal things look equal."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from sftframe_plugins.judges.times import plain_dates

_GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:[,'’_\u00a0\u2009\u202f]\d{3})+(?!\d)")
"""A number with separators between thousands; a plain space does not count: it also separates the members of a list."""

LIST_MARKER = re.compile(r"^[ \t]*(?:\d+[.)]|[-*•])[ \t]+(?=\S)", re.MULTILINE)

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

MAX_ROUNDED = 40
"""In characters; nobody rounds a longer number."""

_MARKS = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "−": "-", "^": "", "×": "*", "÷": "/", "≤": "<=", "≥": ">=", "≠": "!="}
)
"""`^` is removed, so that `x^2` becomes the same as `x²` after folding: `x2`."""

_CURRENCY = re.compile(r"(?P<before>[$€£¥])\s?(?P<amount>\d[\d.,]*\d|\d)|(?<=\d)\s?(?P<after>[$€£¥])")
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
        text = _spell(text)
        text = _EMPHASIS.sub(r"\1", _CURRENCY.sub(_spelled_currency, text))
    text = _UNSPACED.sub(r" \1 ", LIST_MARKER.sub("", text))
    tokens = (_STRICT_TOKEN if strict else _TOKEN).finditer(text)
    words = [_canonical(match[0]) if match["number"] else match[0] for match in tokens]
    return tuple(words if strict else _digits(_SPELLED.get(word, word) for word in words))


_SPELLINGS = [
    (re.compile(r"\b([ap])\.\s?m\b\.?"), r"\1m"),
    (re.compile(r"(?<!\d )(?<!\b\w )\bminus (?=\d)"), "-"),
    (re.compile(r"(?<=\d)(?:st|nd|rd|th)\b"), ""),
    (re.compile(r"\b(?:a|one) dozen\b"), "12"),
]


def _spelled_currency(match: re.Match[str]) -> str:
    """`12 dollar` for `$12` and `12 $`."""
    return (match["amount"] or "") + _CURRENCIES[match["before"] or match["after"]]


def _spell(text: str) -> str:
    """What is one thing in two spellings, in one of them: dates, `a.m.`, `minus 5`, `3rd`, `a dozen`."""
    text = plain_dates(text)
    for pattern, other in _SPELLINGS:
        text = pattern.sub(other, text)
    return text


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
_ORDINALS = {
    **dict(
        zip(["fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "twelfth"], [*range(4, 10), 12], strict=True)
    ),
    **{f"{word}th": 10 + place for place, word in enumerate(_TEENS) if word != "twelve"},
    **{word.removesuffix("y") + "ieth": value for word, value in _TENS.items()},
}
"""Without those that are more often other words: a second, a third party, first of all."""
_SMALL = {"zero": 0, **_ONES, **dict(zip(_TEENS, range(10, 20), strict=True)), **_TENS, **_ORDINALS}
_AFTER_TENS = {**_ONES, "first": 1, "third": 3, **{word: value for word, value in _ORDINALS.items() if value < 10}}
_LARGE = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}


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
    if first not in _SMALL and not (is_number(first) and follows in _LARGE and len(first) <= MAX_ROUNDED):
        return None, start
    total, part, place = Decimal(0), Decimal(_SMALL.get(first, first)), start + 1
    while place < len(words):
        word = words[place]
        if word in _LARGE:
            if word == "hundred":
                part *= 100
            else:
                total, part = total + part * _LARGE[word], Decimal(0)
        elif word in _AFTER_TENS and part % 100 in _TENS.values():
            part += _AFTER_TENS[word]
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


_SMALL_WORDS = """
a about after all also am an and any are as at be because been before being both but by can could did do does each
either even for from had has have he her here him his how i if in into is it its itself just longer may me might more
most must my now of on only or other our out over should so some such than that the their them then there these they
this those to today tomorrow too under up us very was we were what when where which while who whom whose why will with
would yesterday you your
"""
SMALL_WORDS = frozenset(_SMALL_WORDS.split())
"""Words that say little on their own."""

_NOT = frozenset(["not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "cannot"])


def is_negation(word: str) -> bool:
    """Whether a word denies something."""
    return word in _NOT or word.endswith("n't")


_ABOUT = frozenset(["about", "almost", "approximately", "approx", "around", "circa", "nearly", "roughly"])
_ROUNDED_SHARE = 0.01
"""How far a number that is `about` another one may be from it."""
_MOST_NUMBERS = 100
"""Numbers of the reference that are rounded, so that a page of them takes no time."""


def match_rounded(words: Sequence[str], expected: Sequence[str]) -> list[str]:
    """The words, with each number replaced by the expected one that it differs from by rounding only.

    A rounded number keeps at least two digits: 18 and 17.6 stand for 17.64, but 3 does not stand for 3.14. Where one
    side says `about`, 300 000 stands for 299 792.

    >>> match_rounded(["about", "50.3", "m"], ["50.27", "m"])
    ['about', '50.27', 'm']
    >>> match_rounded(["299792"], ["about", "300000"]), match_rounded(["299792"], ["300000"])
    (['300000'], ['299792'])
    """
    known = {number: number for number in expected if is_number(number)}
    rounded = {short: number for number in known for short in _roundings(number)}
    meant = {**rounded, **known}
    found = [_expected_number(word, meant, known) if is_number(word) else word for word in words]
    if not known or (_ABOUT.isdisjoint(words) and _ABOUT.isdisjoint(expected)):
        return found
    wanted = list(known)[:_MOST_NUMBERS]
    near = {word: next((one for one in wanted if _is_about(word, one)), word) for word in found if is_number(word)}
    return [near.get(word, word) for word in found]


def _is_about(one: str, other: str) -> bool:
    """Whether one whole number is the other rounded, and not far from it."""
    if not (one.isdecimal() and other.isdecimal() and max(len(one), len(other)) <= MAX_ROUNDED):
        return False
    unit = 10 ** (max(len(word) - len(word.rstrip("0")) for word in (one, other)))
    low, high = sorted((int(one), int(other)))
    return high - low <= _ROUNDED_SHARE * high and (low + unit // 2) // unit == (high + unit // 2) // unit


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

    places = len(number.partition(".")[2]) if len(number) <= MAX_ROUNDED else 0
    context = Context(prec=len(number) + 1, rounding=ROUND_HALF_UP)
    for kept in range(places - 1, -1, -1):
        short = str(Decimal(number).quantize(Decimal(1).scaleb(-kept), context=context))
        if len(short.lstrip("-0.").replace(".", "")) >= 2:
            yield _canonical(short)


_FORMS = """
be am is are was were been being; bear bore borne; beat beaten; become became; begin began begun; bend bent; bind
bound; bite bitten; blow blew blown; break broke broken; bring brought; build built; burn burnt; buy bought; catch
caught; choose chose chosen; come came; deal dealt; dig dug; do did done does; draw drew drawn; drink drank drunk;
drive drove driven; eat ate eaten; fall fell fallen; feed fed; feel felt; fight fought; find found; fly flew flown;
forget forgot forgotten; freeze froze frozen; get got gotten; give gave given; go went gone goes; half halve halves
halved halving; grow grew grown; have had has; hide hid hidden; hold held; keep kept; know knew known; lead led; learn
learnt; lend lent; lose lost; make made; mean meant; meet met; pay paid; ride rode ridden; ring rang rung; rise rose
risen; run ran; say said; see seen; seek sought; sell sold; send sent; shake shook shaken; shine shone; shoot shot;
show shown; shrink shrank shrunk; sing sang sung; sink sank sunk; sit sat; sleep slept; speak spoke spoken; spend
spent; spin spun; stand stood; steal stole stolen; stick stuck; strike struck; swim swam swum; take took taken; teach
taught; tear tore torn; tell told; think thought; throw threw thrown; understand understood; wear wore worn; win won;
wind wound; write wrote written; child children; foot feet; man men; mouse mice; person people; tooth teeth; woman
women
"""
_IRREGULAR = {form: word for word, *forms in map(str.split, _FORMS.split(";")) for form in forms}
"""Forms of English words that no ending tells."""

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
    word = _IRREGULAR.get(word, word)
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


_ALL_SUFFIXES = """
ability able al ally ance ant at ation ator ed ely ence ent er ful ial ibility ibl ic ical ically ie ier if ific
ification ing ion ious ism ist it ition itive ity iv ive iz ization ly ment ness or ous tion y
"""
_SUFFIXES = tuple(sorted(_ALL_SUFFIXES.split(), key=len, reverse=True))
_SHORTEST_ROOT = 5
"""Letters; `general` and `generous` are not told apart, `relation` and `relief` are."""


@functools.lru_cache(maxsize=4096)
def root(word: str) -> str:
    """What words of one family have in common: `evaporation`, `evaporates`, `evaporating`.

    >>> root("evaporation") == root("evaporates"), root("station")
    (True, 'station')
    """
    short = stem(word)
    for end in _SUFFIXES:
        if short.endswith(end) and len(short) - len(end) >= _SHORTEST_ROOT:
            return short.removesuffix(end)
    return short


_LEAST_SPELT, _MOST_SPELT = 6, 30
"""Letters of words in which a slip is forgiven: of two shorter words with one letter less, each is a word."""


def _slips(word: str) -> Iterator[str]:
    """The word with a letter left out, and with two neighbours exchanged; the first letter stays."""
    for place in range(1, len(word)):
        yield word[:place] + word[place + 1 :]
        if place + 1 < len(word):
            yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _is_spelt(word: str) -> bool:
    return _LEAST_SPELT <= len(word) <= _MOST_SPELT and word.isalpha()


class _Misspelt:
    """Expected words by what a slip makes of them."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = {word: word for word in words if _is_spelt(word)}
        self._slips = {slip: word for word in self._words for slip in _slips(word)}

    def meant(self, word: str) -> str | None:
        """The expected word that this one is but for a letter too many, a missing one, or two exchanged ones."""
        if not self._words or not word.isalpha() or not _LEAST_SPELT - 1 <= len(word) <= _MOST_SPELT + 1:
            return None
        known = self._slips.get(word)
        if known is None and len(word) > _LEAST_SPELT:
            known = next((self._words[slip] for slip in _slips(word) if slip in self._words), None)
        return known


def match_forms(words: Sequence[str], expected: Sequence[str], question: Iterable[str]) -> list[str]:
    """The words, with each form of an expected word replaced by it; `one` and `1` are forms of each other.

    Words of one family and slips of the pen are forms too. If the question has a form of the word, then the form is
    what it asks for, and counts.

    >>> match_forms(["it", "expanded"], ["expands"], ["why"]), match_forms(["walked"], ["walk"], ["she", "walks"])
    (['it', 'expands'], ['walked'])
    >>> match_forms(["recursion", "budapset"], ["recursive", "budapest"], [])
    ['recursive', 'budapest']
    """
    asked_words = list(question)
    asked, asked_roots, known = set(map(stem, asked_words)), set(map(root, asked_words)), set(expected)
    plain = [word for word in reversed(expected) if not is_number(word)]
    forms = {stem(word): word for word in plain if stem(word) not in asked}
    families = {root(word): word for word in plain if root(word) not in asked_roots}
    if ("1" in known) != ("one" in known):
        forms |= {"one": "1"} if "1" in known else {"1": "one"}
    for digit, ordinal in (("1", "first"), ("2", "second"), ("3", "third")):
        if (digit in known) != (ordinal in known):
            forms |= {ordinal: digit} if digit in known else {digit: ordinal}
    misspelt = _Misspelt(word for word in known if stem(word) not in asked)
    asked_words_set = set(asked_words)
    found = []
    for word in words:
        if word in known or word in asked_words_set:
            found.append(word)
            continue
        meant = forms.get(stem(word)) or families.get(root(word)) or misspelt.meant(word)
        found.append(meant or word)
    return found


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
    if _marked(expected, found) or _marked(found, expected) or _has_other_index(found, expected):
        return True
    wanted, has = signs(expected), signs(found)
    for (left, right), own in wanted.items():
        here, there = has.get((left, right), set()), has.get((right, left), set())
        if own & here:
            continue
        if here or (left and left != right and own & there & _ONE_WAY):
            return True
    return False


_INDEXED = re.compile(r"(?=\w{0,7}\d)[^\W\d_]\w{0,7}")


def _has_other_index(found: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether an expected formula stands there with other digits: `v3` for `v2`, `co` for `co2`."""
    missing = {word for word in set(expected).difference(found) if _INDEXED.fullmatch(word)}
    letters = {_letters(word) for word in missing}
    return bool(letters) and any(
        _letters(word) in letters for word in set(found).difference(expected) if len(word) <= 8
    )


def _letters(word: str) -> str:
    return "".join(mark for mark in word if not mark.isdecimal())


def _marked(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a word such as `c++` stands among the others without its sign only."""
    marked = {word for word in words if word[-1] in "+#" and word[0].isalpha()}
    plain = set(others).difference(words)
    return any(word not in others and word.rstrip("+#") in plain for word in marked)
