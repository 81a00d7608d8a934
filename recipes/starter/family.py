"""What a family of instructions is: things to ask about, ways of asking, and statements of the same facts.

A family knows nothing of files, splits or models. `asks` make fine-tuning rows; `facts` make pretraining text, in which
an answer's wording has to occur, because a small model recalls a fact best in the words that it learned it in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from recipes.starter.words.table import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry of the data file, with the family and the key that the split and the tests need."""

    family: str
    key: str
    instruction: str
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One way of asking and how it is answered; `{word}` and the like stand for the item's fields."""

    instruction: str
    output: str
    input: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family: either a list of `items`, or a rule (`draw`) that makes as many as are wanted."""

    name: str
    asks: tuple[Ask, ...]
    facts: tuple[str, ...]
    items: tuple[Item, ...] = ()
    draw: Callable[[Random], Item] | None = None
    key: str = "{word}"
    max_rows: int = 36

    def choose_items(self, rng: Random) -> list[Item]:
        """At most `max_rows` items with different keys, in random order."""
        pool = list(self.items) if self.draw is None else [self.draw(rng) for _ in range(4 * self.max_rows)]
        unique = {self.key.format_map(item): item for item in pool}
        chosen = list(unique.values())
        rng.shuffle(chosen)
        return chosen[: self.max_rows]

    def rows(self, rng: Random) -> list[Row]:
        """One row an item, the ways of asking in turn."""
        items = self.choose_items(rng)
        return [self._row(item, self.asks[number % len(self.asks)]) for number, item in enumerate(items)]

    def _row(self, item: Item, ask: Ask) -> Row:
        texts = [text.format_map(item) for text in (ask.instruction, ask.input, ask.output)]
        return Row(
            family=self.name, key=self.key.format_map(item), instruction=texts[0], input=texts[1], output=texts[2]
        )
