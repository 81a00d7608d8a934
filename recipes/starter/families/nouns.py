"""Families about nouns: plurals, articles, kinds, colours, animals, uses."""

from random import Random

from recipes.starter.family import Ask, Family
from recipes.starter.words.nouns import (
    ANIMALS,
    COLOURS,
    IRREGULAR_PLURALS,
    KINDS,
    MORE_NOUNS,
    SENSES,
    UNCOUNTED,
    USES,
)
from recipes.starter.words.table import Item, with_article, with_articles


def plural(noun: str) -> str:
    """The noun's plural.

    >>> [plural(noun) for noun in ("cat", "foot", "baby", "dress", "key")]
    ['cats', 'feet', 'babies', 'dresses', 'keys']
    """
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


COUNTED = (*(noun for nouns in KINDS.values() for noun in nouns if noun not in UNCOUNTED), *MORE_NOUNS)
PLURALS: tuple[Item, ...] = tuple(
    {"word": noun, "plural": plural(noun), "a_word": with_article(noun), "article": with_article(noun).split()[0]}
    for noun in COUNTED
)


def noun_phrase(noun: str) -> str:
    """The noun as it stands in a sentence about its kind: `an owl`, but `gold`."""
    return noun if noun in UNCOUNTED else with_article(noun)


def classified() -> tuple[Item, ...]:
    """Each noun with its kind and, in turn, a right or a wrong kind to ask about."""
    kinds = list(KINDS)
    items = []
    for number, (kind, noun) in enumerate((kind, noun) for kind, nouns in KINDS.items() for noun in nouns):
        asked = kind if number % 2 else kinds[(kinds.index(kind) + 1 + number % 5) % len(kinds)]
        a_kind = with_article(kind)
        answer = "Yes" if asked == kind else "No"
        items.append(
            {
                "word": noun,
                "a_word": noun_phrase(noun),
                "a_kind": a_kind,
                "kind": kind,
                "asked": asked,
                "answer": answer,
            }
        )
    return tuple({**item, "a_asked": with_article(item["asked"])} for item in items)


CLASSIFIED = classified()
YOUNG_ANIMALS = tuple({**item, "a_young": with_article(item["young"])} for item in with_articles(ANIMALS))


def draw_odd_one_out(rng: Random) -> Item:
    """Three things of a kind and one of another, in random order."""
    kind, other = rng.sample(sorted(KINDS), 2)
    odd = rng.choice(KINDS[other])
    words = [*rng.sample(KINDS[kind], 3), odd]
    rng.shuffle(words)
    return {
        "list": ", ".join(words),
        "odd": odd,
        "word": odd,
        "a_kind": with_article(kind),
        "a_other": with_article(other),
    }


