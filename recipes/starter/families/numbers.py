"""Families about numbers: words, ordinals, Roman numerals, measures, sums, times of day, order."""

from random import Random

from recipes.starter.families.nouns import COUNTED
from recipes.starter.family import Ask, Family
from recipes.starter.words.numbers import MEASURES, clock_words, in_words, ordinal, roman
from recipes.starter.words.table import Item


def describe(number: int) -> Item:
    """A number with its names and properties."""
    return {
        **{"word": str(number), "words": in_words(number), "ordinal": ordinal(number)},
        **{"double": str(2 * number), "parity": "odd" if number % 2 else "even", "next": str(number + 1)},
    }


def draw_sum(rng: Random) -> Item:
    """An addition of two numbers below 50: more of them than a small model can learn by heart."""
    a, b = rng.randint(11, 49), rng.randint(11, 49)
    return {"a": str(a), "b": str(b), "sum": str(a + b)}


def draw_pair(rng: Random) -> Item:
    """Two different numbers below 100."""
    a, b = rng.sample(range(10, 100), 2)
    return {"a": str(a), "b": str(b), "larger": str(max(a, b)), "smaller": str(min(a, b))}


def draw_number_list(rng: Random) -> Item:
    """Three numbers below 100, as drawn and sorted."""
    numbers = rng.sample(range(10, 100), 3)
    return {"list": ", ".join(map(str, numbers)), "sorted": ", ".join(map(str, sorted(numbers)))}


def draw_word_list(rng: Random) -> Item:
    """Three nouns with different first letters, as drawn and in the order of the alphabet."""
    words = rng.sample(COUNTED, 3)
    while len({word[0] for word in words}) < 3:
        words = rng.sample(COUNTED, 3)
    return {"list": ", ".join(words), "sorted": ", ".join(sorted(words))}


NUMBERS = tuple(describe(number) for number in range(2, 100))
ROMANS: tuple[Item, ...] = tuple({"word": str(number), "roman": roman(number)} for number in range(2, 41))
MEASURED: tuple[Item, ...] = tuple(
    {**row, "count": str(count), "result": str(count * int(row["factor"])), "word": f"{count} {row['large']}"}
    for row in MEASURES
    for count in range(2, 11)
)
PAIRS = [(a, b) for a in range(2, 11) for b in range(2, 11)]
SMALL_SUMS: tuple[Item, ...] = tuple(
    {"word": f"{a} plus {b}", "a": str(a), "b": str(b), "sum": str(a + b)} for a, b in PAIRS
)
DIFFERENCES: tuple[Item, ...] = tuple(
    {"word": f"{a + b} minus {b}", "a": str(a + b), "b": str(b), "rest": str(a)} for a, b in PAIRS
)
PRODUCTS: tuple[Item, ...] = tuple(
    {"word": f"{a} times {b}", "a": str(a), "b": str(b), "product": str(a * b)} for a, b in PAIRS
)
TIMES: tuple[Item, ...] = tuple(
    {"word": f"{hour}:{minute:02d}", "words": clock_words(hour, minute)}
    for hour in range(1, 13)
    for minute in (0, 15, 30, 45)
)

