"""Ollama's `Modelfile` of a prompt style, with its template in Go's language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sftframe.errors import PluginError
from sftframe.prompts.export.derived import ConversationTemplate, Opening, Piece, PromptTemplate, Slot

WEIGHTS_FILE = "model.gguf"


def modelfile(template: PromptTemplate, *, context_length: int, max_new_tokens: int, end_token: str = "") -> str:
    """The file's text; the weights must be next to it.

    Args:
        end_token: the name of the tokenizer's end token, which closes answers without a closing tag; empty if it has
            none, and then such a style's template is of single questions.

    Raises:
        PluginError: a stop string has a character that a `Modelfile` cannot contain.
    """
    talk = _conversation(template, end_token)
    head = _single_note(template) if talk is None else _conversation_note(template, talk)
    written = _go_template(template.without_input) if talk is None else _go_conversation(template, talk, end_token)
    lines = [*head, *_input_note(template), f"FROM ./{WEIGHTS_FILE}", f'TEMPLATE """{written}"""']
    lines += _parameters(template.stop_strings, context_length, max_new_tokens)
    return "\n".join(lines) + "\n"


def bare_modelfile(style: str, stop_strings: Sequence[str], *, context_length: int, max_new_tokens: int) -> str:
    """The file's text without a template: that of the model's family, if Ollama knows it, writes the messages.

    Raises:
        PluginError: as `modelfile`.
    """
    head = f"# Written by sftframe from the prompt style {style}. The chat template is in {WEIGHTS_FILE}."
    lines = [head, f"FROM ./{WEIGHTS_FILE}", *_parameters(stop_strings, context_length, max_new_tokens)]
    return "\n".join(lines) + "\n"


def _parameters(stop_strings: Sequence[str], context_length: int, max_new_tokens: int) -> Iterator[str]:
    yield from (f"PARAMETER stop {_quoted(stop)}" for stop in stop_strings)
    yield from ("PARAMETER temperature 0", "PARAMETER repeat_penalty 1")
    yield from (f"PARAMETER num_ctx {context_length}", f"PARAMETER num_predict {max_new_tokens}")


def left_out_of_modelfile(template: PromptTemplate, end_token: str) -> Iterator[str]:
    """What the prompt style writes and Ollama's template cannot, with the reason; a sentence each."""
    talk = _conversation(template, end_token)
    if talk is None and template.conversation is not None:
        yield (
            "several turns and system messages in Ollama: the tokenizer's end token closes every answer, but it has no "
            "name that Ollama reads"
        )
    elif talk is not None and any(opening.has_tools for opening in talk.openings):
        yield f"tools in Ollama: {_OTHER_JSON}"


def _conversation(template: PromptTemplate, end_token: str) -> ConversationTemplate | None:
    talk = template.conversation
    return None if talk is not None and talk.is_open and not end_token else talk


_OTHER_JSON = "it writes their JSON in another form than training had"
"""Its keys have an order of their own, some are added, and there are no spaces after commas and colons."""


def _single_note(template: PromptTemplate) -> Iterator[str]:
    yield f"# Written by sftframe from the prompt style {template.style}. Every question stands alone, as in training:"
    yield "# earlier turns and system messages are not given to the model."


def _conversation_note(template: PromptTemplate, talk: ConversationTemplate) -> Iterator[str]:
    yield f"# Written by sftframe from the prompt style {template.style}. Messages are written as in training."
    if talk.later is None:
        yield "# Every question stands alone: earlier turns are not given to the model."
    if not any(opening.has_system for opening in talk.openings):
        yield "# System messages are not given to the model, since the style writes none."
    if any(opening.has_tools for opening in talk.openings):
        yield f"# Tools are not given to the model by Ollama: {_OTHER_JSON}."


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


def _go_conversation(template: PromptTemplate, talk: ConversationTemplate, end_token: str) -> str:
    """The template of a list of messages, which ends where the model's answer begins.

    Ollama cuts the oldest messages of a conversation that is too long. As in training, what is left begins with a
    question of the user. An answer that comes last is continued.
    """
    return "\n".join(_go_lines(template, talk, end_token))


