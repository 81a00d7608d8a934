"""All families, in the order in which they were thought of; one module a subject."""

from recipes.starter.families import adjectives, letters, nouns, numbers, sentences, verbs, world
from recipes.starter.family import Family

FAMILIES: tuple[Family, ...] = (
    *adjectives.FAMILIES,
    *nouns.FAMILIES,
    *verbs.FAMILIES,
    *letters.FAMILIES,
    *numbers.FAMILIES,
    *sentences.FAMILIES,
    *world.FAMILIES,
)
"""Every family that `starter` and the pretraining text are made from."""
