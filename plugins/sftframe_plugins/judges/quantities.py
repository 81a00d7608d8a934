"""Quantities: a number with its unit, and whether two of them are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sftframe_plugins.judges.wording import MAX_ROUNDED, is_number

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
    "data": "1 byte; 1024 kb kilobyte; 1048576 mb megabyte; 1073741824 gb gigabyte; 1099511627776 tb terabyte",
    "power": "1 w watt; 1000 kw kilowatt; 745.7 hp horsepower",
    "pressure": "1 pa pascal; 100 hpa; 1000 kpa; 100000 bar; 101325 atm atmosphere",
    "share": ".01 %; .5 half; .25 quarter; .2 fifth; .1 tenth",
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


UNITS: Mapping[str, _Unit] = _units()

MOST_PARTS = 100
"""Quantities or accepted answers that are looked at, so that a page of them takes no time."""

_WHOLE = _Unit("share", 1.0)
_SHARES = {"half": "0.5", "quarter": "0.25"}
"""Without a number before them."""

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

    >>> from sftframe_plugins.judges.wording import split_words
    >>> [(one.number, one.unit.kind) for one in quantities(split_words("At 60 km/h it took two hours at 5 °C."))]
    [('60', 'length/time'), ('2', 'time'), ('5', 'temperature')]
    >>> [(one.number, one.unit.factor) for one in quantities(["25", "%", "is", "1", "/", "4", "or", "0.25"])]
    [('25', 0.01), ('0.25', 1.0), ('0.25', 1.0)]
    """
    found: list[Quantity] = []
    for place, word in enumerate(words):
        if word in _SHARES and not (place and is_number(words[place - 1])):
            found.append(Quantity(place, place + 1, _SHARES[word], _WHOLE))
        if not is_number(word) or len(word) > MAX_ROUNDED:
            continue
        at = place + 1
        if at < len(words) and words[at] in ("degree", "degrees", "deg"):
            at += 1
        unit = UNITS.get(words[at]) if at < len(words) else None
        if unit is None:
            if (share := _share(words[place : place + 3])) is not None:
                found.append(Quantity(place, place + share[1], share[0], _WHOLE))
            continue
        below = UNITS.get(words[at + 2]) if at + 2 < len(words) and words[at + 1] in ("/", "per") else None
        if below is not None:
            unit, at = _Unit(f"{unit.kind}/{below.kind}", unit.factor / below.factor), at + 2
        found.append(Quantity(place, at + 1, word, unit))
    return found


def _share(words: Sequence[str]) -> tuple[str, int] | None:
    """The part of a whole that begins with a number without a unit, and its number of words: `3/4`, `0.75`."""
    first = words[0]
    if len(words) == 3 and words[1] == "/" and all(word.isdecimal() and len(word) <= 3 for word in (first, words[2])):
        return (f"{int(first) / int(words[2]):g}", 3) if 0 < int(first) < int(words[2]) else None
    return (first, 1) if first.startswith("0.") else None


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
    wanted = quantities(expected)[:MOST_PARTS]
    if not wanted:
        return list(words), False
    asked = quantities(question)[:MOST_PARTS]
    met: set[str] = set()
    others: set[str] = set()
    found, copied = [], 0
    meant: dict[tuple[str, _Unit], Quantity | None] = {}
    for one in quantities(words):
        key = one.number, one.unit
        if key not in meant:
            is_asked = any(one.unit == other.unit and one.number == other.number for other in asked)
            alike = [other for other in wanted if other.is_same(one) and (other.unit == one.unit or not is_asked)]
            meant[key] = next((other for other in alike if other.unit == one.unit), alike[0] if alike else None)
        same = meant[key]
        if same is None:
            others |= {one.number} if one.end > one.start + 1 else set()
            continue
        met.add(same.number)
        found += [*words[copied : one.start], *expected[same.start : same.end]]
        copied = one.end
    is_other = any(one.number in others and one.number not in met for one in wanted)
    return [*found, *words[copied:]], is_other
