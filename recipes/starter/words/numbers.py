"""Numbers in words, as ordinals and as Roman numerals; measures; times of day."""

from recipes.starter.words.table import read_table

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ROMAN = ((50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))

MEASURES = read_table("""
large small factor
hours minutes 60
minutes seconds 60
days hours 24
weeks days 7
years months 12
metres centimetres 100
kilometres metres 1000
kilograms grams 1000
litres millilitres 1000
centimetres millimetres 10
""")
"""Pairs of measures: how many of the small make one of the large."""


def in_words(number: int) -> str:
    """A number from 0 to 99 in words.

    >>> in_words(7), in_words(40), in_words(47)
    ('seven', 'forty', 'forty-seven')
    """
    if number < 20:
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens] + (f"-{ONES[ones]}" if ones else "")


def ordinal(number: int) -> str:
    """A number as a place in a row.

    >>> [ordinal(number) for number in (1, 12, 22, 43, 50)]
    ['1st', '12th', '22nd', '43rd', '50th']
    """
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def roman(number: int) -> str:
    """A number from 1 to 89 in Roman numerals.

    >>> roman(14), roman(49)
    ('XIV', 'XLIX')
    """
    letters = ""
    for value, numeral in ROMAN:
        while number >= value:
            letters, number = letters + numeral, number - value
    return letters


def clock_words(hour: int, minute: int) -> str:
    """A time of day, to the quarter, as one says it.

    >>> clock_words(3, 0), clock_words(3, 30), clock_words(12, 45)
    ("three o'clock", 'half past three', 'a quarter to one')
    """
    next_hour = hour % 12 + 1
    return {
        0: f"{in_words(hour)} o'clock",
        15: f"a quarter past {in_words(hour)}",
        30: f"half past {in_words(hour)}",
        45: f"a quarter to {in_words(next_hour)}",
    }[minute]