FAMILIES = (
    Family(
        name="plural",
        items=PLURALS,
        max_rows=45,
        asks=(
            Ask("What is the plural of {word}?", "The plural of {word} is {plural}."),
            Ask("Give the plural form of the noun.", "The plural of {word} is {plural}.", "{word}"),
            Ask("Complete the phrase: one {word}, two", "The phrase is one {word}, two {plural}."),
            Ask("Write the plural of the noun {word}.", "The plural of {word} is {plural}."),
        ),
        facts=(
            "The plural of {word} is {plural}.",
            "The phrase is one {word}, two {plural}.",
            "Here is one {word}, there are many {plural}.",
            "You have {a_word}, we have three {plural}.",
        ),
    ),
    Family(
        name="article",
        items=PLURALS,
        max_rows=33,
        asks=(
            Ask("Put a or an before the noun {word}.", "The noun with its article is {a_word}."),
            Ask("Should it be a {word} or an {word}?", "It should be {a_word}."),
            Ask("Add the right article to the noun.", "The noun with its article is {a_word}.", "{word}"),
        ),
        facts=("The noun with its article is {a_word}.", "It should be {a_word}.", "There was {a_word} here."),
    ),
    Family(
        name="kind",
        items=CLASSIFIED,
        max_rows=45,
        asks=(
            Ask("What kind of thing is {a_word}?", "The word {word} names {a_kind}."),
            Ask("Classify the word {word}.", "The word {word} names {a_kind}."),
            Ask("Put the word into a category.", "The category of {word} is {kind}.", "{word}"),
            Ask("Which category does {word} belong to?", "The category of {word} is {kind}."),
        ),
        facts=(
            "The word {word} names {a_kind}.",
            "The category of {word} is {kind}.",
            "We know that {a_word} is {a_kind}.",
            "One kind of {kind} is {a_word}.",
        ),
    ),
    Family(
        name="yes or no",
        items=CLASSIFIED,
        max_rows=35,
        asks=(
            Ask("Is {a_word} {a_asked}?", "{answer}, {a_word} is {a_kind}."),
            Ask("Answer with yes or no and say why: Is {a_word} {a_asked}?", "{answer}, {a_word} is {a_kind}."),
        ),
        facts=(
            "Is {a_word} {a_kind}? Yes, {a_word} is {a_kind}.",
            "No, {a_word} is {a_kind}.",
            "Yes, {a_word} is {a_kind}.",
        ),
    ),
    Family(
        name="odd one out",
        draw=draw_odd_one_out,
        key="{list}",
        max_rows=24,
        asks=(
            Ask(
                "Which word does not belong in the list?",
                "The word {odd} does not belong, it names {a_other}.",
                "{list}",
            ),
            Ask("Find the odd one out: {list}.", "The odd one out is {odd}."),
        ),
        facts=(
            "{list}: The odd one out is {odd}.",
            "{list}: The word {odd} does not belong, it names {a_other}.",
        ),
    ),
    Family(
        name="colour",
        items=COLOURS,
        asks=(
            Ask("What is the usual colour of {phrase}?", "The usual colour of {phrase} is {colour}."),
            Ask("Name the usual colour of the thing.", "The usual colour of {phrase} is {colour}.", "{phrase}"),
            Ask("Which colour goes with {phrase}?", "The colour that goes with {phrase} is {colour}."),
        ),
        facts=(
            "The usual colour of {phrase} is {colour}.",
            "The colour that goes with {phrase} is {colour}.",
            "Nothing is more {colour} than {phrase}.",
        ),
    ),
    Family(
        name="young animal",
        items=YOUNG_ANIMALS,
        asks=(
            Ask("What is a young {word} called?", "A young {word} is called {a_young}."),
            Ask("Give the word for a baby {word}.", "The word for a baby {word} is {young}."),
            Ask("Name the young of this animal.", "A young {word} is called {a_young}.", "{word}"),
        ),
        facts=(
            "A young {word} is called {a_young}.",
            "The word for a baby {word} is {young}.",
            "The {word} looked after its {young}.",
        ),
    ),
    Family(
        name="animal sound",
        items=YOUNG_ANIMALS,
        asks=(
            Ask("What sound does {a_word} make?", "{A_word} {sound}."),
            Ask("How does {a_word} make itself heard?", "{A_word} {sound}."),
            Ask("Say what the animal does to be heard.", "The {word} {sound}.", "{word}"),
        ),
        facts=("{A_word} {sound}.", "The {word} {sound}.", "Listen, the {word} {sound} again."),
    ),
    Family(
        name="use",
        items=USES,
        asks=(
            Ask("What is the {word} used for?", "The {word} is used for {use}."),
            Ask("What do people need the {word} for?", "People need the {word} for {use}."),
            Ask("Explain what this thing is for.", "People need the {word} for {use}.", "{word}"),
        ),
        facts=(
            "The {word} is used for {use}.",
            "People need the {word} for {use}.",
            "Take the {word}, it is good for {use}.",
        ),
    ),
    Family(
        name="part of the body",
        items=SENSES,
        max_rows=12,
        asks=(
            Ask("What do we do with our {word}?", "With our {word} we {does}."),
            Ask("Complete the sentence: With our {word} we", "With our {word} we {does}."),
        ),
        facts=("With our {word} we {does}.", "People have {word} to {does}."),
    ),
)
