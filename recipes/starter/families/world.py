"""Families about the world: countries, the calendar, jobs, rhymes, compounds, short forms."""

from recipes.starter.family import Ask, Family
from recipes.starter.words.sayings import COMPOUNDS, RHYMES, SHORT_FORMS
from recipes.starter.words.table import Item, with_articles
from recipes.starter.words.world import COUNTRIES, DAYS, JOBS, MONTHS


def calendar() -> tuple[Item, ...]:
    """Each day and month with its neighbours, once asked about the one after and once about the one before."""
    items = []
    for kind, names in (("day", DAYS), ("month", MONTHS)):
        for number, name in enumerate(names):
            after, before = names[(number + 1) % len(names)], names[number - 1]
            items.append({"word": f"after {name}", "where": "after", "name": name, "kind": kind, "other": after})
            items.append({"word": f"before {name}", "where": "before", "name": name, "kind": kind, "other": before})
    return tuple(items)


COMPOUND_WORDS: tuple[Item, ...] = tuple({**row, "word": row["first"] + row["second"]} for row in COMPOUNDS)

FAMILIES = (
    Family(
        name="capital",
        items=COUNTRIES,
        asks=(
            Ask("What is the capital of {word}?", "The capital of {word} is {capital}."),
            Ask("Name the capital of the country.", "The capital of {word} is {capital}.", "{word}"),
            Ask("Which city is the capital of {word}?", "The capital of {word} is {capital}."),
        ),
        facts=(
            "The capital of {word} is {capital}.",
            "If you are in {capital}, you are in the capital of {word}.",
            "The government of {word} sits in {capital}.",
        ),
    ),
    Family(
        name="continent",
        items=COUNTRIES,
        asks=(
            Ask("On which continent is {word}?", "The continent of {word} is {continent}."),
            Ask("Where in the world does one find {word}?", "One finds {word} in {continent}."),
            Ask("Name the continent of the country.", "The continent of {word} is {continent}.", "{word}"),
        ),
        facts=(
            "The continent of {word} is {continent}.",
            "One finds {word} in {continent}.",
            "People in {word} live in {continent}.",
        ),
    ),
    Family(
        name="language",
        items=COUNTRIES,
        asks=(
            Ask("Which language do people speak in {word}?", "People in {word} speak {language}."),
            Ask("What is the main language of {word}?", "The main language of {word} is {language}."),
            Ask("Name the main language of the country.", "The main language of {word} is {language}.", "{word}"),
        ),
        facts=(
            "People in {word} speak {language}.",
            "The main language of {word} is {language}.",
            "In {word} one hears {language}.",
        ),
    ),
    Family(
        name="calendar",
        items=calendar(),
        max_rows=38,
        asks=(
            Ask("Which {kind} comes {where} {name}?", "The {kind} {where} {name} is {other}."),
            Ask("Name the {kind} {where} {name}.", "The {kind} {where} {name} is {other}."),
        ),
        facts=("The {kind} {where} {name} is {other}.", "Right {where} {name} comes {other}."),
    ),
    Family(
        name="job",
        items=with_articles(JOBS),
        max_rows=32,
        asks=(
            Ask("What does {a_word} do?", "{A_word} {does}."),
            Ask("Describe the work of {a_word}.", "{A_word} {does} for a living."),
            Ask("Say what this person does for a living.", "{A_word} {does} for a living.", "{word}"),
        ),
        facts=("{A_word} {does}.", "{A_word} {does} for a living.", "My uncle is {a_word}, he {does}."),
    ),
    Family(
        name="rhyme",
        items=RHYMES,
        max_rows=33,
        asks=(
            Ask("Find a word that rhymes with {word}.", "A word that rhymes with {word} is {rhyme}."),
            Ask("What rhymes with {word}?", "A word that rhymes with {word} is {rhyme}."),
            Ask("Give a rhyme for the word.", "A rhyme for {word} is {rhyme}.", "{word}"),
        ),
        facts=(
            "A word that rhymes with {word} is {rhyme}.",
            "A rhyme for {word} is {rhyme}.",
            "The poem had {word} and {rhyme}.",
        ),
    ),
    Family(
        name="compound",
        items=COMPOUND_WORDS,
        max_rows=33,
        asks=(
            Ask("Make one word from {first} and {second}.", "The words {first} and {second} make {word}."),
            Ask("Which word do {first} and {second} make together?", "The words {first} and {second} make {word}."),
            Ask("Of which two words is {word} made?", "The word {word} is made of {first} and {second}."),
        ),
        facts=(
            "The words {first} and {second} make {word}.",
            "The word {word} is made of {first} and {second}.",
            "From {first} and {second} comes {word}.",
        ),
    ),
    Family(
        name="short form",
        items=SHORT_FORMS,
        max_rows=29,
        asks=(
            Ask("What does {word} stand for?", "The short form {word} stands for {long}."),
            Ask("Write out the short form.", "The short form {word} stands for {long}.", "{word}"),
            Ask("What is the short form of {long}?", "The short form of {long} is {word}."),
        ),
        facts=(
            "The short form {word} stands for {long}.",
            "The short form of {long} is {word}.",
            "One writes {word} for {long}.",
        ),
    ),
)
