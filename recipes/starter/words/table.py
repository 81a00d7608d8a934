"""Reads the word lists, which are written as readable text tables."""

from __future__ import annotations

from collections.abc import Mapping

Item = Mapping[str, str]
"""One thing that an instruction can be about: named words, say `{"word": "hot", "antonym": "cold"}`."""


def read_table(text: str) -> tuple[Item, ...]:
    """Rows of a table whose first line names the columns; columns are split by blanks, `_` stands for a blank.

    >>> read_table("word plural\\nox oxen\\nteddy_bear teddy_bears")
    ({'word': 'ox', 'plural': 'oxen'}, {'word': 'teddy bear', 'plural': 'teddy bears'})
    """
    header, *lines = [line.split() for line in text.strip().splitlines()]
    return tuple({name: cell.replace("_", " ") for name, cell in zip(header, line, strict=True)} for line in lines)


def read_groups(text: str) -> dict[str, tuple[str, ...]]:
    """Lines of `name: word word …` as a mapping.

    >>> read_groups("tool: saw axe")
    {'tool': ('saw', 'axe')}
    """
    pairs = (line.split(":") for line in text.strip().splitlines())
    return {name.strip(): tuple(words.split()) for name, words in pairs}


def with_article(noun: str) -> str:
    """The noun behind its indefinite article; the list's nouns follow the rule of the first letter.

    >>> with_article("owl"), with_article("cow")
    ('an owl', 'a cow')
    """
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def with_articles(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The items with `a_word` and `A_word`, the word behind its article in a sentence and at its start."""
    return tuple(
        {**item, "a_word": with_article(item["word"]), "A_word": with_article(item["word"]).capitalize()}
        for item in items
    )