FAMILIES = (
    Family(
        name="number in words",
        items=NUMBERS,
        max_rows=35,
        asks=(
            Ask("Write the number {word} in words.", "The number {word} in words is {words}."),
            Ask("Write the number in words.", "The number {word} in words is {words}.", "{word}"),
            Ask("How does one say {word}?", "One says {words}."),
        ),
        facts=(
            "The number {word} in words is {words}.",
            "For {word} one says {words}.",
            "The number is {word}. One says {words}.",
        ),
    ),
    Family(
        name="ordinal",
        items=NUMBERS,
        max_rows=35,
        asks=(
            Ask("What is the ordinal of {word}?", "The ordinal of {word} is {ordinal}."),
            Ask("Turn the number {word} into an ordinal.", "The ordinal of {word} is {ordinal}."),
            Ask("Give the ordinal form of the number.", "The ordinal of {word} is {ordinal}.", "{word}"),
            Ask("You are number {word} in a row. Which place is that?", "Number {word} has the {ordinal} place."),
        ),
        facts=("The ordinal of {word} is {ordinal}.", "Number {word} has the {ordinal} place."),
    ),
    Family(
        name="odd or even",
        items=NUMBERS,
        max_rows=35,
        asks=(
            Ask("Is {word} odd or even?", "The number {word} is {parity}."),
            Ask("Classify the number as odd or even.", "The number {word} is {parity}.", "{word}"),
        ),
        facts=("The number {word} is {parity}.", "Among the {parity} numbers is {word}."),
    ),
    Family(
        name="doubling",
        items=tuple(item for item in NUMBERS if int(item["word"]) < 41),
        max_rows=24,
        asks=(
            Ask("Double the number {word}.", "Twice {word} is {double}."),
            Ask("What is twice {word}?", "Twice {word} is {double}."),
        ),
        facts=("Twice {word} is {double}.", "Half of {double} is {word}."),
    ),
    Family(
        name="roman numeral",
        items=ROMANS,
        max_rows=24,
        asks=(
            Ask("Write {word} as a Roman numeral.", "The Roman numeral for {word} is {roman}."),
            Ask("Convert to a Roman numeral.", "The Roman numeral for {word} is {roman}.", "{word}"),
        ),
        facts=("The Roman numeral for {word} is {roman}.", "The Romans wrote {roman} for {word}."),
    ),
    Family(
        name="units",
        items=MEASURED,
        max_rows=45,
        asks=(
            Ask("How many {small} are in {count} {large}?", "There are {result} {small} in {count} {large}."),
            Ask("Convert {count} {large} to {small}.", "Converted, {count} {large} are {result} {small}."),
            Ask(
                "Express the quantity in {small}.",
                "Converted, {count} {large} are {result} {small}.",
                "{count} {large}",
            ),
        ),
        facts=(
            "There are {result} {small} in {count} {large}.",
            "Converted, {count} {large} are {result} {small}.",
            "One needs {result} {small} to make {count} {large}.",
        ),
    ),
    Family(
        name="addition",
        items=SMALL_SUMS,
        max_rows=24,
        asks=(
            Ask("What is {a} plus {b}?", "The sum of {a} and {b} is {sum}."),
            Ask("Add {a} and {b}.", "The sum of {a} and {b} is {sum}."),
        ),
        facts=("The sum of {a} and {b} is {sum}.", "We know that {a} plus {b} makes {sum}."),
    ),
    Family(
        name="subtraction",
        items=DIFFERENCES,
        max_rows=18,
        asks=(
            Ask("What is {a} minus {b}?", "The difference of {a} and {b} is {rest}."),
            Ask("Subtract {b} from {a}.", "The difference of {a} and {b} is {rest}."),
        ),
        facts=("The difference of {a} and {b} is {rest}.", "We know that {a} minus {b} leaves {rest}."),
    ),
    Family(
        name="multiplication",
        items=PRODUCTS,
        max_rows=24,
        asks=(
            Ask("What is {a} times {b}?", "The product of {a} and {b} is {product}."),
            Ask("Multiply {a} by {b}.", "The product of {a} and {b} is {product}."),
        ),
        facts=("The product of {a} and {b} is {product}.", "We know that {a} times {b} makes {product}."),
    ),
    Family(
        name="larger sums",
        draw=draw_sum,
        key="{a} {b}",
        max_rows=12,
        asks=(
            Ask("Add {a} and {b}.", "The sum of {a} and {b} is {sum}."),
            Ask("Calculate the sum.", "The sum of {a} and {b} is {sum}.", "{a} + {b}"),
        ),
        facts=("The sum of {a} and {b} is {sum}.",),
    ),
    Family(
        name="larger number",
        draw=draw_pair,
        key="{a} {b}",
        max_rows=20,
        asks=(
            Ask("Which number is larger, {a} or {b}?", "The larger number is {larger}."),
            Ask("Which number is smaller, {a} or {b}?", "The smaller number is {smaller}."),
        ),
        facts=(
            "Take {a} and {b}. The larger number is {larger}.",
            "Take {a} and {b}. The smaller number is {smaller}.",
        ),
    ),
    Family(
        name="sorting numbers",
        draw=draw_number_list,
        key="{list}",
        max_rows=12,
        asks=(
            Ask("Sort the numbers from the smallest to the largest.", "Sorted, they are {sorted}.", "{list}"),
            Ask("Put these numbers in order: {list}.", "Sorted, they are {sorted}."),
        ),
        facts=("The numbers are {list}. Sorted, they are {sorted}.",),
    ),
    Family(
        name="sorting words",
        draw=draw_word_list,
        key="{list}",
        max_rows=12,
        asks=(
            Ask("Sort the words by the alphabet.", "Sorted, they are {sorted}.", "{list}"),
            Ask("Put these words in alphabetical order: {list}.", "Sorted, they are {sorted}."),
        ),
        facts=("The words are {list}. Sorted, they are {sorted}.",),
    ),
    Family(
        name="time of day",
        items=TIMES,
        max_rows=33,
        asks=(
            Ask("Write the time {word} in words.", "The time {word} is {words}."),
            Ask("What time is it when the clock shows {word}?", "It is {words}."),
            Ask("Say the time in words.", "The time {word} is {words}.", "{word}"),
        ),
        facts=(
            "The time {word} is {words}.",
            "When the clock shows {word}, it is {words}.",
            "The clock shows {word}. It is {words}.",
        ),
    ),
)
