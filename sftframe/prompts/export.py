"""A fine-tuned model with its prompt for other programs: the parts that are the same for every model.

The `PromptTemplate`, the Jinja chat template and Ollama's `Modelfile` are made from the prompt style alone;
`write_export` puts them next to the files of the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Literal, TypeAlias

from sftframe.errors import ConfigError, PluginError, suggestion
from sftframe.files import check_target, require_space, whole_dir, write_json, write_whole
from sftframe.plugins import CausalLM, PromptStyle, Tokenizer
from sftframe.records import Example, ExportSettings, Turn
from sftframe.version import __version__


class Slot(Enum):
    """A place in a template that an example fills."""

    INSTRUCTION = "instruction"
    INPUT = "input"
    SYSTEM = "system"


Piece: TypeAlias = str | Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTemplate:
    """What a prompt style writes, as texts and slots in their order."""

    style: str
    """The style's name."""
    without_input: tuple[Piece, ...]
    """The prompt of an example that has no input."""
    with_input: tuple[Piece, ...]
    answer_start: str
    """What the style writes between the prompt and an answer, for instance a space."""
    answer_end: str
    """What it writes after an answer, before the end token, for instance a closing tag."""
    stop_strings: tuple[str, ...]
    conversation: ConversationTemplate | None = None
    """None: it writes single questions only."""

    def render(self, instruction: str, input: str = "") -> str:
        """The prompt, as the style would write it."""
        filled = {Slot.INSTRUCTION: instruction, Slot.INPUT: input}
        pieces = self.with_input if input else self.without_input
        return "".join(filled[piece] if isinstance(piece, Slot) else piece for piece in pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The prompt of an exchange."""

    without_input: tuple[Piece, ...]
    with_input: tuple[Piece, ...]

    def render(self, example: Example) -> str:
        """The prompt of an example's one exchange."""
        filled = {Slot.INSTRUCTION: example.instruction, Slot.INPUT: example.input, Slot.SYSTEM: example.system}
        pieces = self.with_input if example.input else self.without_input
        return "".join(filled[piece] if isinstance(piece, Slot) else piece for piece in pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationTemplate:
    """What a prompt style writes in a conversation."""

    first: Prompts
    after_system: Prompts | None
    """The first exchange with a system message before it; None: the style writes none."""
    later: Prompts
    is_open: bool
    """The tokenizer's end token closes every answer; else only the last one."""


PROBES = (
    Example(index=0, instruction="placeholder for instruction", input="placeholder for input", output="answer holder"),
    Example(index=7, instruction='Line 1: "a" {b}?\n\n- Two.', input="x, y;\n\tz = {{3}}.", output="First.\n\nSecond!"),
)
"""Texts that no style writes itself; they differ in everything that a style might look at."""


_LONG = "A sentence that a style might cut short. " * 250
_TRIALS: tuple[tuple[str, str], ...] = (
    ("white space around it", " \t  padded on both sides \n\n "),
    ("a long text", _LONG.strip()),
    ("many lines", "\n".join(f"{number}. line" for number in range(120))),
    ("Windows line breaks", "one\r\ntwo\rthree\r\n\r\nfour"),
    ("letters with separate accents", "nai\u0308ve cafe\u0301 A\u030a \u1112\u1161\u11ab"),
    ("letters of width and ligatures", "\ufb01ne \uff21\uff22 \u2460 \u00b2 \u212b"),
    ("spaces and tabs in a row", "a  b\t\tc   d \n \n e"),
    ("blank lines in a row", "a\n\n\n\nb"),
    ("signs that cannot be seen", "a\u200bb\ufeffc\u00add\u202ee\u00a0f\u3000g\x00h\x1bi"),
    ("signs of HTML and quotation marks", "<b>&amp; 'x' \"y\" \u201cz\u201d \u2026 \u2013"),
    ("capital letters", "SHOUTING and IJ \u0130 \u00df"),
    ("numbers", "1,000.50 007 -3 \u00bd"),
    ("template words", "{{ x }} {% y %} {0} %s $z ### Response: <|user|>"),
    ("a full stop at the end", "Do it."),
    ("a question", "Is it?"),
    ("no full stop", "do it"),
    ("one letter", "x"),
    ("white space alone", "  "),
    ("a line break alone", "\n"),
)
"""Texts that a style might change, drop or look at, with their names."""


def derive_template(style: PromptStyle) -> PromptTemplate:
    """The template that writes what the style writes.

    Raises:
        PluginError: there is none: the style changes or drops the given texts, or other words depend on them.
    """
    first, *others = (_template(style, probe) for probe in PROBES)
    if any(other != first for other in others):
        raise _no_template(style, "its own words depend on the example")
    for what, example in _trials():
        _check(style, first, what, example)
    return replace(first, conversation=_conversation(style, first))


def _conversation(style: PromptStyle, template: PromptTemplate) -> ConversationTemplate | None:
    """The template of conversations; None if the style writes none, or none of fixed words."""
    from sftframe.prompts.tokens import writes  # imports numpy, which listing must not

    probe = _probe_of_exchanges("Say one.", "Say two.")
    if not writes(style, probe):
        return None
    has_system = writes(style, replace(probe, system=_SYSTEM))
    found = ConversationTemplate(
        first=_prompts(style, probe, 0),
        after_system=_prompts(style, replace(probe, system=_SYSTEM), 0) if has_system else None,
        later=_prompts(style, probe, 1),
        is_open=not template.answer_end,
    )
    is_alike = found.first == Prompts(without_input=template.without_input, with_input=template.with_input)
    trials = [_probe_of_exchanges(text, other) for text, other in (("Line 1:\n- a?", "{{ x }}"), (" b ", "« é »"))]
    if has_system:
        trials += [replace(trial, system=text) for trial in trials for text in ("Be brief.", "é:\n\n{0}")]
    return found if is_alike and all(_is_written(style, template, found, trial) for trial in trials) else None


_SYSTEM = "placeholder for system"


def _probe_of_exchanges(text: str, other: str) -> Example:
    """Five exchanges, with and without input."""
    inputs = ("", "an input", "", "", "another input")
    first, *more, last = [
        Turn(instruction=f"{text} {number}", input=given and f"{given} {other}", output=f"{other} answer {number}")
        for number, given in enumerate(inputs)
    ]
    return Example(index=0, turns=(first, *more), instruction=last.instruction, input=last.input, output=last.output)


def _prompts(style: PromptStyle, probe: Example, number: int) -> Prompts:
    """The prompt of an exchange, with the input of that exchange taken out and put in."""
    exchange = probe.exchanges[number]

    def written(given: str) -> tuple[Piece, ...]:
        changed = replace(probe.turns[number], input=given)
        turns = (*probe.turns[:number], changed, *probe.turns[number + 1 :])
        text = "".join(piece.text for piece in style.render_turns(replace(probe, turns=turns))[number][0])
        slots = {exchange.instruction: Slot.INSTRUCTION, given: Slot.INPUT, exchange.system: Slot.SYSTEM}
        return _cut(text, {value: slot for value, slot in slots.items() if value})

    return Prompts(without_input=written(""), with_input=written("placeholder for input"))


def _is_written(
    style: PromptStyle, template: PromptTemplate, conversation: ConversationTemplate, example: Example
) -> bool:
    """Whether the template writes a conversation as the style does."""
    written = [tuple("".join(piece.text for piece in part) for part in turn) for turn in style.render_turns(example)]
    for number, (exchange, (prompt, answer)) in enumerate(zip(example.exchanges, written, strict=True)):
        prompts = conversation.later if number else conversation.first
        if exchange.system and conversation.after_system:
            prompts = conversation.after_system
        if (prompt, answer) != (
            prompts.render(exchange),
            template.answer_start + exchange.output + template.answer_end,
        ):
            return False
    return True


def _trials() -> Iterator[tuple[str, Example]]:
    """Examples with every kind of text in each field; the other fields are plain."""
    for number, (what, text) in enumerate(_TRIALS):
        plain = Example(index=1000 + number, instruction="Say it", output="So be it")
        yield f"an instruction with {what}", replace(plain, instruction=text)
        yield f"an instruction with {what}", replace(plain, instruction=text, input="of this")
        yield f"an input with {what}", replace(plain, input=text)
        yield f"an output with {what}", replace(plain, output=text)
        yield f"an output with {what}", replace(plain, input="of this", output=text)


def _check(style: PromptStyle, template: PromptTemplate, what: str, example: Example) -> None:
    """Check that the template writes the same as the style."""
    prompt, answer = ("".join(piece.text for piece in part) for part in style.render(example))
    if prompt != template.render(example.instruction, example.input):
        raise _no_template(style, f"with {what} its prompt is not its own words around the unchanged texts")
    if answer != template.answer_start + example.output + template.answer_end:
        raise _no_template(style, f"with {what} it does not write the output as it is given")


def control_tokens_in(style: PromptStyle, tokenizer: Tokenizer) -> list[str]:
    """Names of the tokenizer's control tokens among the style's own words.

    sftframe trains such a word as ordinary tokens, by its letters. Other programs read one control token there, which
    was never trained.
    """
    from sftframe.prompts.tokens import writes  # imports numpy, which listing must not

    examples = [each for probe in PROBES for each in (probe, replace(probe, input=""))]
    talk = _probe_of_exchanges("Say one.", "Say two.")
    examples += [each for each in (talk, replace(talk, system=_SYSTEM)) if writes(style, each)]
    texts = ["".join(piece.text for part in style.render(each) for piece in part) for each in examples]
    return sorted(name for name in tokenizer.control_tokens if any(name in text for text in texts))


def _template(style: PromptStyle, probe: Example) -> PromptTemplate:
    """The template as one rendered example shows it."""
    plain = Example(index=probe.index, instruction=probe.instruction, output=probe.output)
    start, end = _around_answer(style, probe)
    return PromptTemplate(
        style=style.name,
        without_input=_pieces(style, plain),
        with_input=_pieces(style, probe),
        answer_start=start,
        answer_end=end,
        stop_strings=style.stop_strings,
    )


def _pieces(style: PromptStyle, probe: Example) -> tuple[Piece, ...]:
    slots = {text: slot for slot in Slot if (text := getattr(probe, slot.value))}
    pieces = _cut(style.prompt_text(probe), slots)
    for slot in slots.values():
        if slot not in pieces:
            raise _no_template(style, f"it does not write the {slot.value} as it is given")
    return pieces


def _cut(text: str, slots: Mapping[str, Slot]) -> tuple[Piece, ...]:
    """The text with slots in place of their texts."""
    parts = re.split("(" + "|".join(map(re.escape, slots)) + ")", text)
    return tuple(slots.get(part, part) for part in parts if part)


def _around_answer(style: PromptStyle, probe: Example) -> tuple[str, str]:
    answer = "".join(segment.text for segment in style.render(probe)[1])
    start, found, end = answer.partition(probe.output)
    if not found:
        raise _no_template(style, "it does not write the output as it is given")
    return start, end


def _no_template(style: PromptStyle, reason: str) -> PluginError:
    return PluginError(
        f"prompt style {style.name!r} cannot be exported: {reason}, so no template of fixed words writes the same; "
        "`sftframe chat` and `sftframe generate` call the style itself"
    )


NO_SYSTEM = "This model was tuned without system messages: leave it out, or put it into the question."
ONE_TURN = "This model was tuned on single questions: give one user message, and at most its answer."

PLAIN_TEXT = "This model was tuned on plain text: give the content as one text, not as a list of parts."

IN_TURNS = "This model was tuned on conversations: give one system message at most, then user and assistant in turns."

_EXPRESSIONS = {Slot.INSTRUCTION: "question['content']", Slot.INPUT: "question['input']", Slot.SYSTEM: "system"}


def chat_template(template: PromptTemplate) -> str:
    """The template in Jinja. All text is in string literals, so that white space between tags never matters."""
    lines = _lines(template) if template.conversation is None else _conversation_lines(template, template.conversation)
    return "\n".join(lines) + "\n"


def _conversation_lines(template: PromptTemplate, conversation: ConversationTemplate) -> Iterator[str]:
    yield "{%- set has_system = messages[0]['role'] == 'system' -%}"
    yield "{%- set system = messages[0]['content'] if has_system else '' -%}"
    yield "{%- set said = messages[1:] if has_system else messages -%}"
    if conversation.after_system is None:
        yield "{%- if has_system -%}"
        yield f"  {{{{- raise_exception({_literal(NO_SYSTEM)}) -}}}}"
        yield "{%- endif -%}"
    yield "{%- if not said -%}"
    yield f"  {{{{- raise_exception({_literal(IN_TURNS)}) -}}}}"
    yield "{%- endif -%}"
    yield "{%- for question in said -%}"
    yield "{%- if question['role'] != ('assistant' if loop.index0 % 2 else 'user') -%}"
    yield f"  {{{{- raise_exception({_literal(IN_TURNS)}) -}}}}"
    yield "{%- endif -%}"
    yield "{%- if question['content'] is not string or system is not string -%}"
    yield f"  {{{{- raise_exception({_literal(PLAIN_TEXT)}) -}}}}"
    yield "{%- endif -%}"
    yield "{%- if question['role'] == 'assistant' -%}"
    answer = [_literal(template.answer_start), "question['content']", _literal(template.answer_end)]
    yield from _outputs(text for text in answer if text != _literal(""))
    if conversation.is_open:
        yield "  {{- eos_token -}}"
    else:
        yield "  {%- if loop.last -%}"
        yield "    {{- eos_token -}}"
        yield "  {%- endif -%}"
    if conversation.after_system is not None:
        yield "{%- elif loop.first and system -%}"
        yield from _question_lines(conversation.after_system)
    yield "{%- elif loop.first -%}"
    yield from _question_lines(conversation.first)
    yield "{%- else -%}"
    yield from _question_lines(conversation.later)
    yield "{%- endif -%}"
    yield "{%- endfor -%}"


def _question_lines(prompts: Prompts) -> Iterator[str]:
    yield "{%- if question['input'] -%}"
    yield from _prompt(prompts.with_input, "add_generation_prompt or not loop.last")
    yield "{%- else -%}"
    yield from _prompt(prompts.without_input, "add_generation_prompt or not loop.last")
    yield "{%- endif -%}"


def _lines(template: PromptTemplate) -> Iterator[str]:
    yield "{%- set question = messages[0] -%}"
    yield "{%- set has_answer = messages | length == 2 and messages[1]['role'] == 'assistant' -%}"
    yield "{%- if question['role'] == 'system' -%}"
    yield f"  {{{{- raise_exception({_literal(NO_SYSTEM)}) -}}}}"
    yield "{%- elif question['role'] != 'user' or (messages | length > 1 and not has_answer) -%}"
    yield f"  {{{{- raise_exception({_literal(ONE_TURN)}) -}}}}"
    yield "{%- endif -%}"
    yield "{%- if question['content'] is not string or (has_answer and messages[1]['content'] is not string) -%}"
    yield f"  {{{{- raise_exception({_literal(PLAIN_TEXT)}) -}}}}"
    yield "{%- endif -%}"
    yield "{%- if question['input'] -%}"
    yield from _prompt(template.with_input, "add_generation_prompt or has_answer")
    yield "{%- else -%}"
    yield from _prompt(template.without_input, "add_generation_prompt or has_answer")
    yield "{%- endif -%}"
    yield "{%- if has_answer -%}"
    answer = (_literal(template.answer_start), "messages[1]['content']", _literal(template.answer_end), "eos_token")
    yield from _outputs(text for text in answer if text != _literal(""))
    yield "{%- endif -%}"


def _prompt(pieces: tuple[Piece, ...], is_answered: str) -> Iterator[str]:
    """The question; the words after it, which ask for the answer, only if an answer follows."""
    is_open = isinstance(pieces[-1], Slot)
    asked, asking = (pieces, ()) if is_open else (pieces[:-1], pieces[-1:])
    yield from _outputs(map(_expression, asked))
    if asking:
        yield f"  {{%- if {is_answered} -%}}"
        yield from _outputs(map(_expression, asking), indent=4)
        yield "  {%- endif -%}"


def _outputs(expressions: Iterable[str], indent: int = 2) -> Iterator[str]:
    for expression in expressions:
        yield f"{' ' * indent}{{{{- {expression} -}}}}"


def _expression(piece: Piece) -> str:
    return _EXPRESSIONS[piece] if isinstance(piece, Slot) else _literal(piece)


def _literal(text: str) -> str:
    """Jinja reads JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)


WEIGHTS_FILE = "model.gguf"


def modelfile(template: PromptTemplate, *, context_length: int, max_new_tokens: int) -> str:
    """The file's text; the weights must be next to it.

    Raises:
        PluginError: a stop string has a character that a `Modelfile` cannot contain.
    """
    return "\n".join(_modelfile_lines(template, context_length, max_new_tokens)) + "\n"


def _modelfile_lines(template: PromptTemplate, context_length: int, max_new_tokens: int) -> Iterator[str]:
    yield f"# Written by sftframe from the prompt style {template.style}. Every question stands alone, as in training:"
    yield "# earlier turns and system messages are not given to the model."
    yield from _input_note(template)
    yield f"FROM ./{WEIGHTS_FILE}"
    yield f'TEMPLATE """{_go_template(template.without_input)}"""'
    for stop in template.stop_strings:
        yield f"PARAMETER stop {_quoted(stop)}"
    yield "PARAMETER temperature 0"
    yield "PARAMETER repeat_penalty 1"
    yield f"PARAMETER num_ctx {context_length}"
    yield f"PARAMETER num_predict {max_new_tokens}"


def _input_note(template: PromptTemplate) -> Iterator[str]:
    """How to give an input: as a part of the question if the prompt is the same, else only by a raw prompt."""
    place = template.without_input.index(Slot.INSTRUCTION)
    before, after = template.without_input[:place], template.without_input[place + 1 :]
    shown = template.with_input[len(before) : len(template.with_input) - len(after)]
    if before + shown + after == template.with_input:
        yield "# An input is written into the question:"
    else:
        shown = template.with_input
        yield '# With an input the whole prompt is another one, to be sent with "raw": true through the API:'
    text = "".join(f"<{piece.value}>" if isinstance(piece, Slot) else piece for piece in shown)
    for line in text.splitlines():
        yield f"#   {line}".rstrip()


def _go_template(pieces: tuple[Piece, ...]) -> str:
    question = "".join("{{ .Prompt }}" if isinstance(piece, Slot) else _go_text(piece) for piece in pieces)
    return f"{{{{ if not .Response }}}}{question}{{{{ end }}}}"


_SPECIAL = re.compile(r'"{3,}|\{+')
"""Text that may end the `Modelfile`'s string or begin an action of the template."""


def _go_text(text: str) -> str:
    """Text for a Go template; what cannot be written plainly there or in a `Modelfile` becomes a string literal."""
    without_special = _SPECIAL.sub(lambda found: _go_literal(found[0]), text)
    return "".join(c if _is_kept(c) else _go_literal(c) for c in without_special)


def _go_literal(text: str) -> str:
    """An action that writes the text: quotation marks, braces, or what cannot be printed."""
    written = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text).replace('"', '\\"')
    return f'{{{{ "{written}" }}}}'


def _quoted(text: str) -> str:
    """A parameter's value; there are no escapes for it."""
    if '"""' in text or not all(map(_is_kept, text)):
        raise PluginError(
            f"the stop string {text!r} has characters that Ollama's Modelfile cannot contain; export to hf"
        )
    return f'"""{text}"""' if '"' in text or "\n" in text else f'"{text}"'


def _is_kept(character: str) -> bool:
    """Ollama drops characters that cannot be printed, except white space inside quotation marks."""
    return character.isprintable() or character in "\n\t"


CONTENTS = "sftframe-export.json"
"""The list of written files, with version and source."""
MODELFILE = "Modelfile"


def check_out(out: Path, *, force: bool) -> None:
    """Check that an export may be written to a folder; nothing is written.

    Args:
        force: replace the export that is there.

    Raises:
        ConfigError: it is a file, or contains something that must not be replaced.
    """
    here, place = Path.cwd().resolve(), out.resolve()
    if place == here or place in here.parents:
        raise ConfigError(f"{out} is the folder you are in, or above it: an export needs its own folder; see --out")
    check_target(out, "an export", _foreign, force=force)


def write_export(
    model: CausalLM,
    style: PromptStyle,
    out: Path,
    *,
    target: str,
    dtype: Literal["float32", "float16"],
    name: str,
    max_new_tokens: int,
) -> None:
    """Write a model with its prompt for other programs; an older export in `out` is replaced, see `check_out`.

    Args:
        target: one of the model's `export_targets`.
        dtype: of the matrices, `float32` or `float16`.
        name: the model's name.
        max_new_tokens: longest answer, as a default.

    Raises:
        ConfigError: the model has no such export, or the folder cannot be written.
        ModelError: a package is missing, or the weights do not fit the dtype.
        PluginError: the prompt style cannot be written as a template, or other programs would read it differently.
    """
    if target not in model.export_targets:
        raise ConfigError(f"--to: no export {target!r} for this model{suggestion(target, model.export_targets)}")
    template = derive_template(style)
    controls = control_tokens_in(style, model.tokenizer)
    if controls:
        raise PluginError(
            f"prompt style {style.name!r} cannot be exported: it writes {controls[0]!r}; other programs read that as "
            "one control token of this tokenizer, but the model was trained on its letters; train with a style that "
            "uses other words"
        )
    settings = ExportSettings(
        target=target,
        dtype=dtype,
        chat_template=chat_template(template),
        max_new_tokens=max_new_tokens,
        name=name,
    )
    texts = _texts_beside(model, template, settings)
    _require_space(model, out, dtype)
    with whole_dir(out.resolve()) as making:
        _fill(making, model, template, settings, texts)


def _texts_beside(model: CausalLM, template: PromptTemplate, settings: ExportSettings) -> dict[str, str]:
    """The files next to the model's own, by name."""
    if settings.target != "gguf":
        return {}
    text = modelfile(template, context_length=model.context_length, max_new_tokens=settings.max_new_tokens)
    return {MODELFILE: text}


def _fill(
    making: Path, model: CausalLM, template: PromptTemplate, settings: ExportSettings, texts: dict[str, str]
) -> None:
    try:
        model.export(making, settings)
    except OSError as error:
        raise ConfigError(f"cannot write the export: {error.strerror or error}; choose another --out") from error
    for name, text in texts.items():
        write_whole(making / name, text)
    contents = {
        "made_by": f"sftframe {__version__}",
        "target": settings.target,
        "dtype": settings.dtype,
        "prompt_style": template.style,
        "prompt": template.render("{instruction}"),
        "prompt_with_input": template.render("{instruction}", "{input}"),
        "stop_strings": template.stop_strings,
        "files": sorted([CONTENTS, *(path.relative_to(making).as_posix() for path in making.rglob("*"))]),
    }
    write_json(making / CONTENTS, contents)


def _foreign(out: Path) -> str:
    """A file that no earlier export wrote into the folder."""
    written: set[str] = set()
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        written = {name.partition("/")[0] for name in json.loads((out / CONTENTS).read_bytes())["files"]}
    foreign = min((path.name for path in out.iterdir() if path.name not in written), default="")
    return foreign and f"contains {foreign}, which no export wrote"


def _require_space(model: CausalLM, out: Path, dtype: str) -> None:
    num_weights = sum(parameter.numel() for parameter in model.module.parameters())
    needed = num_weights * (2 if dtype == "float16" else 4)
    require_space(out, needed, "the export")
