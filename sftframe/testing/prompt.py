"""Checks the contract of prompt styles, on ordinary, awkward and random examples, in this and other processes.

No tokenizer is needed: the border of prompt and answer is checked by the text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from sftframe.errors import SftframeError
from sftframe.plugins import PromptStyle
from sftframe.records import Example, Role, Segment, Turn
from sftframe.testing import texts
from sftframe.testing.contract import Check, left_alone, require, shown, verify
from sftframe.testing.elsewhere import Job, in_processes, set_clock, watched_environment

PLAIN = Example(instruction="Name the capital of France.", output="The capital of France is Paris.", index=0)
WITH_INPUT = Example(instruction="Sort these words.", input="pear, apple, fig", output="apple, fig, pear", index=1)
AWKWARD = (
    Example(instruction="Écris « bonjour » en 日本語 👋🏽.", input="naïve\u00a0café", output="こんにちは", index=2),
    Example(instruction="Fill in {instruction} and {0}, %s.", input="{input} \\n $x", output="{output} %d", index=3),
    Example(instruction="Write two lines.", output="first line\n\nsecond line", index=4),
    Example(instruction="Repeat <|endoftext|> as text.", input="### Input:", output="<|endoftext|> is text.", index=5),
    Example(instruction="Say nothing.", output="", index=6),
)
MARKED = Example(instruction="zorvaplex instructs", input="quimbledore inputs", output="fraxinomel outputs", index=8)
"""Words that no style writes itself."""

TALK = Example(
    turns=(
        Turn(instruction="vexamund asks", output="ostrilene answers"),
        Turn(instruction="bromquist asks", input="calthorpe inputs", output="wendelmar answers"),
    ),
    instruction="zorvaplex asks",
    output="fraxinomel answers",
    index=9,
)
"""A conversation in words that no style writes itself."""
MANNERS = "pollivander instructs"
"""A system message in such words."""

END_OF_TEXT = "<|endoftext|>"
"""The control token that every tokenizer of GPT-2's family has."""

_CALLS_S = 0.3
"""Time for writing one example again and again."""

Told = tuple[str, str]
"""What an example became: a hash, and the text as a message shows it."""


def check_prompt_style(style: PromptStyle) -> None:
    """Check that a style keeps the promises that training, generation and judging rely on.

    Raises:
        ContractError: every promise that is broken.
    """
    verify(style, CHECKS, style)


def gives_segments(style: PromptStyle) -> None:
    """It gives segments, each with a role and a text."""
    for example in (PLAIN, WITH_INPUT, *AWKWARD, *_with_texts()):
        for piece in style.segments(example):
            require(isinstance(piece, Segment), f"segments() gave {shown(piece)}; expected Segment(role, text)")
            require(isinstance(piece.role, Role), f"the segment {shown(piece)} has no role; expected one of Role")
            require(isinstance(piece.text, str), f"the segment {shown(piece)} has no text; expected a str")


def is_deterministic(style: PromptStyle) -> None:
    """The same example is always written the same way."""
    for example in (PLAIN, WITH_INPUT):
        first = tuple(style.segments(example))
        _require_same(style, example, first, "twice")
        for index in (example.index + 1000, 1, 2, 3, 5, 7, 10, 50, 99, 100, 101, 1023, 9_999, 1_000_003):
            moved = tuple(style.segments(dataclasses.replace(example, index=index)))
            require(
                first == moved,
                f"with the index {index} {shown(_text(first))} becomes {shown(_text(moved))}: the text depends on the "
                "example's index, which is only its place in the file",
            )
        for other in (*AWKWARD, PLAIN, WITH_INPUT):
            tuple(style.segments(other))
            style.extract(other.output)
            _require_same(style, example, first, "after other examples")
    first, end = tuple(style.segments(PLAIN)), time.perf_counter() + _CALLS_S
    for _ in range(2000):
        _require_same(style, PLAIN, first, "after many calls")
        if time.perf_counter() > end:
            return


