"""Families about the letters of words: spelling, counting, first and last, the alphabet, the part of speech."""

from string import ascii_lowercase

from recipes.starter.families.nouns import COUNTED
from recipes.starter.family import Ask, Family
from recipes.starter.words.adjectives import ADJECTIVES
from recipes.starter.words.numbers import in_words
from recipes.starter.words.table import Item
from recipes.starter.words.verbs import VERBS


def describe(word: str, part: str) -> Item:
    """A word with what can be said of its letters."""
    a_part = f"an {part}" if part == "adjective" else f"a {part}"
    spelled = "-".join(word)
    return {
        **{"word": word, "spelled": spelled, "count": in_words(len(word)), "part": part, "a_part": a_part},
        **{"first": word[0], "last": word[-1], "capitals": word.upper()},
    }


def all_words() -> tuple[Item, ...]:
    """Nouns, adjectives and verbs, without those that are more than one of them in the lists."""
    parts = {
        "noun": sorted(set(COUNTED)),
        "adjective": [row["word"] for row in ADJECTIVES],
        "verb": [row["word"] for row in VERBS],
    }
    seen = [word for words in parts.values() for word in words]
    return tuple(describe(word, part) for part, words in parts.items() for word in words if seen.count(word) == 1)


WORDS = all_words()
ALPHABET: tuple[Item, ...] = tuple(
    {"word": letter, "after": ascii_lowercase[number + 1], "before": ascii_lowercase[number - 1]}
    for number, letter in enumerate(ascii_lowercase)
    if 0 < number < 25
)

FAMILIES = (
    Family(
        name="spelling",
        items=tuple(item for item in WORDS if len(item["word"]) < 7),
        max_rows=45,
        asks=(
            Ask("How do you spell {word}?", "The word {word} is spelled {spelled}."),
            Ask("Spell the word {word} letter by letter.", "The word {word} is spelled {spelled}."),
            Ask("Spell the given word.", "The letters of {word} are {spelled}.", "{word}"),
            Ask("Which letters is {word} made of?", "The letters of {word} are {spelled}."),
        ),
        facts=("The word {word} is spelled {spelled}.", "The letters of {word} are {spelled}."),
    ),
    Family(
        name="counting letters",
        items=WORDS,
        max_rows=45,
        asks=(
            Ask("How many letters does {word} have?", "The word {word} has {count} letters."),
            Ask("Count the letters of the word.", "The word {word} has {count} letters.", "{word}"),
            Ask("Say how long the word {word} is.", "The word {word} is {count} letters long."),
        ),
        facts=("The word {word} has {count} letters.", "The word {word} is {count} letters long."),
    ),
    Family(
        name="first letter",
        items=WORDS,
        max_rows=35,
        asks=(
            Ask("What is the first letter of {word}?", "The first letter of {word} is {first}."),
            Ask("With which letter does {word} begin?", "The word {word} begins with {first}."),
            Ask("Name the first letter.", "The first letter of {word} is {first}.", "{word}"),
        ),
        facts=("The first letter of {word} is {first}.", "The word {word} begins with {first}."),
    ),
    Family(
        name="last letter",
        items=WORDS,
        max_rows=35,
        asks=(
            Ask("What is the last letter of {word}?", "The last letter of {word} is {last}."),
            Ask("With which letter does {word} end?", "The word {word} ends with {last}."),
            Ask("Name the last letter.", "The last letter of {word} is {last}.", "{word}"),
        ),
        facts=("The last letter of {word} is {last}.", "The word {word} ends with {last}."),
    ),
    Family(
        name="part of speech",
        items=WORDS,
        max_rows=45,
        asks=(
            Ask("Is {word} a noun, a verb or an adjective?", "The word {word} is {a_part}."),
            Ask("What part of speech is {word}?", "The part of speech of {word} is {part}."),
            Ask("Name the part of speech.", "The word {word} is {a_part}.", "{word}"),
        ),
        facts=("The word {word} is {a_part}.", "The part of speech of {word} is {part}."),
    ),
    Family(
        name="alphabet",
        items=ALPHABET,
        max_rows=24,
        asks=(
            Ask("Which letter comes after {word}?", "The letter after {word} is {after}."),
            Ask("Which letter comes before {word}?", "The letter before {word} is {before}."),
        ),
        facts=(
            "The letter after {word} is {after}.",
            "The letter before {word} is {before}.",
            "In the alphabet there are {before}, {word} and {after}.",
        ),
    ),
)