def _go_lines(template: PromptTemplate, talk: ConversationTemplate, end_token: str) -> Iterator[str]:
    # the marks "-" take out the line breaks between these lines, and never stand next to the style's own words
    yield '{{- $begun := false }}{{ $before := "" -}}'
    yield "{{- range $i, $message := .Messages -}}"
    yield "{{- $rest := slice $.Messages $i }}{{ $last := eq (len $rest) 1 -}}"
    if talk.later is None:
        yield '{{- if and $last (eq .Role "user") -}}'
    else:
        yield '{{- if and $begun (eq .Role "user") -}}'
        yield _spaced(_go_words(talk.later.without_input))
        yield '{{- else if eq .Role "user" -}}'
    if Opening(True, False) in talk.openings:
        yield "{{- if $.System -}}"
        yield _spaced(_go_words(talk.openings[Opening(True, False)].without_input))
        yield "{{- else -}}"
    yield _spaced(_go_words(talk.openings[Opening(False, False)].without_input))
    if Opening(True, False) in talk.openings:
        yield "{{- end -}}"
    yield "{{- $begun = true -}}"
    if talk.result is not None:
        yield '{{- else if and (eq .Role "tool") (or $begun $last) -}}'
        yield from _go_result(talk.result)
    if talk.later is not None:
        yield '{{- else if and $begun (eq .Role "assistant") -}}'
        yield _spaced(_go_answer(template, talk, end_token))
    yield "{{- end -}}"
    yield "{{- $before = .Role -}}"
    yield "{{- end -}}"


def _spaced(text: str) -> str:
    """The style's words between actions that take nothing from them."""
    return f'{{{{- "" }}}}{text}{{{{ "" -}}}}'


def _go_words(pieces: tuple[Piece, ...]) -> str:
    """Words and slots of a prompt. Ollama joins all system messages in `.System`."""
    fields = {Slot.INSTRUCTION: "{{ .Content }}", Slot.SYSTEM: "{{ $.System }}"}
    return "".join(fields[piece] if isinstance(piece, Slot) else _go_text(piece) for piece in pieces)


def _go_result(pieces: tuple[Piece, ...]) -> Iterator[str]:
    """What a tool gave back; further results follow in the same message."""
    place = pieces.index(Slot.INSTRUCTION)
    yield '{{- if and $begun (eq $before "tool") }}\n{{ else -}}'
    yield _spaced(_go_words(pieces[:place]))
    yield "{{- end }}{{ .Content -}}"
    yield '{{- $more := false }}{{ if not $last }}{{ $more = eq (index $rest 1).Role "tool" }}{{ end -}}'
    yield "{{- if not $more -}}"
    yield _spaced(_go_words(pieces[place + 1 :]))
    yield "{{- end -}}"


def _go_answer(template: PromptTemplate, talk: ConversationTemplate, end_token: str) -> str:
    """An earlier answer. Programs give it back as the model wrote it, with what the style writes before an answer."""
    start, closing = template.answer_start, template.answer_end + (end_token if talk.is_open else "")
    size = len(start.encode())
    is_there = f"and (ge (len .Content) {size}) (eq (slice .Content 0 {size}) {_go_string(start)})"
    lead = f"{{{{ if not ({is_there}) }}}}{_go_text(start)}{{{{ end }}}}" if start else ""
    return f"{lead}{{{{ .Content }}}}{{{{ if not $last }}}}{_go_text(closing)}{{{{ end }}}}"


_SPECIAL = re.compile(r'"{3,}|\{+')
"""Text that may end the `Modelfile`'s string or begin an action of the template."""


def _go_text(text: str) -> str:
    """Text for a Go template; what cannot be written plainly there or in a `Modelfile` becomes a string literal."""
    without_special = _SPECIAL.sub(lambda found: _go_literal(found[0]), text)
    return "".join(c if _is_kept(c) else _go_literal(c) for c in without_special)


def _go_literal(text: str) -> str:
    """An action that writes the text: quotation marks, braces, or what cannot be printed."""
    return f"{{{{ {_go_string(text)} }}}}"


def _go_string(text: str) -> str:
    """A string of Go's language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


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