def depends_on_the_example_alone(style: PromptStyle) -> None:
    """The text depends on the example and the options, not on the process, its environment, the date or the past."""
    examples = (PLAIN, WITH_INPUT, *AWKWARD, *_with_texts()[::3], *_alike())
    forward = [Job(probe=_written, given=(examples,), hash_seed=seed) for seed in (1, 2, 3)]
    backward = Job(probe=_written, given=(examples[::-1],), hash_seed=4)
    abroad = Job(probe=_written_at_other_times, given=(examples,), hash_seed=5, is_foreign=True)
    found = in_processes(style, [*forward, backward, abroad])
    if not found:
        return
    first, *others, turned, (asked, elsewhere, moments) = found
    for other in others:
        _require_alike(first, other, *_HASHES)
    if turned[::-1] != first:
        (again,) = in_processes(style, [dataclasses.replace(backward, hash_seed=1)])
        _require_alike(first, turned[::-1], *(_HASHES if again[::-1] == first else _PAST))
    _require_alike(first, _written(style, examples), *_PAST)
    if elsewhere != first:
        (again,) = in_processes(style, [dataclasses.replace(forward[0], hash_seed=5)])
        _require_alike(first, elsewhere, *(_HASHES if again != first else _ABROAD))
    for moment in moments:
        _require_alike(moments[0], moment, *_DATE)
    require(
        not asked,
        f"it reads the environment variable {', '.join(sorted(asked))} while it writes: another machine would write "
        "another text; take it as an option of the style",
    )


_HASHES = (
    "in another process",
    "something has an order that differs between processes, such as a set's, or comes from hash(), id() or a random "
    "number: sort it, or write a list",
)
_PAST = (
    "after other examples",
    "it remembers what it wrote before, or counts its calls; make each text from its example alone",
)
_ABROAD = (
    "in another folder, language, time zone and environment",
    "take what may vary as an option of the style",
)
_DATE = (
    "on another date",
    "a text with the date in it is another one tomorrow: take the date as an option, or leave it out",
)


def _written(style: PromptStyle, examples: Sequence[Example]) -> list[Told]:
    """What each example becomes."""
    return [_told(style, example) for example in examples]


def _written_at_other_times(
    style: PromptStyle, examples: Sequence[Example]
) -> tuple[set[str], list[Told], list[list[Told]]]:
    """Environment variables that the style asks for; what it writes now, and in all months and at all hours."""
    with watched_environment(style) as asked:
        now, moments = _written(style, examples), []
        for number in range(26):
            set_clock(number * (31 * 24 + 7) * 3600.0)
            moments.append(_written(style, examples[:3]))
    return asked, now, moments


def _told(style: PromptStyle, example: Example) -> Told:
    pieces = [(int(piece.role), piece.text) for piece in style.segments(example)]
    exact = repr((pieces, style.stop_strings, style.extract(example.output)))
    return hashlib.sha256(exact.encode(errors="backslashreplace")).hexdigest(), shown("".join(t for _, t in pieces))


def _require_alike(one: Sequence[Told], other: Sequence[Told], where: str, remedy: str) -> None:
    for (here, text), (there, other_text) in zip(one, other, strict=True):
        more = "" if text != other_text else " (the roles, the stop strings or what extract() reads differ)"
        require(here == there, f"the same example was written as {text} and, {where}, as {other_text}{more}: {remedy}")


def _require_same(style: PromptStyle, example: Example, first: tuple[Segment, ...], when: str) -> None:
    again = tuple(style.segments(example))
    require(
        first == again,
        f"{when} the same example was written as {shown(_text(first))} and then as {shown(_text(again))}: it remembers "
        "something from call to call, or draws at random; make each text from its example alone",
    )


