"""Families about adjectives: opposites, synonyms, degrees, similes, the feeling in a review."""

from random import Random

from recipes.starter.family import Ask, Family
from recipes.starter.words.adjectives import ADJECTIVES
from recipes.starter.words.sayings import FEELINGS, LOOKS, REVIEWED, TRAITS
from recipes.starter.words.table import Item
from recipes.starter.words.world import PEOPLE


def draw_simile(rng: Random) -> Item:
    """A person or a thing that is like something."""
    if rng.random() < len(TRAITS) / (len(TRAITS) + len(LOOKS)):
        return {**rng.choice(TRAITS), "name": rng.choice(PEOPLE)["word"]}
    return {**rng.choice(LOOKS), "name": f"The {rng.choice(OBJECTS)}"}


def draw_review(rng: Random) -> Item:
    """A verdict on something, good or bad."""
    return {**rng.choice(FEELINGS), "thing": rng.choice(REVIEWED), "time": rng.choice(("was", "was really", "is"))}


OBJECTS = ("box", "coat", "cup", "lamp", "bag", "basket", "bottle", "picture", "cake", "stone")
SIMILES: tuple[Item, ...] = (
    *({**row, "name": PEOPLE[number % len(PEOPLE)]["word"]} for number, row in enumerate(TRAITS)),
    *({**row, "name": f"The {OBJECTS[number % len(OBJECTS)]}"} for number, row in enumerate(LOOKS)),
)

FAMILIES = (
    Family(
        name="antonym",
        items=ADJECTIVES,
        max_rows=45,
        asks=(
            Ask("What is the opposite of {word}?", "The opposite of {word} is {antonym}."),
            Ask("Give an antonym for the word {word}.", "An antonym of {word} is {antonym}."),
            Ask("Name the opposite of the given word.", "The opposite of {word} is {antonym}.", "{word}"),
            Ask("Which word means the opposite of {word}?", "The opposite of {word} is {antonym}."),
        ),
        facts=(
            "The opposite of {word} is {antonym}.",
            "An antonym of {word} is {antonym}.",
            "What is not {word} may be {antonym}.",
            "One was {word}, the other was {antonym}.",
        ),
    ),
    Family(
        name="synonym",
        items=ADJECTIVES,
        max_rows=45,
        asks=(
            Ask("Give a synonym for {word}.", "A synonym of {word} is {synonym}."),
            Ask("Find another word for {word}.", "Another word for {word} is {synonym}."),
            Ask("Suggest a word that means nearly the same.", "Another word for {word} is {synonym}.", "{word}"),
            Ask("Which word is a synonym of {word}?", "A synonym of {word} is {synonym}."),
        ),
        facts=(
            "A synonym of {word} is {synonym}.",
            "Another word for {word} is {synonym}.",
            "Some say {word}, some say {synonym}.",
            "It was {word}, or rather {synonym}.",
        ),
    ),
    Family(
        name="comparative",
        items=ADJECTIVES,
        max_rows=24,
        asks=(
            Ask("What is the comparative of {word}?", "The comparative of {word} is {comparative}."),
            Ask("Give the comparative form of the adjective.", "The comparative of {word} is {comparative}.", "{word}"),
        ),
        facts=("The comparative of {word} is {comparative}.", "First it was {word}, then it was even {comparative}."),
    ),
    Family(
        name="superlative",
        items=ADJECTIVES,
        max_rows=24,
        asks=(
            Ask("What is the superlative of {word}?", "The superlative of {word} is {superlative}."),
            Ask("Give the superlative form of the adjective.", "The superlative of {word} is {superlative}.", "{word}"),
        ),
        facts=("The superlative of {word} is {superlative}.", "All are {word}, but this is the {superlative} of all."),
    ),
    Family(
        name="simile",
        items=SIMILES,
        draw=draw_simile,
        max_rows=36,
        asks=(
            Ask("Rewrite the sentence with a simile.", "{name} is as {word} as {image}.", "{name} is {word}."),
            Ask("Say it with a simile: {name} is {word}.", "{name} is as {word} as {image}."),
            Ask("Complete the phrase: as {word} as", "The phrase is as {word} as {image}."),
        ),
        facts=(
            "{name} is {word}. {name} is as {word} as {image}.",
            "The phrase is as {word} as {image}.",
            "It is as {word} as {image}.",
            "Something very {word} is as {word} as {image}.",
        ),
    ),
    Family(
        name="sentiment",
        draw=draw_review,
        key="{thing} {time} {word}",
        max_rows=35,
        asks=(
            Ask("Is this review positive or negative?", "The review is {feeling}.", "The {thing} {time} {word}."),
            Ask("Classify the feeling of the sentence.", "The feeling is {feeling}.", "The {thing} {time} {word}."),
            Ask("Decide whether the writer is pleased: The {thing} {time} {word}.", "The feeling is {feeling}."),
        ),
        facts=(
            "The {thing} {time} {word}. The review is {feeling}.",
            "The {thing} {time} {word}. The feeling is {feeling}.",
            "The word {word} is {feeling}.",
        ),
    ),
)
