"""A style is known by what it writes."""

import hashlib
from collections.abc import Callable, Iterator

from sftframe import Example, PromptStyle, Role, Segment
from sftframe.prompts.tokens import FIXED_EXAMPLES, style_fingerprint


def test_styles_that_write_the_same_have_the_same_fingerprint(framed: Callable) -> None:
    assert style_fingerprint(framed("<", ">")) == style_fingerprint(framed("<", ">"))
    assert len(style_fingerprint(framed())) == 64


def test_one_space_more_is_another_fingerprint(framed: Callable) -> None:
    assert style_fingerprint(framed("<", ">")) != style_fingerprint(framed("<", "> "))


def test_the_same_text_under_other_roles_is_another_fingerprint(framed: Callable) -> None:
    class Moved(PromptStyle):
        name = "framed"
        summary = "the header belongs to the response"

        def segments(self, example: Example) -> Iterator[Segment]:
            yield Segment(Role.INSTRUCTION, example.instruction)
            yield Segment(Role.RESPONSE, ">" + example.output)

    assert style_fingerprint(Moved()) != style_fingerprint(framed("", ">"))


def test_the_fixed_examples_show_input_line_breaks_and_other_scripts() -> None:
    assert [bool(example.input) for example in FIXED_EXAMPLES] == [False, True, True]
    text = "".join(example.instruction + example.input + example.output for example in FIXED_EXAMPLES)
    assert "\n\n" in text
    assert not text.isascii()


def test_empty_pieces_do_not_show_in_the_fingerprint(framed: Callable) -> None:
    class Bare(PromptStyle):
        name = "bare"
        summary = "without the empty pieces of `framed`"

        def segments(self, example: Example) -> Iterator[Segment]:
            yield Segment(Role.INSTRUCTION, example.instruction)
            yield Segment(Role.RESPONSE, example.output)

    assert style_fingerprint(Bare()) == style_fingerprint(framed())


def test_the_fingerprint_is_the_one_that_runs_have_recorded(framed: Callable) -> None:
    """What is hashed, written out: to change it would strand every run that there is."""
    document = (
        r'[[["instruction", "Name a primary colour."], ["response", "Red is a primary colour."]], '
        r'[["instruction", "Translate into French."], ["response", "bonjour"]], '
        r'[["instruction", "Tell both lines:\n- na\u00efve\n- \u6771\u4eac"], '
        r'["response", "\u00ab na\u00efve \u00bb\n\u6771\u4eac"]]]'
    )
    assert style_fingerprint(framed()) == hashlib.sha256(document.encode()).hexdigest()