def has_one_response(style: PromptStyle) -> None:
    """There is exactly one response segment, with the output in it, every character as it is."""
    for example in (*_examples(style), *_with_outputs(MARKED)):
        responses = [piece.text for piece in style.segments(example) if piece.role is Role.RESPONSE]
        require(len(responses) == 1, f"it gave {len(responses)} RESPONSE segments for {shown(example)}; expected one")
        require(
            example.output in responses[0],
            f"the RESPONSE segment is {shown(responses[0])}, without the example's output {shown(example.output)}; "
            "write the output as it is: no strip(), no cut, no normalising, no other line ends",
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
    """Neither the prompt nor the closing tag depends on the output."""
    for example in (PLAIN, WITH_INPUT, MARKED, AWKWARD[0]):
        prompt, answer = style.render(example)
        for output in texts.outputs():
            other, changed = style.render(dataclasses.replace(example, output=output))
            require(
                answer[1:] == changed[1:],
                f"with the output {shown(output)} the closing tag is {_text(changed[1:])!r}, and {_text(answer[1:])!r} "
                f"with {shown(example.output)}; close every answer in the same way",
            )
            if prompt == other:
                continue
            again = style.render(example)[0]
            require(
                again == prompt,
                f"after an example with the output {shown(output)} the prompt {shown(_text(prompt))} becomes "
                f"{shown(_text(again))}: it remembers something from call to call",
            )
            require(
                False,
                f"with the output {shown(output)} instead of {shown(example.output)} the prompt "
                f"{shown(_text(prompt))} becomes {shown(_text(other))}: it tells the answer",
            )


def shows_instruction_and_input(style: PromptStyle) -> None:
    """Instruction and input are in the prompt, every character as it is, under their own roles."""
    for example in (*_examples(style), *_with_texts()):
        prompt = style.render(example)[0]
        for role, text in ((Role.INSTRUCTION, example.instruction), (Role.INPUT, example.input)):
            _require_shown(style, [piece.text for piece in prompt if piece.role is role], role, text)


def _require_shown(style: PromptStyle, pieces: Sequence[str], role: Role, text: str) -> None:
    found = "".join(pieces)
    if not text:
        require(not found, f"the prompt's {role.name} is {shown(found)}; expected none, since the example has none")
        return
    trimmed = text.strip() if style.is_trimming else text
    remedy = "no strip(), no cut, no normalising, no other line ends, and `if example.input:` rather than a test of "
    require(
        trimmed in found,
        f"the prompt's {role.name} is {shown(found)}; expected {shown(text)} unchanged: {remedy}what is in it",
    )
    is_whole = found.strip() == text.strip() or all(piece.strip() == text.strip() for piece in pieces if piece.strip())
    require(
        is_whole,
        f"the prompt's {role.name} is {shown(found)} for the text {shown(text)}; the words around it are TEMPLATE",
    )


def keeps_its_own_words(style: PromptStyle) -> None:
    """TEMPLATE and END contain the style's own words, and nothing from the example."""
    [long] = texts.of_lengths(3000)
    wide = dataclasses.replace(
        MARKED,
        instruction=f"{MARKED.instruction} {long}",
        input=f"{MARKED.input} {long}",
        output=f"{MARKED.output} {long}",
    )
    for example in (MARKED, dataclasses.replace(MARKED, input=""), wide, dataclasses.replace(wide, input="")):
        for piece in style.segments(example):
            own = piece.text.lower() if piece.role in (Role.TEMPLATE, Role.END) else ""
            for name in ("instruction", "input", "output"):
                word = getattr(example, name).partition(" ")[0]
                require(
                    not word or word not in own,
                    f"the {piece.role.name} segment {shown(piece.text)} has words of the {name}; give them the role "
                    f"{'RESPONSE' if name == 'output' else name.upper()}",
                )


def has_a_clean_border(style: PromptStyle) -> None:
    """Prompt and answer meet where a tokenizer can cut."""
    for example in _for_borders():
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
            f"the prompt ends in a line break and the RESPONSE begins with {answer[:1]!r}: a tokenizer joins them",
        )


def holds_its_border(style: PromptStyle) -> None:
    """No token crosses the border of prompt and answer, whatever the answer begins with."""
    for example in _for_borders():
        for output in ("Word by word.", "7 apples.", '"Quoted."', "(a) or (b)", "été", "日本", "-3", "👋", "<b>"):
            changed = dataclasses.replace(example, output=output)
            prompt, answer = style.prompt_text(changed), style.render(changed)[1][0].text
            is_apart = prompt.endswith("\n") or answer[:1].isspace()
            require(
                is_apart or _kind(prompt[-1]) != _kind(answer[0]),
                f"the prompt ends in {prompt[-1]!r} and the RESPONSE may begin with {answer[0]!r}, which a tokenizer "
                "can join to one token that no prompt ends in; end the prompt in a line break, or begin the RESPONSE "
                "with a space",
            )


