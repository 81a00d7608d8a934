"""The pretraining text: documents about the words and rules of `starter`; none of them is an instruction.

A pass is a list of documents: an entry for every word, lists of one kind of fact, drills of a rule, lines that
repeat themselves, little stories. A new pass words everything anew. Sentences that the test and validation parts ask
to rewrite are left out of that rule's drills: the model has seen their words and the rule, but not their answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from recipes.nano.stories import echo, story
from recipes.starter.families import FAMILIES
from recipes.starter.family import Family
from recipes.starter.make_starter import make_parts
from recipes.starter.words.table import Item

NUM_ECHOES, NUM_STORIES, NUM_DRILLS = 220, 140, 18
"""Documents of a kind in a pass; drills are per rule."""

Statement = tuple[Family, Item]
Titles = dict[str, list[Statement]]


def make_pass(number: int) -> list[str]:
    """The documents of one pass in random order; the same number gives the same documents."""
    rng = Random(f"pass {number}")
    documents = [*entries(rng), *lists(rng), *drills(rng, held_out_keys())]
    documents.extend(echo(rng, list(titles())) for _ in range(NUM_ECHOES))
    documents.extend(story(rng) for _ in range(NUM_STORIES))
    rng.shuffle(documents)
    return documents


def entries(rng: Random) -> Iterator[str]:
    """For each word a document: the word as the title, then what is known of it, in one or two wordings each."""
    for title, statements in titles().items():
        facts = [
            fact.format_map(item)
            for family, item in statements
            for fact in rng.sample(family.facts, min(len(family.facts), rng.choice((1, 2, 2))))
        ]
        rng.shuffle(facts)
        yield f"{title}\n{rng.choice((' ', ' ', chr(10))).join(facts)}"


def lists(rng: Random) -> Iterator[str]:
    """For each family documents with one wording and several items."""
    for family in FAMILIES:
        items = rng.sample(family.items, len(family.items))
        for start in range(0, len(items), 8):
            fact = rng.choice(family.facts)
            if rng.random() < 0.5:
                yield " ".join(fact.format_map(item) for item in items[start : start + 8])


def drills(rng: Random, held_out: dict[str, set[str]]) -> Iterator[str]:
    """For each rule documents with several fresh instances, a line each."""
    for family in FAMILIES:
        if family.draw is not None:
            for _ in range(NUM_DRILLS):
                yield "\n".join(instances(rng, family, held_out[family.name]))


def instances(rng: Random, family: Family, held_out: set[str]) -> Iterator[str]:
    """Some instances of a family's rule, none of those held out."""
    assert family.draw is not None
    fact = rng.choice(family.facts)
    for _ in range(rng.randint(2, 5)):
        item = family.draw(rng)
        if family.items or family.key.format_map(item) not in held_out:
            yield fact.format_map(item)


def titles() -> Titles:
    """Word -> all families that have something to say about it, with its item there."""
    found: Titles = {}
    for family in FAMILIES:
        for item in family.items:
            found.setdefault(item["word"], []).append((family, item))
    return found


def held_out_keys() -> dict[str, set[str]]:
    """Family -> the keys that its test and validation rows are about."""
    parts = make_parts()
    keys: dict[str, set[str]] = {family.name: set() for family in FAMILIES}
    for row in (*parts.test, *parts.validation):
        keys[row.family].add(row.key)
    return keys
