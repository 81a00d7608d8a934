"""Examples whose prompt is too long, with the middle cut out of their input.

The example itself becomes shorter, before the prompt style writes it. So training, likelihoods and answers all use the
same prompt; the style's own words, the instruction and the response stay whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sftframe.records import Example

CUT = " … "
"""Takes the place of the removed text."""


def shortened(example: Example, fits: Callable[[Example], bool]) -> Example | None:
    """The example with as much of its input as fits, or of its instruction if it has no input; None if nothing fits.

    The beginning and the end stay, in equal parts. A text is never removed completely: a prompt without its input would
    be another question.

    >>> example = Example(index=0, instruction="Sum up.", input="a long report on the weather", output="Rain.")
    >>> shortened(example, lambda one: len(one.input) <= 13).input
    'a lon … ather'
    """
    has_input = bool(example.input.strip())
    text = example.input if has_input else example.instruction

    def kept(num_characters: int) -> Example:
        num_head = (num_characters + 1) // 2
        head, tail = text[:num_head], text[len(text) - num_characters // 2 :]
        cut = f"{head.rstrip()}{CUT}{tail.lstrip()}"
        return replace(example, input=cut) if has_input else replace(example, instruction=cut)

    low, high = 1, len(text) - 1
    if high < low or not fits(kept(low)):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(kept(middle)) else (low, middle - 1)
    return kept(low)
