"""The contract of prompt styles, checked on ordinary and on awkward examples.

Takes a style, raises `ContractError` with what it does and what it should do. Needs no tokenizer: what a tokenizer
would trip over at the border of prompt and answer is judged from the text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from sftframe.interfaces import PromptStyle
from sftframe.records import Example, Role, Segment
from sftframe.testing.contract import Check, require, verify

PLAIN = Example(instruction="Name the capital of France.", output="The capital of France is Paris.", index=0)
WITH_INPUT = Example(instruction="Sort these words.", input="pear, apple, fig", output="apple, fig, pear", index=1)
AWKWARD = (
    Example(instruction="Écris « bonjour » en 日本語 👋🏽.", input="naïve\u00a0café", output="こんにちは", index=2),
    Example(instruction="Fill in {instruction} and {0}, %s.", input="{input} \\n $x", output="{output} %d", index=3),
    Example(instruction="Write two lines.", output="first line\n\nsecond line", index=4),
    Example(instruction="Repeat <|endoftext|> as text.", input="### Input:", output="<|endoftext|> is text.", index=5),
    Example(instruction="Say nothing.", output="", index=6),
)


END_OF_TEXT = "<|endoftext|>"
"""The control token that every tokenizer of GPT-2's family has."""


def check_prompt_style(style: PromptStyle) -> None:
    """Check that a style keeps the promises that training, generation and judging rely on.

    Raises:
        ContractError: the first promise that is broken.
    """
    verify(style, CHECKS, style)


def gives_segments(style: PromptStyle) -> None:
    """It gives segments, each with a role and a text."""
    for example in (PLAIN, WITH_INPUT, *AWKWARD):
        for piece in style.segments(example):
            require(isinstance(piece, Segment), f"segments() gave {piece!r}; expected Segment(role, text)")
            require(isinstance(piece.role, Role), f"the segment {piece!r} has no role; expected one of Role")
            require(isinstance(piece.text, str), f"the segment {piece!r} has no text; expected a str")


def is_deterministic(style: PromptStyle) -> None:
    """The same example is always written the same way."""
    for example in (PLAIN, WITH_INPUT):
        first, second = tuple(style.segments(example)), tuple(style.segments(example))
        require(first == second, f"the same example was written as {_text(first)!r} and then as {_text(second)!r}")
        moved = tuple(style.segments(dataclasses.replace(example, index=example.index + 1000)))
        require(first == moved, "the text depends on the example's index, which is only its place in the file")


def has_one_response(style: PromptStyle) -> None:
    """There is exactly one response segment, and the output is in it."""
    for example in _examples(style):
        responses = [piece.text for piece in style.segments(example) if piece.role is Role.RESPONSE]
        require(len(responses) == 1, f"it gave {len(responses)} RESPONSE segments for {example!r}; expected one")
        require(
            example.output.strip() in responses[0],
            f"the RESPONSE segment is {responses[0]!r}, without the example's output {example.output!r}",
        )


def keeps_roles_in_order(style: PromptStyle) -> None:
    """The prompt comes first, then the response, then nothing but closing tags."""
    for example in _examples(style):
        prompt, answer = style.render(example)
        require(prompt, "nothing comes before the response; a model needs a prompt to go on from")
        early = [piece for piece in prompt if piece.role is Role.END]
        require(not early, f"an END segment comes before the response: {early}; inside a prompt a tag is TEMPLATE")
        late = [piece for piece in answer[1:] if piece.role is not Role.END]
        require(not late, f"after the response comes {late}; the model has to write it itself: make it END or drop it")


def hides_the_output(style: PromptStyle) -> None:
    """The prompt does not depend on the output."""
    for example in _examples(style):
        prompt = style.prompt_text(example)
        other = style.prompt_text(dataclasses.replace(example, output="quite another answer"))
        require(prompt == other, f"with another output the prompt {prompt!r} becomes {other!r}: it tells the answer")


def shows_instruction_and_input(style: PromptStyle) -> None:
    """Instruction and input are in the prompt, word for word, under their own roles."""
    for example in _examples(style):
        prompt = style.render(example)[0]
        for role, text in ((Role.INSTRUCTION, example.instruction), (Role.INPUT, example.input)):
            found = "".join(piece.text for piece in prompt if piece.role is role)
            wanted = f"expected {text!r} unchanged" if text else "expected none, since the example has none"
            require(text in found and bool(text) == bool(found), f"the prompt's {role.name} is {found!r}; {wanted}")