def has_usable_stop_strings(style: PromptStyle) -> None:
    """Stop strings are texts that no good answer contains, and every closing tag is one."""
    stops = style.stop_strings
    require(isinstance(stops, tuple), f"stop_strings is {stops!r}; expected a tuple of texts (mind the comma)")
    for stop in stops:
        require(isinstance(stop, str) and stop.strip(), f"the stop string {stop!r} would end any answer")
    for example in (PLAIN, WITH_INPUT, *(dataclasses.replace(PLAIN, output=output) for output in _ordinary())):
        answer = style.render(example)[1]
        cut = [stop for stop in stops if stop in answer[0].text]
        require(
            not cut,
            f"the stop string {cut} is in the ordinary answer {shown(answer[0].text)} and would cut it; name a tag, or "
            "the words that begin the next turn",
        )
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
    for example in (*_examples(style), *(dataclasses.replace(PLAIN, output=output) for output in texts.outputs())):
        if any(stop in example.output for stop in style.stop_strings):
            continue
        answer = style.render(example)[1]
        wanted = example.output.strip()
        for text in dict.fromkeys((_text(answer), answer[0].text)):
            found = style.extract(text)
            require(
                found == wanted,
                f"extract({shown(text)}) gave {shown(found)}; expected the output {shown(wanted)}, without white "
                "space around it and otherwise as it is",
            )


def extracts_from_anything(style: PromptStyle) -> None:
    """Whatever a model writes, an answer is read out of it, and the text after a stop string is not in it."""
    for text in ("", " ", "\n", "\ufffd", "<", "</", "no tag here", *texts.AWKWARD, *style.stop_strings):
        found = style.extract(text)
        require(isinstance(found, str), f"extract({shown(text)}) gave {shown(found)}; expected a str")
    for stop in style.stop_strings:
        for answer in ("Paris.", "first line\n\nsecond line", "42"):
            for rest in ("", " and on it goes", f"\n{stop} again {stop}"):
                found = style.extract(f"{answer}{stop}{rest}")
                require(
                    found == answer,
                    f"extract({shown(answer + stop + rest)}) gave {shown(found)}; expected {answer!r}, what comes "
                    "before the first stop string",
                )


def writes_whole_conversations(style: PromptStyle) -> None:
    """Of a conversation every exchange is written, in order, each text under its role, as it is."""
    if not style.can_converse:
        return
    pieces = tuple(style.conversation(TALK))
    found = [(piece.role, piece.text.strip()) for piece in pieces if piece.role not in (Role.TEMPLATE, Role.END)]
    wanted = [
        (role, text)
        for one in TALK.exchanges
        for role, text in (
            (Role.INSTRUCTION, one.instruction),
            (Role.INPUT, one.input),
            (Role.RESPONSE, one.output),
        )
        if text
    ]
    for place, (role, text) in enumerate(wanted):
        there = found[place] if place < len(found) else None
        require(
            there == (role, text),
            f"in a conversation of {len(TALK.exchanges)} exchanges the {role.name} {text!r} is missing or out of place"
            f"{'' if there is None else f'; there is {there[0].name} {shown(there[1])}'}: write every exchange, the "
            "oldest first",
        )
    require(len(found) == len(wanted), f"a conversation has more texts than were given: {found[len(wanted) :]}")


def tells_no_later_answer(style: PromptStyle) -> None:
    """What is asked in a conversation depends on nothing that is said later."""
    if not style.can_converse:
        return
    turns = style.render_turns(TALK)
    for number in range(len(TALK.exchanges)):
        exchanges = [dataclasses.replace(turn, output="yx") for turn in TALK.turns[number:]]
        other = dataclasses.replace(TALK, turns=(*TALK.turns[:number], *exchanges), output="yx")
        prompt, changed = _text(turns[number][0]), _text(style.render_turns(other)[number][0])
        require(
            prompt == changed,
            f"the prompt of exchange {number} is {shown(prompt)}, and {shown(changed)} with other answers after it: it "
            "tells what is not said yet",
        )


def closes_every_answer(style: PromptStyle) -> None:
    """Every answer of a conversation ends in the same closing tag, or none does."""
    if not style.can_converse:
        return
    *earlier, last = [_text(answer[1:]) for _, answer in style.render_turns(TALK)]
    require(
        all(tag == earlier[0] and last.startswith(tag) and bool(tag) == bool(last) for tag in earlier),
        f"the answers of a conversation end in {earlier} and {last!r}: give every RESPONSE the same END, or none any, "
        "so that the end of each is learned",
    )


