"""Little stories, and lines that say again what was said: they teach a model to use a word and to copy it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from recipes.starter.families.sentences import THINGS, draw_clause
from recipes.starter.words.adjectives import ADJECTIVES
from recipes.starter.words.nouns import COLOURS, KINDS
from recipes.starter.words.world import COUNTRIES, JOBS

ECHOES = (
    "Say {words}. You said {words}.",
    "{words}\nThe words are {words}.",
    "{first}\nThe word is {first}. Again, the word is {first}.",
    "{first}\n{second}\nFirst came {first}, then came {second}.",
    "Between {first} and {second} there is a space. After {first} comes {second}.",
    "{name} wrote {words}. We read {words}.",
    '{sentence} "{sentence}" said {name}.',
    "{sentence} {other} Yes, {sentence} And then? {other}",
    "{sentence}\n{other}\n{sentence}\n{other}",
    "Look at {first}: the word {first} stands here, and {second} stands there. That was {first}, this is {second}.",
)
"""Wordings of a repetition."""

STORIES = (
    "{name} was a {job}. {they} had a {adjective} {animal}. It {past} the {thing}, and {name} was {feeling}.",
    "There was a {adjective} {thing} in the house of {name}. {sentence} Nobody saw the {thing} again.",
    "{name} went to {country}. There {pronoun} met a {job}. The {job} said: I {word} the {thing}. {name} laughed.",
    "{sentence} {other} In the end {name} was {feeling}, and the {animal} was {adjective}.",
    "In {capital} there lived a {adjective} {animal}. Every day the {animal} {third} the {thing}. Then came {name}.",
    "{name} likes {country}. {they} will {word} the {thing} there. The {thing} is {colour}.",
    "The {animal} is {adjective}, and {name} is {feeling}. {sentence} Was the {thing} {colour}? Yes, it was {colour}.",
)
"""Wordings of a story."""


def clause_sentence(rng: Random) -> str:
    """A sentence about somebody and a thing."""
    pattern = rng.choice(
        ("{start} {third} the {thing}.", "{start} {past} the {thing}.", "The {thing} was {participle}.")
    )
    return pattern.format_map(draw_clause(rng))


def echo(rng: Random, words: Sequence[str]) -> str:
    """A line about a few random words that holds them twice."""
    chosen = rng.sample(words, rng.randint(2, 4))
    return rng.choice(ECHOES).format(
        words=", ".join(chosen),
        first=chosen[0],
        second=chosen[1],
        name=draw_clause(rng)["name"],
        sentence=clause_sentence(rng),
        other=clause_sentence(rng),
    )


def story(rng: Random) -> str:
    """A story of three or four sentences."""
    country = rng.choice(COUNTRIES)
    adjectives = rng.sample(ADJECTIVES, 2)
    return rng.choice(STORIES).format_map(
        {
            **draw_clause(rng),
            **{"country": country["word"], "capital": country["capital"], "job": rng.choice(JOBS)["word"]},
            **{"adjective": adjectives[0]["word"], "feeling": adjectives[1]["word"]},
            **{"animal": rng.choice(KINDS["animal"]), "colour": rng.choice(COLOURS)["colour"]},
            **{"sentence": clause_sentence(rng), "other": clause_sentence(rng), "thing": rng.choice(THINGS)},
        }
    )