def has_a_clean_border(style: PromptStyle) -> None:
    """Prompt and answer meet where a tokenizer can cut."""
    for example in (PLAIN, WITH_INPUT):
        prompt = style.prompt_text(example)
        answer = style.render(example)[1][0].text
        blank = prompt[len(prompt.rstrip()) :]
        require(
            blank in ("", "\n"),
            f"the prompt ends in {blank!r}, which a tokenizer joins with what follows; end it in a word, a sign or one "
            "line break, and begin the RESPONSE with the rest",
        )
        require(
            not (blank and answer[:1].isspace()),
            f"the prompt ends in a line break and the RESPONSE begins with {answer[0]!r}: a tokenizer joins them",
        )


def holds_its_border(style: PromptStyle) -> None:
    """No token crosses the border of prompt and answer, whatever the answer begins with."""
    for output in ("Word by word.", "7 apples.", '"Quoted."', "(a) or (b)"):
        example = dataclasses.replace(PLAIN, output=output)
        prompt, answer = style.prompt_text(example), style.render(example)[1][0].text
        is_apart = prompt.endswith("\n") or answer[:1].isspace()
        require(
            is_apart or _kind(prompt[-1]) != _kind(answer[0]),
            f"the prompt ends in {prompt[-1]!r} and the RESPONSE may begin with {answer[0]!r}, which a tokenizer can "
            "join to one token that no prompt ends in; end the prompt in a line break, or begin the RESPONSE with a "
            "space",
        )


def has_usable_stop_strings(style: PromptStyle) -> None:
    """Stop strings are texts that no good answer contains, and every closing tag is one."""
    stops = style.stop_strings
    require(isinstance(stops, tuple), f"stop_strings is {stops!r}; expected a tuple of texts (mind the comma)")
    for stop in stops:
        require(isinstance(stop, str) and stop.strip(), f"the stop string {stop!r} would end any answer")
    for example in (PLAIN, WITH_INPUT):
        answer = style.render(example)[1]
        cut = [stop for stop in stops if stop in answer[0].text]
        require(not cut, f"the stop string {cut} is in the ordinary answer {answer[0].text!r} and would cut it")
        tag = _text(answer[1:]).strip()
        stopped = not tag or any(tag.startswith(stop.strip()) for stop in stops)
        require(stopped, f"the closing tag {tag!r} is trained but does not stop an answer; add it to stop_strings")


def writes_no_control_token(style: PromptStyle) -> None:
    """No word of its own is the end token of GPT-2's tokenizers."""
    for example in (PLAIN, WITH_INPUT):
        text = _text(style.segments(example))
        require(
            END_OF_TEXT not in text,
            f"it writes {END_OF_TEXT!r}, which is trained as the ordinary tokens of its letters, while other programs "
            "read one control token: such a model cannot be exported; use other words",
        )


def extracts_the_answer(style: PromptStyle) -> None:
    """What the model was taught to write is read back as the output."""
    for example in _examples(style):
        if any(stop in example.output for stop in style.stop_strings):
            continue
        answer = style.render(example)[1]
        for text in (_text(answer), answer[0].text):
            found = style.extract(text)
            require(
                found == example.output.strip(),
                f"extract({text!r}) gave {found!r}; expected the output {example.output.strip()!r}",
            )


CHECKS: tuple[Check[PromptStyle], ...] = (
    gives_segments,
    is_deterministic,
    has_one_response,
    keeps_roles_in_order,
    hides_the_output,
    shows_instruction_and_input,
    has_a_clean_border,
    holds_its_border,
    has_usable_stop_strings,
    extracts_the_answer,
    writes_no_control_token,
)
"""In the order in which they run; each relies on those before it."""


def _examples(style: PromptStyle) -> Iterator[Example]:
    """All examples, and one whose data speaks the style's own template words."""
    yield from (PLAIN, WITH_INPUT, *AWKWARD)
    words = _text(piece for piece in style.segments(WITH_INPUT) if piece.role is Role.TEMPLATE)
    yield Example(instruction=f"Explain: {words}.", input=f"{words}!", output="It is a template.", index=7)


def _text(pieces: Iterable[Segment]) -> str:
    return "".join(piece.text for piece in pieces)


def _kind(character: str) -> str:
    """What a tokenizer keeps together: letters, digits, or signs."""
    return "letter" if character.isalpha() else "digit" if character.isnumeric() else "sign"
