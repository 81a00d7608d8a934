"""Names of control tokens in what a prompt style writes, for tokenizers that read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sftframe.errors import ModelError
from sftframe.plugins import PromptStyle, Tokenizer
from sftframe.prompts.tokens.rendered import Part, Rendered, render
from sftframe.records import Example, Role, Segment


@dataclass(frozen=True, slots=True)
class ControlNames:
    """The names of a tokenizer's control tokens.

    >>> names = ControlNames({"<end>": 9, "<end_of_turn>": 7}, end_id=9, begin_ids=())
    >>> names.first_in("Red.<end_of_turn><end>")
    '<end_of_turn>'
    """

    ids: Mapping[str, int]
    end_id: int
    begin_ids: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> ControlNames | None:
        """The names that a tokenizer reads; None if they are text for it.

        Raises:
            ModelError: its end token or a begin token has no name.
        """
        if not tokenizer.reads_control_names:
            return None
        needed = (tokenizer.end_id, *tokenizer.begin_ids)
        nameless = next((each for each in needed if each not in tokenizer.control_tokens.values()), None)
        if nameless is not None:
            raise ModelError(
                "the model's tokenizer reads names of control tokens, but control_tokens has no name for its "
                f"{'end' if nameless == tokenizer.end_id else 'begin'} token {nameless}"
            )
        return cls(tokenizer.control_tokens, tokenizer.end_id, tokenizer.begin_ids)

    @property
    def end(self) -> str:
        """The name of the end token."""
        return self._name(self.end_id)

    @property
    def begin(self) -> str:
        """The names of the begin tokens, joined."""
        return "".join(map(self._name, self.begin_ids))

    def _name(self, token_id: int) -> str:
        return next(name for name, each in self.ids.items() if each == token_id)

    def first_in(self, text: str) -> str | None:
        """The first name in a text; the longest of those that begin there."""
        found = self._pattern().search(text)
        return found and found[0]

    def _pattern(self) -> re.Pattern[str]:
        # re keeps the last 512 patterns compiled
        return re.compile("|".join(map(re.escape, sorted(self.ids, key=len, reverse=True))))

    def closing(self, part: Part) -> str | None:
        """The first name in the closing tags of an answer."""
        return self.first_in("".join(segment.text for segment in part.segments if segment.role is Role.END))

    def completed(self, written: Rendered) -> Rendered:
        """An example in which the names of begin and end tokens stand wherever such a token is needed.

        Begin tokens are at the front, unless the style writes them itself. An end token follows an earlier answer
        without a closing tag, and the last answer unless its closing tag has a control token, which then ends the turn.
        """
        last = len(written.parts) - 1
        first, *others = [
            part.followed_by(Segment(Role.END, self.end))
            if part.is_answer and (self.closing(part) is None if number == last else part.is_open)
            else part
            for number, part in enumerate(written.parts)
        ]
        own = first.segments[0] if first.segments else None
        is_begun = own is not None and own.role is Role.TEMPLATE and own.text.startswith(self.begin)
        if self.begin and not is_begun:
            first = replace(first, segments=(Segment(Role.TEMPLATE, self.begin), *first.segments))
        return Rendered((first, *others))


def ending_ids(style: PromptStyle, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The control id that ends an answer of a style, beside the tokenizer's end token; empty if none does."""
    names = ControlNames.of(tokenizer)
    if names is None:
        return ()
    written = render(style, Example(index=0, instruction="Name a primary colour.", output="Red is a primary colour."))
    name = names.closing(written.parts[-1])
    return () if name is None or names.ids[name] == tokenizer.end_id else (names.ids[name],)