def writes_a_system_message_once(style: PromptStyle) -> None:
    """A system message is written once, before the first question; or it is left out whole, or refused."""
    single = dataclasses.replace(PLAIN, system=MANNERS)
    examples = (single, dataclasses.replace(TALK, system=MANNERS)) if style.can_converse else (single,)
    for example in examples:
        try:
            prompt, _ = style.render(example)
        except SftframeError:
            continue  # many models' own templates know user and assistant alone, and say so
        said = [place for place, piece in enumerate(prompt) if MANNERS in piece.text]
        if not said:
            continue
        asked = next(place for place, piece in enumerate(prompt) if piece.role is Role.INSTRUCTION)
        require(
            len(said) == 1 and said[0] < asked,
            f"the system message is written {len(said)} times, or after the first question: {shown(_text(prompt))}; "
            "write it once, where example.system is not empty",
        )
        role = prompt[said[0]].role
        require(role is Role.SYSTEM, f"the system message has the role {role.name}; expected SYSTEM")


def leaves_the_process_alone(style: PromptStyle) -> None:
    """It changes nothing of the process that it runs in, and prints nothing."""
    with left_alone("writing an example"):
        for example in (PLAIN, WITH_INPUT, *AWKWARD):
            style.render(example)
            style.extract(example.output)


CHECKS: tuple[Check[PromptStyle], ...] = (
    gives_segments,
    is_deterministic,
    depends_on_the_example_alone,
    has_one_response,
    keeps_roles_in_order,
    hides_the_output,
    shows_instruction_and_input,
    keeps_its_own_words,
    has_a_clean_border,
    holds_its_border,
    has_usable_stop_strings,
    extracts_the_answer,
    extracts_from_anything,
    writes_no_control_token,
    writes_whole_conversations,
    tells_no_later_answer,
    closes_every_answer,
    writes_a_system_message_once,
    leaves_the_process_alone,
)
"""In the order in which they run; each relies on those before it."""


def _examples(style: PromptStyle) -> Iterator[Example]:
    """Some examples of each kind, and one whose data speaks the style's own template words."""
    yield from (PLAIN, WITH_INPUT, *AWKWARD)
    words = _text(piece for piece in style.segments(WITH_INPUT) if piece.role is Role.TEMPLATE)
    yield Example(instruction=f"Explain: {words}.", input=f"{words}!", output="It is a template.", index=7)


@cache
def _with_texts() -> tuple[Example, ...]:
    """Awkward, long and drawn texts as instructions and as inputs, blank ones as inputs."""
    lengths = texts.of_lengths(100, 300, 512, 1000, 2048, 5000, 20_000, 100_000)
    wide = (*texts.AWKWARD, *texts.of_many_lines()[::3], *lengths, *texts.drawn(30, seed=1))
    return (
        *(Example(instruction=text, output="Done.", index=10) for text in wide),
        *(Example(instruction="Do it.", input=text, output="Done.", index=11) for text in (*wide, *texts.BLANK)),
        *(Example(instruction=text, input=text, output="Done.", index=12) for text in texts.drawn(10, seed=2)),
    )


def _with_outputs(example: Example) -> Iterator[Example]:
    return (dataclasses.replace(example, output=output) for output in (*texts.outputs(), *texts.BLANK))


def _ordinary() -> tuple[str, ...]:
    return (*texts.ANSWERS, *texts.of_lengths(400, 2000), *texts.of_many_lines())


@cache
def _alike() -> tuple[Example, ...]:
    """Examples that differ from one before them in one field."""
    first = Example(instruction="Translate into French.", input="good morning", output="bonjour", index=20)
    changed = ({"index": 21}, {"instruction": "Translate."}, {"input": "good night"}, {"output": "bonne nuit"})
    return (first, *(dataclasses.replace(first, **change) for change in changed))


@cache
def _for_borders() -> tuple[Example, ...]:
    """Ordinary prompts of many lengths, which end in letters, digits and signs."""
    ends = ("word", "2024", "?", ")", '"')
    long = texts.of_lengths(400, 3000)
    prompts = [Example(instruction=f"Do it {end}", output="Paris.", index=30) for end in ends]
    inputs = [Example(instruction="Do it.", input=f"with {end}", output="Paris.", index=31) for end in ends]
    more = [Example(instruction=text, input=text, output="Paris.", index=32) for text in long]
    return (PLAIN, WITH_INPUT, *prompts, *inputs, *more)


def _text(pieces: Iterable[Segment]) -> str:
    return "".join(piece.text for piece in pieces)


def _kind(character: str) -> str:
    """What a tokenizer keeps together: letters, digits, or signs."""
    return "letter" if character.isalpha() else "digit" if character.isnumeric() else "sign"
